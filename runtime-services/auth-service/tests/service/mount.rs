//! Folders as the kubelet mounts Secrets: all files change at once, when the link `..data` is swapped.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// A mounted Secret, and what was last put there.
pub(crate) struct Mount {
    folder: PathBuf,
    entries: BTreeMap<String, String>,
    version: u32,
}

impl Mount {
    /// Mounts a Secret at this path.
    pub(crate) fn new(folder: &Path, entries: &[(&str, &str)]) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Self { folder: folder.to_owned(), entries: BTreeMap::new(), version: 0 };
        mount.update(entries);
        mount
    }

    /// Changes these entries, an empty text takes one away, and swaps.
    pub(crate) fn update(&mut self, entries: &[(&str, &str)]) {
        self.entries.extend(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.entries.retain(|_, value| !value.is_empty());
        let before = fs::read_link(self.folder.join("..data")).ok();
        self.version += 1;
        let name = format!("..version_{}", self.version);
        let next = self.folder.join(&name);
        fs::create_dir(&next).unwrap();
        for (key, value) in &self.entries {
            fs::write(next.join(key), value).unwrap();
        }
        symlink(&name, self.folder.join("..data_tmp")).unwrap();
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(self.folder.join(before)).unwrap();
        }
    }
}
