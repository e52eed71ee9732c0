//! What the commands say to the person who waits. One line when a step starts and one when it ended, so that a log file
//! and a terminal show the same. Results that other programs read go to standard output by [`result`], all else to
//! standard error.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// One line on standard error.
#[expect(clippy::print_stderr, reason = "the one place that reports progress")]
pub(crate) fn say(text: impl Display) {
    eprintln!("{text}");
}

/// One line on standard output: what the command was asked for.
#[expect(clippy::print_stdout, reason = "the one place that prints results")]
pub(crate) fn result(text: impl Display) {
    println!("{text}");
}

/// Runs a step, and says what it is and how long it took.
pub(crate) fn step<T>(title: impl Display, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say(format_args!("==> {title}"));
    let start = Instant::now();
    let outcome = work();
    let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
    say(format_args!("    {title}: {verdict} after {}", seconds(start.elapsed())));
    outcome
}

/// `0.3 s`, `12 s`, `3 min 5 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_to_read() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_secs(59)), "59 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 5 s");
    }
}
