//! `DynamoDB` Local 3.0, a Java program of Amazon's, laid out as in their image: `DynamoDBLocal.jar` and the folder
//! `DynamoDBLocal_lib` in the home of its user. Maven copies the files that `pom.xml` beside this file names; they are
//! used only when they are exactly those of `SHA256SUMS`. The native library is for x86-64.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{Addition, Engine, debian};
use crate::images::archive::hex;
use crate::{shell, ui};

const POM: &str = include_str!("pom.xml");
const SUMS: &str = include_str!("SHA256SUMS");

const HOME: &str = "home/dynamodblocal";
const PROGRAM: &str = "DynamoDBLocal-3.0.0.jar";
const NATIVE: &str = "libsqlite4java-linux-amd64-1.0.392.so";

/// Files for other systems, which the packages for ours name too.
const EXCEPT: [&str; 2] = ["-DexcludeTypes=dll,dylib", "-DexcludeArtifactIds=libsqlite4java-linux-i386"];

pub(super) const ENGINE: Engine = Engine {
    name: "dynamodb",
    image: "portico.dev/dynamodb",
    user: "dynamodblocal",
    packages: &["openjdk-21-jre-headless"],
    keep: &["etc/java-21-openjdk/", "usr/lib/jvm/"],
    leave_out: &[
        "usr/lib/jvm/java-21-openjdk-amd64/man/",
        // For heaps of more than 32 GB.
        "usr/lib/jvm/java-21-openjdk-amd64/lib/server/classes_nocoops.jsa",
    ],
    folders: &[HOME],
    path: "PATH=/usr/bin:/bin",
    addition: Some(Addition { key: &[POM, SUMS], add }),
};

fn add(root: &Path) -> anyhow::Result<()> {
    let copied = TempDir::new()?;
    ui::step("copy DynamoDB Local from Maven's repository (about 10 s)", || copy(copied.path()))?;
    check(copied.path(), SUMS)?;
    install(copied.path(), &root.join(HOME))?;
    debian::symlink_once(&format!("../lib/jvm/{}/bin/java", runtime(root)?), &root.join("usr/bin/java"))
}

/// Lets Maven copy everything into `folder`. What Maven itself needs goes into a folder that is removed afterwards.
fn copy(folder: &Path) -> anyhow::Result<()> {
    let own = TempDir::new()?;
    let pom = own.path().join("pom.xml");
    fs::write(&pom, POM)?;
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime"]).args(EXCEPT);
    command.arg("--file").arg(&pom).arg(format!("-Dmaven.repo.local={}", own.path().join("repository").display()));
    shell::capture(command.arg(format!("-DoutputDirectory={}", folder.display())))?;
    Ok(())
}

/// Fails when the files of `folder` are not exactly those of `sums`, which has lines as sha256sum writes them.
fn check(folder: &Path, sums: &str) -> anyhow::Result<()> {
    let wanted: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let sum =
            wanted.get(name.as_ref()).with_context(|| format!("Maven copied {name}, which is not in SHA256SUMS"))?;
        let found = hex(&Sha256::digest(fs::read(&path)?));
        anyhow::ensure!(found == *sum, "{name} has the SHA-256 {found}, and SHA256SUMS says {sum}");
        count += 1;
    }
    anyhow::ensure!(count == wanted.len(), "Maven copied {count} of the {} files in SHA256SUMS", wanted.len());
    Ok(())
}

/// Puts the files where Amazon's image has them.
fn install(copied: &Path, home: &Path) -> anyhow::Result<()> {
    let libraries = home.join("DynamoDBLocal_lib");
    fs::create_dir_all(&libraries)?;
    for entry in fs::read_dir(copied)? {
        let name = entry?.file_name();
        let target = match name.to_str() {
            Some(PROGRAM) => home.join("DynamoDBLocal.jar"),
            // The name under which it is looked for.
            Some(NATIVE) => libraries.join("libsqlite4java-linux-amd64.so"),
            _ => libraries.join(&name),
        };
        fs::copy(copied.join(&name), &target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

/// The folder of the Java runtime, whose name ends in Debian's name of the architecture.
fn runtime(root: &Path) -> anyhow::Result<String> {
    let names = fs::read_dir(root.join("usr/lib/jvm"))?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .into_iter()
        .find(|name| name.starts_with("java-21-openjdk-"))
        .context("the Java runtime is not in usr/lib/jvm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_used_only_when_all_of_them_are_the_known_ones() {
        let folder = TempDir::new().unwrap();
        let sum = hex(&Sha256::digest("content"));
        let sums = format!("{sum}  a.jar\n{sum}  b.so\n");
        let said = || format!("{:#}", check(folder.path(), &sums).unwrap_err());
        fs::write(folder.path().join("a.jar"), "content").unwrap();
        assert!(said().contains("1 of the 2"), "{}", said());
        fs::write(folder.path().join("b.so"), "other").unwrap();
        assert!(said().contains("b.so has the SHA-256"), "{}", said());
        fs::write(folder.path().join("b.so"), "content").unwrap();
        check(folder.path(), &sums).unwrap();
        fs::write(folder.path().join("c.jar"), "content").unwrap();
        assert!(said().contains("c.jar, which is not in SHA256SUMS"), "{}", said());
    }

    #[test]
    fn the_known_files_have_the_program_and_its_native_library() {
        for name in [PROGRAM, NATIVE] {
            assert!(SUMS.lines().any(|line| line.ends_with(&format!("  {name}"))), "{name}");
        }
    }
}
