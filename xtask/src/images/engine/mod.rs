//! The engines for machines without a registry: root file systems with the users, uids and programs of the official
//! images, so that the same pod specs run both. [`debian`] unpacks them; what an engine has of its own is in its file.
//!
//! Another engine is a file here and an entry in [`ENGINES`]. Writes only to the folder `engines/` of the cache and to
//! what an engine's [`Addition`] names.

mod debian;
mod dynamodb;
mod garage;
mod mariadb;
mod postgresql;
mod rabbitmq;
#[cfg(test)]
mod tests;
mod valkey;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::archive::{Image, Settings};
use super::layer::Layer;
use super::store::{Key, Store};
use super::{ImageArchive, Profile, packages};
use crate::{paths, ui};

/// Every engine, in the order in which they are made: what takes longest comes last.
const ENGINES: [&Engine; 6] =
    [&postgresql::ENGINE, &valkey::ENGINE, &mariadb::ENGINE, &rabbitmq::ENGINE, &dynamodb::ENGINE, &garage::ENGINE];

/// An engine's root file system and image.
struct Engine {
    /// As in the chart's values and in names of objects.
    name: &'static str,
    image: &'static str,
    /// Has the uid and gid 999, as in the official images.
    user: &'static str,
    /// Debian packages beside the common ones.
    packages: &'static [&'static str],
    /// Prefixes of paths that are kept of the packages, beside what every engine has.
    keep: &'static [&'static str],
    /// Prefixes of paths that go nevertheless.
    leave_out: &'static [&'static str],
    /// Folders of the engine's user. The last is its home.
    folders: &'static [&'static str],
    /// The variable `PATH` of the image.
    path: &'static str,
    addition: Option<Addition>,
}

/// What an engine has that is not in Debian.
struct Addition {
    /// All that decides about its content.
    key: &'static [&'static str],
    /// Puts it into the root file system, which is complete but for this.
    add: fn(&Path) -> anyhow::Result<()>,
}

/// The engines' names, as in the chart's values.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ENGINES.iter().map(|engine| engine.name)
}

/// The link to an engine's root file system, the one that tests use too. Looks at nothing.
pub(crate) fn unpacked(name: &str) -> anyhow::Result<PathBuf> {
    Ok(paths::cache()?.join("engines").join(name))
}

/// The images by the engines' names.
pub(crate) fn images(store: &Store, profile: Profile) -> anyhow::Result<BTreeMap<&'static str, ImageArchive>> {
    let image = |engine: &&'static Engine| Ok((engine.name, engine.image(store, profile)?));
    ENGINES.iter().map(image).collect()
}

/// Unpacks every root file system that is not there.
pub(crate) fn unpack_all() -> anyhow::Result<()> {
    ENGINES.iter().try_for_each(|engine| engine.root().map(drop))
}

impl Engine {
    fn image(&self, store: &Store, profile: Profile) -> anyhow::Result<ImageArchive> {
        let root = self.root()?;
        store.image(self.image, self.key().text(&format!("{profile:?}")), || {
            let mut layer = Layer::default();
            layer.tree(&root)?;
            let environment = vec![self.path, "LANG=C.UTF-8"];
            let settings = Settings { user: "999:999", entrypoint: vec![], environment };
            Ok(Image { name: self.image, layers: vec![layer], settings, compress: profile == Profile::Release })
        })
    }

    /// The unpacked root file system; made if it is not there, and linked as `engines/<name>`.
    fn root(&self) -> anyhow::Result<PathBuf> {
        let engines = paths::cache()?.join("engines");
        let directory = format!("{}-{}", self.name, self.key().finish());
        let target = engines.join(&directory);
        packages::folder(&target, |content| {
            let title = format!("unpack {} from Debian trixie (about 20 s)", self.name);
            ui::step(title, || debian::unpack(self, content))?;
            self.addition.as_ref().map_or(Ok(()), |addition| (addition.add)(content))
        })?;
        link(&unpacked(self.name)?, &directory)?;
        Ok(target)
    }

    /// Everything that decides about the content, except Debian's updates: remove the folder to have those.
    fn key(&self) -> Key {
        let addition = self.addition.as_ref().map_or(&[][..], |addition| addition.key);
        let key = Key::new(self.name).text(self.user).text(self.path);
        let key = debian::key(key, &[self.packages, self.keep, self.leave_out, self.folders]);
        addition.iter().fold(key, |key, item| key.text(item))
    }
}

/// Points the link at `target`, with no moment at which it is not there.
fn link(path: &Path, target: &str) -> anyhow::Result<()> {
    if fs::read_link(path).is_ok_and(|current| current == Path::new(target)) {
        return Ok(());
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    symlink(target, &new).with_context(|| format!("cannot create {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot replace {}", path.display()))
}
