//! Follows a mounted binding: the kernel tells of every change, and the folder is read again.

use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::watch;

use crate::binding::Binding;
use crate::report;

/// The binding now, and whenever it has become another.
///
/// # Errors
/// The folder cannot be watched, or is no binding to begin with.
pub(crate) fn follow(folder: &Path) -> anyhow::Result<watch::Receiver<Binding>> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    // The kubelet renames a link over `..data`; a plain folder has its files written.
    let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_CREATE;
    inotify.add_watch(folder, events)?;
    // Read after the watch is there, so that no change falls between the two.
    let (sender, receiver) = watch::channel(Binding::read(folder)?);
    let folder = folder.to_owned();
    // Waits in the kernel until the process ends.
    std::thread::spawn(move || pass_on(&inotify, &folder, &sender));
    Ok(receiver)
}

fn pass_on(inotify: &Inotify, folder: &Path, sender: &watch::Sender<Binding>) {
    while inotify.read_events().is_ok() {
        match Binding::read(folder) {
            Ok(binding) => {
                sender.send_if_modified(|current| {
                    let changed = *current != binding;
                    *current = binding;
                    changed
                });
            }
            // Half a change of a plain folder: the other half makes an event too.
            Err(error) => report::complain(&error.to_string()),
        }
        if sender.is_closed() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::binding::NEWEST;
    use crate::binding::tests::{CACHE, write};

    /// As the kubelet does: a new folder, then a link to it renamed over the old one.
    fn publish(folder: &Path, moment: &str, user: &str) {
        let content = folder.join(moment);
        fs::create_dir(&content).unwrap();
        write(&content, &CACHE);
        write(&content, &[("username", user)]);
        symlink(moment, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join(NEWEST)).unwrap();
    }

    #[tokio::test]
    async fn a_new_content_is_seen_whole() {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), "..one", "shop_a");
        let mut bindings = follow(folder.path()).unwrap();
        assert_eq!(bindings.borrow_and_update().username, "shop_a");
        publish(folder.path(), "..two", "shop_b");
        tokio::time::timeout(Duration::from_secs(10), bindings.changed()).await.unwrap().unwrap();
        assert_eq!(bindings.borrow().username, "shop_b");
    }

    #[tokio::test]
    async fn a_folder_that_is_no_binding_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(follow(folder.path()).is_err());
    }
}
