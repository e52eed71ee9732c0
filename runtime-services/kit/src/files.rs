//! Folders of mounted files that change while the service runs.
//!
//! The kubelet writes a changed Secret into a new folder and then lets the link `..data` point there. So one look has
//! to read everything through the folder that the link names at that moment ([`current`]), or it could see a user of
//! yesterday with the password of today. [`Follower`] tells of the change; nothing is asked at intervals.

use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::{net::unix::pipe::Receiver, time::sleep};

/// The link that the kubelet swaps.
const LINK: &str = "..data";

/// How long a folder that cannot be watched (it is not there, or the system has no watch left) is let alone.
const RETRY: Duration = Duration::from_secs(1);

/// The folder that the files of `folder` are in now. Where nobody swaps links, it is `folder` itself.
pub fn current(folder: &Path) -> PathBuf {
    fs::read_link(folder.join(LINK)).map_or_else(|_| folder.to_owned(), |target| folder.join(target))
}

/// Tells when files of a folder have changed.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    watch: Option<Receiver>,
}

impl Follower {
    /// Begins to watch. Make it before the first look at the files: what changes after that look is told.
    pub fn new(folder: &Path) -> Self {
        let watch = watch(folder);
        if let Err(error) = &watch {
            tracing::warn!(folder = %folder.display(), %error, "the folder cannot be watched yet");
        }
        Self { folder: folder.to_owned(), watch: watch.ok() }
    }

    /// Waits until something in the folder may have changed. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        loop {
            let Some(watched) = &self.watch else {
                match watch(&self.folder) {
                    // What happened meanwhile was seen by nobody.
                    Ok(watch) => return self.watch = Some(watch),
                    Err(_) => sleep(RETRY).await,
                }
                continue;
            };
            if event(watched).await.is_ok() {
                // The folder itself may be another one now; to watch the same one again changes nothing.
                if add(watched, &self.folder).is_err() {
                    self.watch = None;
                }
                return;
            }
            self.watch = None;
        }
    }
}

fn watch(folder: &Path) -> io::Result<Receiver> {
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    add(&inotify, folder)?;
    // It is no pipe, but read like one: the runtime waits until there is something, and what it is does not matter.
    Receiver::from_owned_fd_unchecked(inotify)
}

fn add(inotify: impl AsFd, folder: &Path) -> io::Result<()> {
    let changes = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
    let changes = changes | WatchFlags::CREATE | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR;
    inotify::add_watch(inotify, folder, changes)?;
    Ok(())
}

/// Waits for an event and takes all that there are. What they say is of no interest: the files are looked at again in
/// any case.
async fn event(watch: &Receiver) -> io::Result<()> {
    let mut events = [0; 4096];
    let mut taken = false;
    loop {
        match watch.try_read(&mut events) {
            Ok(_) => taken = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => watch.readable().await?,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tokio::time::timeout;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// What the kubelet does: a folder of a new name, then the link to it, then the old folder goes.
    fn swap(folder: &Path, version: &str, password: &str) {
        let before = fs::read_link(folder.join(LINK)).ok();
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("password"), password).unwrap();
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join(LINK)).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(folder.join(before)).unwrap();
        }
    }

    fn password(folder: &Path) -> String {
        fs::read_to_string(current(folder).join("password")).unwrap_or_default()
    }

    async fn told(follower: &mut Follower) {
        timeout(DEADLINE, follower.changed()).await.expect("a change is told");
    }

    #[tokio::test]
    async fn a_swapped_link_is_told_and_leads_to_the_new_files() {
        let folder = tempfile::tempdir().unwrap();
        swap(folder.path(), "..1", "one");
        let mut follower = Follower::new(folder.path());
        assert_eq!(password(folder.path()), "one");
        swap(folder.path(), "..2", "two");
        told(&mut follower).await;
        assert_eq!(password(folder.path()), "two");
    }

    #[tokio::test]
    async fn plain_files_are_told_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut follower = Follower::new(folder.path());
        for text in ["one", "two", "three"] {
            fs::write(folder.path().join("password"), text).unwrap();
            told(&mut follower).await;
            assert_eq!(password(folder.path()), text);
        }
    }

    #[tokio::test]
    async fn without_a_change_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), "one").unwrap();
        let mut follower = Follower::new(folder.path());
        assert_eq!(password(folder.path()), "one");
        assert!(timeout(Duration::from_millis(50), follower.changed()).await.is_err(), "reading is no change");
    }

    #[tokio::test]
    async fn a_folder_may_come_later_and_be_replaced() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("binding");
        let mut follower = Follower::new(&folder);
        swap_folder(&folder, "one");
        told(&mut follower).await;
        fs::remove_dir_all(&folder).unwrap();
        told(&mut follower).await;
        swap_folder(&folder, "two");
        while password(&folder) != "two" {
            told(&mut follower).await;
        }
    }

    fn swap_folder(folder: &Path, text: &str) {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("password"), text).unwrap();
    }
}
