//! When and how a login is replaced, as a pure state machine: a second login beside the first, its users moved, the
//! first one taken away. No step takes anything from a consumer that it still uses.

use std::time::Duration;

use jiff::Timestamp;

use super::logins::{Credential, Logins, Stage};

/// What the next step depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Now.
    pub now: Timestamp,
    /// The value of the annotation that asks for a replacement; empty when there is none.
    pub request: &'a str,
    /// How old a login may become.
    pub interval: Option<Duration>,
    /// How long the old login stays at least.
    pub overlap: Duration,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make sure that the published login works.
    Keep,
    /// Make the first login in the engine, then publish it.
    Introduce,
    /// Draw a second login and write it down, before it is made.
    Draw,
    /// Make the second login in the engine, then publish it.
    Switch,
    /// Let the old login be for so much longer.
    Wait(Duration),
    /// Take the old login away, unless connections still use it.
    Revoke,
}

/// The next step.
pub fn next(logins: &Logins, facts: Facts<'_>) -> Step {
    match &logins.stage {
        Stage::New => Step::Introduce,
        Stage::Settled if is_due(logins, facts) => Step::Draw,
        Stage::Settled => Step::Keep,
        Stage::Preparing(_) => Step::Switch,
        Stage::Moving(_) => match left(logins.since, facts.overlap, facts.now) {
            Some(left) => Step::Wait(left),
            None => Step::Revoke,
        },
    }
}

/// How long until the login is replaced by schedule; `None` without one.
pub fn until_due(logins: &Logins, facts: Facts<'_>) -> Option<Duration> {
    facts.interval.map(|interval| left(logins.since, interval, facts.now).unwrap_or_default())
}

fn is_due(logins: &Logins, facts: Facts<'_>) -> bool {
    let asked = !facts.request.is_empty() && facts.request != logins.request;
    asked || facts.interval.is_some_and(|interval| left(logins.since, interval, facts.now).is_none())
}

/// What is left of `span` since `since`.
fn left(since: Timestamp, span: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    span.checked_sub(passed).filter(|left| !left.is_zero())
}

/// The second login is drawn.
pub fn drawn(logins: Logins, credential: Credential, request: &str) -> Logins {
    Logins { stage: Stage::Preparing(credential), request: request.to_owned(), ..logins }
}

/// The login is in the engine and may be published.
pub fn introduced(logins: Logins, now: Timestamp, request: &str) -> Logins {
    Logins { stage: Stage::Settled, since: now, request: request.to_owned(), ..logins }
}

/// The second login is in the engine and becomes the published one.
pub fn switched(logins: Logins, now: Timestamp) -> Logins {
    match logins.stage {
        Stage::Preparing(incoming) => Logins {
            active: logins.active.other(),
            stage: Stage::Moving(logins.credential),
            credential: incoming,
            since: now,
            request: logins.request,
        },
        _ => logins,
    }
}

/// The old login is gone.
pub fn revoked(logins: Logins) -> Logins {
    Logins { stage: Stage::Settled, ..logins }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_grant::logins::Slot;

    const OVERLAP: Duration = Duration::from_mins(5);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn facts(seconds: i64, request: &str, interval: Option<u64>) -> Facts<'_> {
        Facts { now: at(seconds), request, interval: interval.map(Duration::from_secs), overlap: OVERLAP }
    }

    fn credential(name: &str) -> Credential {
        Credential { username: name.into(), password: "p".into() }
    }

    fn fresh() -> Logins {
        Logins {
            active: Slot::A,
            credential: credential("shop_a"),
            stage: Stage::New,
            since: at(0),
            request: String::new(),
        }
    }

    #[test]
    fn a_replacement_goes_through_every_phase_once() {
        let logins = fresh();
        assert_eq!(next(&logins, facts(0, "first", None)), Step::Introduce);
        let logins = introduced(logins, at(1), "first");
        assert_eq!(next(&logins, facts(9, "first", None)), Step::Keep, "a request from before the login is served");
        assert_eq!(next(&logins, facts(10, "second", None)), Step::Draw);
        let logins = drawn(logins, credential("shop_b"), "second");
        assert_eq!(next(&logins, facts(11, "third", None)), Step::Switch);
        assert_eq!(logins.credential.username, "shop_a", "the old one is published until the new one works");
        let logins = switched(logins, at(20));
        assert_eq!((logins.active, logins.credential.username.as_str()), (Slot::B, "shop_b"));
        assert_eq!(next(&logins, facts(80, "third", None)), Step::Wait(Duration::from_mins(4)));
        assert_eq!(next(&logins, facts(320, "third", None)), Step::Revoke);
        let logins = revoked(logins);
        assert_eq!(logins.other(), None);
        assert_eq!(next(&logins, facts(321, "third", None)), Step::Draw, "what was asked meanwhile is not lost");
        assert_eq!(next(&logins, facts(321, "second", None)), Step::Keep);
        assert_eq!(next(&logins, facts(321, "", None)), Step::Keep);
    }

    #[test]
    fn a_schedule_counts_from_the_last_replacement() {
        let logins = introduced(fresh(), at(0), "");
        assert_eq!(next(&logins, facts(3599, "", Some(3600))), Step::Keep);
        assert_eq!(until_due(&logins, facts(3599, "", Some(3600))), Some(Duration::from_secs(1)));
        assert_eq!(next(&logins, facts(3600, "", Some(3600))), Step::Draw);
        assert_eq!(until_due(&logins, facts(0, "", None)), None);
    }

    #[test]
    fn a_clock_that_goes_back_hurries_nothing() {
        let logins = switched(drawn(introduced(fresh(), at(100), ""), credential("shop_b"), ""), at(100));
        assert!(matches!(next(&logins, facts(0, "", Some(60))), Step::Wait(_)));
    }
}
