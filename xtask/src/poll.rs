//! Asking again and again, for what tells nobody when it changes: processes and sockets. The one place that sleeps.

use std::time::{Duration, Instant};

/// Asks every `interval` until the answer is there; none when `patience` ends first.
pub(crate) fn poll<T>(patience: Duration, interval: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        pause(interval);
    }
}

/// Lets time go by.
#[expect(clippy::disallowed_methods, reason = "between two questions to something that tells nothing by itself")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_ends_it_and_so_does_the_deadline() {
        let mut asked = 0;
        let answer = poll(Duration::from_mins(1), Duration::ZERO, || {
            asked += 1;
            (asked == 3).then_some("there")
        });
        assert_eq!((answer, asked), (Some("there"), 3));
        assert_eq!(poll::<()>(Duration::ZERO, Duration::ZERO, || None), None);
    }
}
