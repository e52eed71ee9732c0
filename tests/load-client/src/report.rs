//! What is printed: one JSON object a line on standard output, so that a test can read a pod's log.

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

/// The two ways in which a consumer may use an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One connection for many requests, as a pool has.
    Kept,
    /// A connection a request.
    Fresh,
}

impl Style {
    /// As it is printed.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Fresh => "fresh",
        }
    }
}

/// What came of one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    user: String,
    requests: u64,
    failures: u64,
    connections: u64,
}

/// Counts and prints.
pub(crate) struct Reporter {
    clock: fn() -> Timestamp,
    tallies: Mutex<[Tally; 2]>,
}

impl Reporter {
    /// A reporter that has seen nothing, with this clock for the times in its lines.
    pub(crate) fn new(clock: fn() -> Timestamp) -> Self {
        Self { clock, tallies: Mutex::default() }
    }

    /// A connection was made for a user.
    pub(crate) fn connected(&self, style: Style, user: &str) {
        let mut tallies = self.tallies();
        let tally = &mut tallies[style as usize];
        tally.connections += 1;
        user.clone_into(&mut tally.user);
    }

    /// A request was answered as it should be.
    pub(crate) fn succeeded(&self, style: Style) {
        self.tallies()[style as usize].requests += 1;
    }

    /// A request failed.
    pub(crate) fn failed(&self, style: Style, user: &str, cause: &str) {
        {
            let mut tallies = self.tallies();
            let tally = &mut tallies[style as usize];
            tally.requests += 1;
            tally.failures += 1;
        }
        self.event("failure", json!({"style": style.as_str(), "user": user, "cause": cause}));
    }

    /// Something that is no request.
    pub(crate) fn event(&self, event: &str, mut facts: Value) {
        facts["event"] = event.into();
        facts["time"] = (self.clock)().to_string().into();
        say(&facts.to_string());
    }

    /// The numbers of now; `last` when none follow.
    pub(crate) fn totals(&self, last: bool) {
        let totals = self.numbers(last);
        self.event("totals", totals);
    }

    fn numbers(&self, last: bool) -> Value {
        let [kept, fresh] = self.tallies().clone();
        let one = |tally: &Tally| {
            let Tally { user, requests, failures, connections } = tally;
            json!({"user": user, "requests": requests, "failures": failures, "connections": connections})
        };
        json!({
            "requests": kept.requests + fresh.requests,
            "failures": kept.failures + fresh.failures,
            "kept": one(&kept),
            "fresh": one(&fresh),
            "last": last,
        })
    }

    fn tallies(&self) -> MutexGuard<'_, [Tally; 2]> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints a line on standard output. Nobody may read any more, which is no reason to end.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line on standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ways_are_counted_apart_and_together() {
        let reporter = Reporter::new(|| Timestamp::UNIX_EPOCH);
        reporter.connected(Style::Kept, "shop_a");
        reporter.connected(Style::Kept, "shop_b");
        reporter.succeeded(Style::Kept);
        reporter.failed(Style::Fresh, "shop_a", "refused");
        let numbers = reporter.numbers(true);
        assert_eq!(
            (&numbers["requests"], &numbers["failures"], &numbers["last"]),
            (&json!(2), &json!(1), &json!(true))
        );
        let kept = json!({"user": "shop_b", "requests": 1, "failures": 0, "connections": 2});
        assert_eq!(numbers["kept"], kept);
        assert_eq!(numbers["fresh"]["failures"], 1);
    }
}
