//! Password hashing in threads of its own.
//!
//! bcrypt keeps a core busy for a quarter of a second. Here it runs on as many threads as there are cores, behind a
//! queue with an end: beyond it callers are told to come back later, instead of everybody waiting ever longer. Work
//! whose caller has gone is not begun.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use portico_service_kit::rng::SharedRng;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

use crate::domain::password::MAX_BYTES;

/// How many hashes may wait for each thread: about four seconds of work at the default cost.
const QUEUE_PER_THREAD: usize = 16;

/// How far hashes step back behind everything else, as `nice` counts.
const NICENESS: i32 = 10;

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub struct Hasher {
    queue: mpsc::SyncSender<Job>,
    rng: SharedRng,
    cost: u32,
    /// What a password is compared with when there is no user, so that it takes as long.
    dummy: Arc<str>,
}

/// Too many hashes are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many logins at once")]
pub struct Overloaded;

type Job = Box<dyn FnOnce() + Send>;

impl Hasher {
    /// Starts the threads, one a core. They end when the last clone is dropped.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(cost: u32, rng: SharedRng) -> std::io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads(cost, rng, threads, threads * QUEUE_PER_THREAD)
    }

    fn with_threads(cost: u32, rng: SharedRng, threads: usize, queue: usize) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::sync_channel::<Job>(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = jobs.clone();
            thread::Builder::new().name("hash".to_owned()).spawn(move || {
                step_back();
                work(&jobs);
            })?;
        }
        // A salt and a digest of zero bits: right in form, and the hash of no password that anybody knows.
        let dummy = format!("$2b${cost:02}${}", ".".repeat(53)).into();
        Ok(Self { queue, rng, cost, dummy })
    }

    /// The hash of a new password of at most [`MAX_BYTES`] bytes.
    ///
    /// # Errors
    /// When too many wait already.
    pub async fn hash(&self, password: SecretString) -> Result<String, Overloaded> {
        let mut salt = [0; 16];
        self.rng.fill(&mut salt);
        let cost = self.cost;
        let hashed = self.run(move || bcrypt::hash_with_salt(password.expose_secret(), cost, salt)).await?;
        // Only a cost out of range can fail, and the configuration was checked.
        hashed.map(|parts| parts.to_string()).map_err(|_| Overloaded)
    }

    /// Whether the password belongs to the hash. Without a hash the answer is no, after the same time.
    ///
    /// # Errors
    /// When too many wait already.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Overloaded> {
        // No stored hash belongs to such a password, but bcrypt would compare what it understands of it.
        let possible = password.expose_secret().len() <= MAX_BYTES && !password.expose_secret().contains('\0');
        let real = hash.filter(|_| possible);
        let known = real.is_some();
        let hash = real.unwrap_or_else(|| self.dummy.to_string());
        let same = self.run(move || bcrypt::verify(password.expose_secret(), &hash)).await?;
        if let Err(error) = &same {
            tracing::error!(%error, "a stored password hash cannot be read");
        }
        Ok(known && same.unwrap_or(false))
    }

    async fn run<T: Send + 'static>(&self, hash: impl FnOnce() -> T + Send + 'static) -> Result<T, Overloaded> {
        let (answer, result) = oneshot::channel();
        let job = move || {
            if !answer.is_closed() {
                let _ = answer.send(hash());
            }
        };
        self.queue.try_send(Box::new(job)).map_err(|_| Overloaded)?;
        result.await.map_err(|_| Overloaded)
    }
}

/// Lets the threads that answer requests go first (on Linux the priority is the thread's own): a login takes long in
/// any case, everything else should not.
fn step_back() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "password hashes run at the priority of everything else");
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_service_kit::rng::SystemRng;

    use super::*;

    fn hasher(threads: usize, queue: usize) -> Hasher {
        Hasher::with_threads(4, Arc::new(SystemRng), threads, queue).unwrap()
    }

    #[tokio::test]
    async fn only_the_same_password_is_verified() {
        let hasher = hasher(2, 8);
        let long = "a".repeat(MAX_BYTES);
        for password in ["correct horse", "пароль", &long] {
            let hash = hasher.hash(password.into()).await.unwrap();
            assert!(hasher.verify(password.into(), Some(hash.clone())).await.unwrap());
            for wrong in [format!("{password}x"), password.to_uppercase(), String::new(), format!("{password}\0")] {
                assert!(!hasher.verify(wrong.as_str().into(), Some(hash.clone())).await.unwrap(), "{wrong:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_dummy_is_a_readable_hash_of_the_same_cost_that_nothing_matches() {
        let hasher = hasher(1, 8);
        let parts: bcrypt::HashParts = hasher.dummy.parse().unwrap();
        assert_eq!(parts.get_cost(), 4);
        for password in ["", "password", "."] {
            assert!(!bcrypt::verify(password, &hasher.dummy).unwrap());
            assert!(!hasher.verify(password.into(), None).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_instead_of_waiting() {
        let hasher = hasher(0, 1);
        let waiting = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.hash("first".into()).await }
        });
        // The only place in the queue is taken once the task has run.
        while hasher.queue.try_send(Box::new(|| {})).is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(hasher.hash("second".into()).await, Err(Overloaded));
        waiting.abort();
    }
}
