//! How long a failing object waits: twice as long after each failure, from one second to five minutes, spread so that
//! objects that failed together do not retry together.
//!
//! kube-rs tells its error policy nothing about earlier failures, so the count is kept here: by UID, reset by a
//! success and by a new generation (the user changed something), dropped when the object is gone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::rng::Rng;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// More failing objects than this share the counter of a newcomer; the map never grows past it.
const LIMIT: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Failures {
    generation: Option<i64>,
    count: u32,
}

/// The failures of all objects of one controller.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, Failures>>);

impl Backoff {
    /// Counts a failure of the object and says how long it waits.
    pub fn failed(&self, uid: &str, generation: Option<i64>, rng: &dyn Rng) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= LIMIT && !all.contains_key(uid) {
            return rng.jitter(LONGEST);
        }
        let failures = all.entry(uid.to_owned()).or_insert(Failures { generation, count: 0 });
        if failures.generation != generation {
            *failures = Failures { generation, count: 0 };
        }
        let delay = FIRST.saturating_mul(1 << failures.count.min(16)).min(LONGEST);
        failures.count = failures.count.saturating_add(1);
        rng.jitter(delay)
    }

    /// Forgets the failures of an object that succeeded or is gone.
    pub fn reset(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// How many objects fail at present.
    pub fn failing(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    fn near(delay: Duration, seconds: u64) -> bool {
        let base = Duration::from_secs(seconds);
        (base.mul_f64(0.79)..=base.mul_f64(1.21)).contains(&delay)
    }

    #[test]
    fn doubles_up_to_five_minutes() {
        let (backoff, rng) = (Backoff::default(), SeededRng::new(1));
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let delay = backoff.failed("u", Some(1), &rng);
            assert!(near(delay, seconds), "{delay:?} instead of {seconds} s");
        }
    }

    #[test]
    fn a_new_generation_and_a_success_start_again() {
        let (backoff, rng) = (Backoff::default(), SeededRng::new(1));
        for _ in 0..5 {
            backoff.failed("u", Some(1), &rng);
        }
        assert!(near(backoff.failed("u", Some(2), &rng), 1));
        backoff.failed("u", Some(2), &rng);
        backoff.reset("u");
        assert_eq!(backoff.failing(), 0);
        assert!(near(backoff.failed("u", Some(2), &rng), 1));
    }

    #[test]
    fn never_holds_more_than_the_limit() {
        let (backoff, rng) = (Backoff::default(), SeededRng::new(1));
        for object in 0..LIMIT + 10 {
            backoff.failed(&object.to_string(), None, &rng);
        }
        assert_eq!(backoff.failing(), LIMIT);
    }
}
