//! What one layer of an image holds, and its tar form. The same entries always give the same bytes: sorted, no times,
//! no user names, no setuid or setgid bits. Reads files, writes only to the given writer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tar::{Builder, EntryType, Header};

/// Permission bits that may be in an image: no setuid and setgid, nothing in it has to become somebody else.
const PERMISSIONS: u32 = 0o1777;

/// User and group id of an entry.
pub(crate) type Owner = (u64, u64);

/// The owner of everything that no process in the container may change.
pub(crate) const ROOT: Owner = (0, 0);

#[derive(Debug)]
enum Content {
    Directory,
    Bytes(Vec<u8>),
    Copy(PathBuf),
    Link(PathBuf),
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    owner: Owner,
    content: Content,
}

/// A set of files by their path in the image (relative to its root, without `./`).
#[derive(Debug, Default)]
pub(crate) struct Layer {
    // Sorted, and a folder sorts before what is in it.
    entries: BTreeMap<PathBuf, Entry>,
}

impl Layer {
    /// A folder with the given permissions.
    pub(crate) fn directory(&mut self, path: &str, mode: u32, owner: Owner) -> &mut Self {
        self.put(Path::new(path), mode, owner, Content::Directory)
    }

    /// A file with this content, readable by all.
    pub(crate) fn text(&mut self, path: &str, content: impl Into<Vec<u8>>) -> &mut Self {
        self.put(Path::new(path), 0o644, ROOT, Content::Bytes(content.into()))
    }

    /// A program: the file `from`, executable by all.
    pub(crate) fn program(&mut self, path: &str, from: &Path) -> &mut Self {
        self.put(Path::new(path), 0o755, ROOT, Content::Copy(from.to_owned()))
    }

    /// A program by its content, executable by all.
    pub(crate) fn executable(&mut self, path: &str, content: Vec<u8>) -> &mut Self {
        self.put(Path::new(path), 0o755, ROOT, Content::Bytes(content))
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.put(Path::new(path), 0o777, ROOT, Content::Link(target.into()))
    }

    /// Everything below `root`, with its modes and owners.
    pub(crate) fn tree(&mut self, root: &Path) -> anyhow::Result<&mut Self> {
        self.walk(root, Path::new(""))?;
        Ok(self)
    }

    fn walk(&mut self, root: &Path, below: &Path) -> anyhow::Result<()> {
        let folder = root.join(below);
        for found in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let found = found?;
            let (path, source) = (below.join(found.file_name()), found.path());
            let metadata = source.symlink_metadata()?;
            let owner = (u64::from(metadata.uid()), u64::from(metadata.gid()));
            let content = if metadata.is_dir() {
                Content::Directory
            } else if metadata.is_symlink() {
                Content::Link(fs::read_link(&source)?)
            } else if metadata.is_file() {
                Content::Copy(source)
            } else {
                anyhow::bail!("{} is neither file, folder nor link: it cannot be in an image", source.display());
            };
            self.put(&path, metadata.mode(), owner, content);
            if metadata.is_dir() {
                self.walk(root, &path)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, path: &Path, mode: u32, owner: Owner, content: Content) -> &mut Self {
        // Folders on the way that nobody has named: tar readers would invent them with modes of their own.
        for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            let folder = || Entry { mode: 0o755, owner: ROOT, content: Content::Directory };
            self.entries.entry(parent.to_owned()).or_insert_with(folder);
        }
        self.entries.insert(path.to_owned(), Entry { mode: mode & PERMISSIONS, owner, content });
        self
    }

    /// Writes the layer as an uncompressed tar.
    pub(crate) fn write(&self, writer: impl Write) -> anyhow::Result<()> {
        let mut tar = Builder::new(writer);
        for (path, entry) in &self.entries {
            append(&mut tar, path, entry).with_context(|| format!("cannot write {} to the layer", path.display()))?;
        }
        tar.into_inner()?.flush()?;
        Ok(())
    }
}

fn append(tar: &mut Builder<impl Write>, path: &Path, entry: &Entry) -> anyhow::Result<()> {
    let mut header = header(entry.mode, entry.owner);
    match &entry.content {
        Content::Directory => {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, path.join(""), std::io::empty())?;
        }
        Content::Bytes(bytes) => {
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())?;
        }
        Content::Copy(from) => {
            let file = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
            header.set_size(file.metadata()?.len());
            tar.append_data(&mut header, path, file)?;
        }
        Content::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, path, target)?;
        }
    }
    Ok(())
}

/// A header of a plain, empty file with everything fixed that would differ between two machines or two moments.
pub(crate) fn header(mode: u32, (user, group): Owner) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(user);
    header.set_gid(group);
    header.set_mtime(0);
    header.set_size(0);
    header
}
