//! The images of our own programs: Cargo builds them, the base layer carries them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;

use super::archive::{Image, Settings};
use super::layer::Layer;
use super::store::{Key, Store};
use super::{ImageArchive, Profile, base};
use crate::{paths, ui};

struct Program {
    image: &'static str,
    /// The package and its binary.
    binary: &'static str,
    path: &'static str,
}

const OPERATOR: Program =
    Program { image: "portico.dev/operator", binary: "portico-operator", path: "/usr/bin/portico-operator" };
const AUTH_SERVICE: Program =
    Program { image: "portico.dev/auth-service", binary: "auth-service", path: "/usr/bin/auth-service" };

/// The consumer of the end-to-end tests; no part of an installation.
const LOAD_CLIENT: Program = Program {
    image: "portico.dev/test/load-client",
    binary: "portico-load-client",
    path: "/usr/bin/portico-load-client",
};

/// The image of the load client. Blocks; builds it with Cargo.
pub(crate) fn load_client() -> anyhow::Result<ImageArchive> {
    let built = build(&[&LOAD_CLIENT], Profile::Dev)?;
    image(&Store::open()?, &LOAD_CLIENT, Profile::Dev, &built)
}

/// The images of the operator and the auth service.
pub(crate) fn images(store: &Store, profile: Profile) -> anyhow::Result<(ImageArchive, ImageArchive)> {
    let built = build(&[&OPERATOR, &AUTH_SERVICE], profile)?;
    Ok((image(store, &OPERATOR, profile, &built)?, image(store, &AUTH_SERVICE, profile, &built)?))
}

fn image(
    store: &Store,
    program: &Program,
    profile: Profile,
    built: &BTreeMap<String, PathBuf>,
) -> anyhow::Result<ImageArchive> {
    let executable = built.get(program.binary);
    let executable = executable.with_context(|| format!("Cargo did not say where {} is", program.binary))?;
    let (base, base_key) = base::layer()?;
    let key = Key::new(program.image).text(&format!("{profile:?}")).text(&base_key).file(executable)?;
    store.image(program.image, key, || {
        let mut layer = Layer::default();
        layer.program(program.path.trim_start_matches('/'), executable);
        let settings =
            Settings { user: base::USER, entrypoint: vec![program.path], environment: vec!["PATH=/usr/bin"] };
        let compress = profile == Profile::Release;
        Ok(Image { name: program.image, layers: vec![base, layer], settings, compress })
    })
}

/// Builds the programs in one go and returns their files by name. Cargo's own progress and errors go to standard error.
fn build(programs: &[&Program], profile: Profile) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--message-format=json-render-diagnostics"]);
    for program in programs {
        command.args(["--bin", program.binary]);
        // What is shipped has no feature that only another program wants. Without a package, Cargo takes the features of
        // the whole workspace, and the build is shared with the tests.
        if profile == Profile::Release {
            command.args(["--package", program.binary]);
        }
    }
    if profile == Profile::Release {
        command.args(["--release", "--locked"]);
    }
    command.current_dir(paths::repository()).stderr(Stdio::inherit());
    ui::step("build our programs", || {
        let output = command.output().context("cannot start cargo: is it on PATH?")?;
        anyhow::ensure!(output.status.success(), "cargo build failed ({}); see its errors above", output.status);
        Ok(executables(&output.stdout))
    })
}

/// A message of Cargo, as far as it concerns executables.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

fn executables(messages: &[u8]) -> BTreeMap<String, PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n');
    let paths = messages.filter_map(|line| serde_json::from_slice::<Message>(line).ok()?.executable);
    paths.filter_map(|path| Some((file_name(&path)?, path))).collect()
}

fn file_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}
