//! A loopback port of the machine that leads to a service of a cluster, for as long as the cluster runs.
//!
//! A process of this program in the background keeps `kubectl port-forward` running: that one ends with the pod that it
//! leads to. Where it listens, and its process, is on record in the cluster's folder.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::cluster::provider::Provider;
use crate::poll::pause;
use crate::{platform, ui};

/// Ports that are tried, the first free one is taken.
const PORTS: std::ops::Range<u16> = 8080..8180;

/// Between two attempts to reach the service.
const PAUSE: Duration = Duration::from_millis(500);

/// What is on record.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: i32,
    port: u16,
}

/// Opens a port to port 80 of a service of the namespace `default`, or finds it open. Hands back its URL.
pub(crate) fn open(cluster: &dyn Provider, name: &str, service: &str) -> anyhow::Result<String> {
    if let Some(record) = read(cluster).filter(is_alive) {
        return Ok(url(record.port));
    }
    let port = free_port().context("every loopback port from 8080 to 8179 is taken")?;
    let log = fs::File::create(cluster.folder().join("forward.log"))?;
    // In a session of its own: it outlives the terminal, and can be ended as a group.
    let child = Command::new("setsid")
        .arg(std::env::current_exe()?)
        .args(["forward", "--cluster", name, "--service", service, "--port", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start setsid")?;
    let record = Record { pid: i32::try_from(child.id())?, port };
    fs::write(file(cluster), serde_json::to_vec(&record)?)?;
    Ok(url(port))
}

/// `xtask forward`: hidden. Ends with the cluster.
pub(crate) fn run(cluster: &dyn Provider, service: &str, port: u16) -> anyhow::Result<()> {
    let (target, ports) = (format!("service/{service}"), format!("{port}:80"));
    while cluster.is_running() {
        let mut kubectl = platform::kubectl(cluster, &["port-forward", "--address=127.0.0.1", &target, &ports])?;
        let status = kubectl.stdin(Stdio::null()).status().context("cannot start kubectl")?;
        ui::say(format_args!("kubectl port-forward ended with {status}: once more"));
        pause(PAUSE);
    }
    Ok(())
}

/// Closes the port, if one is open.
pub(crate) fn close(cluster: &dyn Provider) -> anyhow::Result<()> {
    if let Some(record) = read(cluster) {
        if is_alive(&record) {
            killpg(Pid::from_raw(record.pid), Signal::SIGTERM).context("cannot end the port-forward")?;
        }
        fs::remove_file(file(cluster))?;
    }
    Ok(())
}

fn file(cluster: &dyn Provider) -> PathBuf {
    cluster.folder().join("forward.json")
}

fn read(cluster: &dyn Provider) -> Option<Record> {
    serde_json::from_slice(&fs::read(file(cluster)).ok()?).ok()
}

/// Another process may have the number by now.
fn is_alive(record: &Record) -> bool {
    let arguments = fs::read(format!("/proc/{}/cmdline", record.pid)).unwrap_or_default();
    is_forward(&arguments, record.port)
}

fn is_forward(arguments: &[u8], port: u16) -> bool {
    let mut words = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.by_ref().any(|word| word == "forward") && words.any(|word| word == port.to_string())
}

fn free_port() -> Option<u16> {
    PORTS.into_iter().find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_known_by_its_command_line() {
        let line = b"/x/xtask\0forward\0--cluster\0demo\0--service\0auth\0--port\08080\0";
        assert!(is_forward(line, 8080));
        assert!(!is_forward(line, 8081));
        assert!(!is_forward(b"vi\08080\0", 8080));
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = free_port().unwrap();
        let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        assert_ne!(free_port(), Some(taken));
    }
}
