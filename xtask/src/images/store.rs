//! Archives by what they were made of: an image whose inputs have not changed is not made again. Owns the folder
//! `images/` of the cache; a record `inputs/<name>-<key>.json` names the archive that these inputs gave.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::ImageArchive;
use super::archive::{self, Image, TAG_DIGITS, file_stem, hex};
use crate::{paths, ui};

/// Part of every key: raise it when the same inputs have to give other archives.
const FORMAT: &str = "1";

/// Archives kept of each image: several checkouts and clusters may use different ones.
const KEPT: usize = 4;

/// A digest over everything that an image or a folder is made of.
pub(crate) struct Key(Sha256);

impl Key {
    /// A key with its first input; `text` is also what tells keys of different things apart.
    pub(crate) fn new(text: &str) -> Self {
        Self(Sha256::new()).text(FORMAT).text(text)
    }

    /// Adds a text.
    pub(crate) fn text(mut self, text: &str) -> Self {
        // With its length, so that "ab"+"c" differs from "a"+"bc".
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    /// Adds the content of a file.
    pub(crate) fn file(mut self, path: &Path) -> anyhow::Result<Self> {
        let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        self.0.update(file.metadata()?.len().to_le_bytes());
        io::copy(&mut file, &mut self.0).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self)
    }

    /// The key as it is used in file names.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize()).chars().take(TAG_DIGITS).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    reference: String,
    archive: String,
}

/// The folder of archives.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in the cache.
    pub(crate) fn open() -> anyhow::Result<Self> {
        Self::at(&paths::cache()?.join("images"))
    }

    /// A store in `folder`, which is made if it is missing.
    pub(crate) fn at(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder.join("inputs")).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The archive of the image `name` made of the inputs behind `key`; `image` says what is in it if it is not there.
    pub(crate) fn image(
        &self,
        name: &'static str,
        key: Key,
        image: impl FnOnce() -> anyhow::Result<Image>,
    ) -> anyhow::Result<ImageArchive> {
        let record = self.folder.join("inputs").join(format!("{}-{}.json", file_stem(name), key.finish()));
        if let Some(known) = self.recall(&record) {
            return Ok(known);
        }
        let write = || archive::write(&image()?, &self.folder);
        let archive = ui::step(format!("image {name}"), write).with_context(|| format!("cannot make {name}"))?;
        remember(&record, &archive)?;
        self.prune(name)?;
        Ok(archive)
    }

    fn recall(&self, record: &Path) -> Option<ImageArchive> {
        let record: Record = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
        let path = self.folder.join(record.archive);
        path.is_file().then_some(ImageArchive { reference: record.reference, path })
    }

    /// Removes the oldest archives of an image beyond [`KEPT`].
    fn prune(&self, name: &str) -> anyhow::Result<()> {
        let stem = format!("{}-", file_stem(name));
        let mut archives = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(digest) = file_name.to_str().and_then(|text| text.strip_prefix(&stem)?.strip_suffix(".tar"))
            else {
                continue;
            };
            if digest.len() == TAG_DIGITS {
                archives.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        archives.sort();
        let surplus = archives.len().saturating_sub(KEPT);
        for (_, path) in archives.into_iter().take(surplus) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}

fn remember(record: &Path, archive: &ImageArchive) -> anyhow::Result<()> {
    let file_name = archive.path.file_name().context("the archive has no file name")?;
    let content = Record { reference: archive.reference.clone(), archive: file_name.to_string_lossy().into_owned() };
    let mut file = NamedTempFile::new_in(record.parent().context("the record has no folder")?)?;
    file.write_all(&serde_json::to_vec(&content)?)?;
    file.persist(record).with_context(|| format!("cannot write {}", record.display()))?;
    Ok(())
}
