//! `kubectl port-forward` to a service or pod, for as long as a test needs it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::cluster::program;

/// Until the child says that it listens.
const START: Duration = Duration::from_secs(30);

/// A loopback port that leads to a port of a pod. Dropped, it is closed and its process ended.
pub struct Forward {
    port: u16,
    /// Ended when dropped.
    _child: Child,
    /// Reads on what the child prints, which would stop at a full pipe.
    drain: JoinHandle<()>,
}

impl Forward {
    /// Opens a free loopback port to `target`, such as `svc/auth` or `pod/auth-0`. A service leads to one of its pods
    /// as of now: after that pod has ended, open another.
    ///
    /// # Errors
    /// `kubectl` is missing or ends; the error holds what it said.
    pub async fn open(namespace: &str, target: &str, port: u16) -> anyhow::Result<Self> {
        let mut child = Command::new(program("kubectl")?)
            .args(["port-forward", "--namespace", namespace, "--address=127.0.0.1", target, &format!(":{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting kubectl port-forward")?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let listening = tokio::time::timeout(START, listening(&mut lines)).await;
        let Ok(Ok(Some(local))) = listening else {
            let said = complaint(&mut child).await;
            bail!("kubectl port-forward to {target} port {port} in {namespace} did not listen: {said}");
        };
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { port: local, _child: child, drain })
    }

    /// The URL of the port, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.drain.abort();
    }
}

/// The port in the line `Forwarding from 127.0.0.1:40001 -> 8080`.
async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<Option<u16>> {
    while let Some(line) = lines.next_line().await? {
        let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split_whitespace().next());
        if let Some(port) = port {
            return Ok(Some(port.parse()?));
        }
    }
    Ok(None)
}

async fn complaint(child: &mut Child) -> String {
    let _ = child.start_kill();
    let mut said = String::new();
    if let Some(pipe) = child.stderr.as_mut() {
        let _ = pipe.read_to_string(&mut said).await;
    }
    said
}
