//! The lowest layer of our own images: the C library that our programs are linked with, root certificates, and a user.
//! There is no shell and no package manager in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::layer::{Layer, ROOT};
use super::packages;
use super::store::Key;
use crate::{paths, shell, ui};

/// `uid:gid` of our programs.
pub(crate) const USER: &str = "65532:65532";

const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// glibc's own order of looking up hosts differs between its versions.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Where OpenSSL, rustls-native-certs and Go look on Debian.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

const PACKAGES: [&str; 3] = ["libc6", "libgcc-s1", "ca-certificates"];

/// What a Rust program loads, directly or by way of the name service switch.
const LIBRARIES: [&str; 9] = [
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
];

/// The base layer, and the text that stands for it in the key of an image.
pub(crate) fn layer() -> anyhow::Result<(Layer, String)> {
    let key = key()?;
    let folder = paths::cache()?.join("images/base").join(&key);
    packages::folder(&folder, |content| {
        ui::step(format!("unpack {}", PACKAGES.join(", ")), || collect(packages::unpack(&PACKAGES)?.path(), content))
    })?;
    Ok((assemble(&folder)?, key))
}

/// Changes with the machine's C library: programs do not run with an older one than they were linked with.
fn key() -> anyhow::Result<String> {
    let version = shell::capture(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", "libc6"]))?;
    let files = [PASSWD, GROUP, NSSWITCH].concat();
    Ok(Key::new("base").text(&version).text(&LIBRARIES.join(" ")).text(&files).finish())
}

/// Copies what is wanted of the unpacked packages, flat, into `folder`.
fn collect(unpacked: &Path, folder: &Path) -> anyhow::Result<()> {
    let libraries = Path::new("lib").join(packages::triplet());
    for library in LIBRARIES.into_iter().chain([loader()?.0]) {
        let from = packages::file(unpacked, &libraries.join(library).to_string_lossy())?;
        fs::copy(&from, folder.join(library)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    let mut certificates: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(unpacked.join("usr/share/ca-certificates/mozilla"))? {
        certificates.push(entry?.path());
    }
    certificates.sort();
    let mut bundle = Vec::new();
    for certificate in certificates {
        bundle.extend(fs::read(certificate)?);
    }
    anyhow::ensure!(!bundle.is_empty(), "the package ca-certificates has no certificates");
    fs::write(folder.join("ca-certificates.crt"), bundle)?;
    Ok(())
}

fn assemble(folder: &Path) -> anyhow::Result<Layer> {
    let libraries = format!("usr/lib/{}", packages::triplet());
    let (loader, interpreter) = loader()?;
    let mut layer = Layer::default();
    for library in LIBRARIES.into_iter().chain([loader]) {
        layer.program(&format!("{libraries}/{library}"), &folder.join(library));
    }
    layer
        .link("lib", "usr/lib")
        .link("lib64", "usr/lib64")
        .link(interpreter, &format!("/{libraries}/{loader}"))
        .text(CERTIFICATES, fs::read(folder.join("ca-certificates.crt"))?)
        .text("etc/passwd", PASSWD)
        .text("etc/group", GROUP)
        .text("etc/nsswitch.conf", NSSWITCH)
        .directory("tmp", 0o1777, ROOT);
    Ok(layer)
}

/// The dynamic loader, and where programs of this architecture expect it (their psABI).
fn loader() -> anyhow::Result<(&'static str, &'static str)> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(("ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2")),
        "aarch64" => Ok(("ld-linux-aarch64.so.1", "usr/lib/ld-linux-aarch64.so.1")),
        other => anyhow::bail!("images are made on x86_64 and aarch64, not on {other}"),
    }
}
