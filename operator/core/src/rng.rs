//! Randomness, injected, so that generated names and delays can be tested. The operator uses the operating system's
//! source for everything, because the same source makes passwords.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rand_core::{OsError, TryRngCore};
use rand::rngs::{OsRng, StdRng};
use rand::{RngCore, SeedableRng};

/// The source of randomness gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random source failed: {0}; the machine cannot make secrets, restart it")]
pub struct RngError(#[from] OsError);

/// Where randomness comes from.
pub trait Rng: Debug + Send + Sync + 'static {
    /// Fills `bytes` with unpredictable values.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RngError>;

    /// `base` moved by up to a fifth of itself in both directions, so that many objects do not wake together.
    /// Without randomness it is `base` itself: a delay is no secret.
    fn jitter(&self, base: Duration) -> Duration {
        let mut bytes = [0_u8; 2];
        if self.fill(&mut bytes).is_err() {
            return base;
        }
        let fraction = f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX);
        base.mul_f64(0.8 + 0.4 * fraction)
    }
}

/// The operating system's source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RngError> {
        Ok(OsRng.try_fill_bytes(bytes)?)
    }
}

/// A source that always gives the same sequence. For tests; never for secrets.
#[derive(Debug)]
pub struct SeededRng(Mutex<StdRng>);

impl SeededRng {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Rng for SeededRng {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RngError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
        Ok(())
    }
}
