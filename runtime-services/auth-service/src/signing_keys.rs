//! The signing keys of the folder, as it is now: whoever rotates them changes the files, and no restart is needed.

use std::path::{Path, PathBuf};

use portico_service_kit::files::{self, Follower};
use portico_token::{KeyError, KeySet, Keys};
use tokio_util::sync::CancellationToken;

/// Keys that follow their folder.
#[derive(Debug)]
pub struct FollowedKeys {
    keys: Keys,
    folder: PathBuf,
    files: Follower,
}

impl FollowedKeys {
    /// Loads the keys.
    ///
    /// # Errors
    /// When they cannot be used. A service without keys does not start.
    pub fn load(folder: &Path) -> Result<Self, KeyError> {
        let files = Follower::new(folder);
        Ok(Self { keys: load(folder)?.into(), folder: folder.to_owned(), files })
    }

    /// The keys, for those who sign, verify and publish.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Follows the folder until `stop`. Files that cannot be used change nothing: the keys stay as they are.
    pub async fn follow(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.files.changed() => {}
            }
            match load(&self.folder) {
                Ok(set) => self.take(set),
                Err(error) => tracing::error!(%error, "the signing keys stay as they are"),
            }
        }
    }

    fn take(&self, set: KeySet) {
        let before = self.keys.current();
        if before.active_kid() != set.active_kid() || !before.kids().eq(set.kids()) {
            let (active, kids) = (set.active_kid(), set.kids().collect::<Vec<_>>().join(" "));
            tracing::info!(active, kids, "the signing keys have changed");
        }
        self.keys.replace(set);
    }
}

fn load(folder: &Path) -> Result<KeySet, KeyError> {
    KeySet::load(&files::current(folder))
}
