//! Randomness, as an argument. Only this module may read the system's random source.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

/// A source of unpredictable bytes.
pub trait Rng: Send + Sync + Debug {
    /// Fills the slice.
    fn fill(&self, bytes: &mut [u8]);
}

/// A source that many parts share.
pub type SharedRng = Arc<dyn Rng>;

/// The machine's source: a cryptographic generator that the operating system seeds and reseeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "the one place where real randomness comes from")]
        rand::rng().fill_bytes(bytes);
    }
}

/// A source for tests: the same seed gives the same bytes.
#[derive(Debug)]
pub struct SeededRng(Mutex<StdRng>);

impl SeededRng {
    /// The source with this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Rng for SeededRng {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// A UUID of version 7 (RFC 9562 section 5.7): its order is the order of creation, so that indexes grow at one end.
pub fn uuid_v7(now: Timestamp, rng: &dyn Rng) -> Uuid {
    let mut random = [0; 10];
    rng.fill(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_later_and_are_of_version_7() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let rng = SeededRng::new(1);
        let (first, second) = (uuid_v7(at(1_000), &rng), uuid_v7(at(1_001), &rng));
        assert!(first < second);
        assert_eq!(first.get_version_num(), 7);
        assert_ne!(uuid_v7(at(1), &SystemRng), uuid_v7(at(1), &SystemRng));
    }
}
