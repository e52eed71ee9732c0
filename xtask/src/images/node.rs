//! The images of the bundled node: what its pods need before anything of ours runs. `CoreDNS` and metrics-server are
//! static programs out of the cache; `pause` is compiled here; the helper of the volume provisioner is `BusyBox`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::archive::{Image, Settings};
use super::layer::Layer;
use super::store::{Key, Store};
use super::{ImageArchive, packages};
use crate::{paths, shell};

const PAUSE_SOURCE: &str = include_str!("../../node-images/pause.c");

/// What the set-up and tear-down scripts of local-path-provisioner call.
const HELPER_PROGRAMS: [&str; 4] = ["chmod", "mkdir", "rm", "sh"];

pub(crate) fn images(store: &Store) -> anyhow::Result<Vec<ImageArchive>> {
    let binaries = paths::kubernetes_programs()?;
    Ok(vec![
        pause(store)?,
        go_program(store, "portico.dev/node/coredns", &binaries, "coredns", "/usr/bin/coredns")?,
        go_program(store, "portico.dev/node/metrics-server", &binaries, "metrics-server", "/usr/bin/metrics-server")?,
        volume_helper(store)?,
    ])
}

fn pause(store: &Store) -> anyhow::Result<ImageArchive> {
    let name = "portico.dev/node/pause";
    store.image(name, Key::new(PAUSE_SOURCE), || {
        let program = compile(PAUSE_SOURCE)?;
        let mut layer = Layer::default();
        // Read now, because the program goes with the temporary file.
        layer.executable("usr/bin/pause", std::fs::read(&program)?);
        Ok(plain_image(name, layer, "/usr/bin/pause", "65532:65532"))
    })
}

/// Compiles a C program statically, and leaves out all that it can do without.
fn compile(source: &str) -> anyhow::Result<tempfile::TempPath> {
    let program = NamedTempFile::new()?.into_temp_path();
    let mut text = tempfile::Builder::new().suffix(".c").tempfile()?;
    std::io::Write::write_all(&mut text, source.as_bytes())?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-Os", "-s", "-Wall", "-Werror", "-Wl,--build-id=none", "-o"]).args([&*program, text.path()]);
    shell::capture(&mut gcc).context("cannot build node-images/pause.c")?;
    Ok(program)
}

fn go_program(
    store: &Store,
    name: &'static str,
    binaries: &Path,
    file: &str,
    path: &'static str,
) -> anyhow::Result<ImageArchive> {
    let program: PathBuf = binaries.join(file);
    anyhow::ensure!(program.is_file(), "{} is missing: run `cargo xtask setup`", program.display());
    store.image(name, Key::new(name).file(&program)?, || {
        let mut layer = Layer::default();
        layer.program(path.trim_start_matches('/'), &program);
        Ok(plain_image(name, layer, path, "65532:65532"))
    })
}

fn volume_helper(store: &Store) -> anyhow::Result<ImageArchive> {
    let name = "portico.dev/node/volume-helper";
    store.image(name, Key::new(name).text(&HELPER_PROGRAMS.join(" ")), || {
        let unpacked = packages::unpack(&["busybox-static"])?;
        let mut layer = Layer::default();
        layer.executable("bin/busybox", std::fs::read(packages::file(unpacked.path(), "bin/busybox")?)?);
        for program in HELPER_PROGRAMS {
            layer.link(&format!("bin/{program}"), "busybox");
        }
        // Root: the provisioner makes folders on the node's own file system.
        Ok(plain_image(name, layer, "/bin/sh", "0:0"))
    })
}

fn plain_image(name: &'static str, layer: Layer, entrypoint: &'static str, user: &'static str) -> Image {
    let environment = vec!["PATH=/usr/bin:/bin"];
    let settings = Settings { user, entrypoint: vec![entrypoint], environment };
    Image { name, layers: vec![layer], settings, compress: false }
}
