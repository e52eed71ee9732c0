//! The Debian packages that the bundled node and the images need. Installs only what is missing, and asks the package
//! mirror only then.

use std::process::Command;

use anyhow::Context as _;

use crate::{shell, ui};

/// Packages, and what of the project needs them.
pub(super) const PACKAGES: [(&str, &str); 16] = [
    ("containerd", "runs the pods"),
    ("runc", "runs the pods' containers"),
    ("containernetworking-plugins", "connects the pods"),
    ("conntrack", "kube-proxy forgets old connections with it"),
    ("iptables", "the port mappings of pods"),
    ("nftables", "services and network policies"),
    ("iproute2", "the node's network"),
    ("util-linux", "the node's namespaces"),
    ("mmdebstrap", "builds the images"),
    ("gcc", "links our programs"),
    ("libc6-dev", "links our programs"),
    ("make", "builds a library of Garage's"),
    ("maven", "copies DynamoDB Local"),
    ("curl", "asks whether a service answers"),
    ("openssl", "checks certificates in tests"),
    ("ca-certificates", "go and cargo fetch modules with it"),
];

/// The packages that are not installed.
pub(super) fn missing() -> anyhow::Result<Vec<&'static str>> {
    let names = PACKAGES.map(|(name, _)| name);
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(names)
        .output()
        .context("cannot start dpkg-query: the bundled node needs Debian or a relative of it")?;
    let installed = parse(&String::from_utf8_lossy(&output.stdout));
    Ok(names.into_iter().filter(|name| !installed.iter().any(|found| found == name)).collect())
}

/// The installed packages in dpkg-query's answer, which holds a line `name status` for each one that it knows.
fn parse(answer: &str) -> Vec<String> {
    answer.lines().filter_map(|line| line.strip_suffix(" installed")).map(str::to_owned).collect()
}

/// Installs what is missing.
pub(super) fn install() -> anyhow::Result<()> {
    let missing = missing()?;
    if missing.is_empty() {
        return Ok(());
    }
    anyhow::ensure!(
        nix::unistd::geteuid().is_root(),
        "these Debian packages are missing and only root can install them: {0}\nsudo apt-get install {0}",
        missing.join(" ")
    );
    ui::step(format!("install Debian packages: {}", missing.join(" ")), || {
        apt_get(&["update", "-q"])?;
        apt_get(&[&["install", "-q", "-y", "--no-install-recommends"], missing.as_slice()].concat())
    })
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = shell::command("apt-get", arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    // A service that starts by itself, as containerd's does, would be a second runtime on the machine.
    command.env("RUNLEVEL", "1");
    shell::capture(&mut command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        assert_eq!(parse("runc installed\ncontainerd config-files\nnftables not-installed\n"), ["runc"]);
    }
}
