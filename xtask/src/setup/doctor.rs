//! `cargo xtask doctor`: looks, changes nothing.

use std::process::Command;

use super::{go, packages};
use crate::{images, paths, shell, ui};

/// One thing that has to be there.
struct Finding {
    what: String,
    /// What was found, or how to mend it.
    outcome: Result<String, String>,
}

/// Says of each requirement whether it is met and how to mend it.
///
/// # Errors
/// When something is missing.
pub(crate) fn doctor() -> anyhow::Result<()> {
    let mut findings = vec![linux(), root(), program("cargo", "install Rust from https://rustup.rs")];
    findings.push(program("go", "install Go 1.26 or later from https://go.dev/dl"));
    findings.push(docker());
    findings.extend(debian());
    findings.extend(programs()?);
    findings.extend(engines()?);
    let missing = findings.iter().filter(|finding| finding.outcome.is_err()).count();
    for Finding { what, outcome } in &findings {
        match outcome {
            Ok(found) => ui::result(format_args!("ok       {what}: {found}")),
            Err(remedy) => ui::result(format_args!("MISSING  {what}: {remedy}")),
        }
    }
    anyhow::ensure!(missing == 0, "{missing} of {} requirements are not met", findings.len());
    Ok(())
}

fn linux() -> Finding {
    let what = "Linux on x86-64".to_owned();
    let here = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    let fits = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    Finding { what, outcome: if fits { Ok(here) } else { Err(format!("this is {here}: use a virtual machine")) } }
}

fn root() -> Finding {
    let outcome = if nix::unistd::geteuid().is_root() {
        Ok("yes".to_owned())
    } else {
        Err("the bundled node needs root: run as root, or start Docker, and kind is used".to_owned())
    };
    Finding { what: "root".to_owned(), outcome }
}

fn program(name: &str, remedy: &str) -> Finding {
    let argument = if name == "go" { "version" } else { "--version" };
    let outcome = shell::capture(Command::new(name).arg(argument)).map(|text| text.trim().to_owned());
    Finding { what: name.to_owned(), outcome: outcome.map_err(|_| remedy.to_owned()) }
}

/// Never missing: without Docker the bundled node is used.
fn docker() -> Finding {
    let answers = crate::cluster::docker_answers();
    let found = if answers { "answers, so kind is the default provider" } else { "does not answer: bundled node" };
    Finding { what: "Docker".to_owned(), outcome: Ok(found.to_owned()) }
}

fn debian() -> Vec<Finding> {
    let missing = packages::missing();
    let finding = |&(name, purpose): &(&str, &str)| {
        let outcome = match &missing {
            Ok(missing) if !missing.contains(&name) => Ok(purpose.to_owned()),
            Ok(_) => Err(format!("{purpose}: run `cargo xtask setup`, or apt-get install {name}")),
            Err(error) => Err(error.to_string()),
        };
        Finding { what: format!("Debian package {name}"), outcome }
    };
    packages::PACKAGES.iter().map(finding).collect()
}

fn programs() -> anyhow::Result<Vec<Finding>> {
    let folder = paths::kubernetes_programs()?;
    let finding = |name: &str| {
        let path = folder.join(name);
        let remedy = || "run `cargo xtask setup`".to_owned();
        Finding {
            what: name.to_owned(),
            outcome: path.is_file().then(|| path.display().to_string()).ok_or_else(remedy),
        }
    };
    Ok(go::programs().map(finding).collect())
}

fn engines() -> anyhow::Result<Vec<Finding>> {
    let finding = |engine: &'static str| {
        let path = images::unpacked(engine)?;
        let remedy = || "run `cargo xtask setup`".to_owned();
        let outcome = path.is_dir().then(|| path.display().to_string()).ok_or_else(remedy);
        Ok(Finding { what: format!("{engine} for tests and images"), outcome })
    };
    images::engine_names().map(finding).collect()
}
