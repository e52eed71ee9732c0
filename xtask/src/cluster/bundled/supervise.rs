//! Keeps the node's programs running, from the node's first process.
//!
//! As process 1 of its namespace it inherits every orphan, so one loop waits for all children: containers' shims that
//! ended are reaped, and a component that ended is reported with the last lines of its log.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::wait::{WaitStatus, wait};

use super::components::{Component, OnExit};
use super::names::Layout;
use crate::poll::pause;
use crate::{shell, ui};

/// Lines of a log that a report shows.
const SHOWN: usize = 15;
/// Between the end of a helper and its next start.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Starts components and knows which process is which. Clones share the knowledge.
#[derive(Clone)]
pub(super) struct Supervisor {
    layout: Layout,
    running: Arc<Mutex<HashMap<i32, Component>>>,
}

impl Supervisor {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, running: Arc::default() }
    }

    /// Starts a component with its log as output.
    pub(super) fn start(&self, component: Component) -> anyhow::Result<()> {
        let path = self.layout.log(component.name);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = Command::new(&component.program);
        command
            .args(&component.arguments)
            .env("TMPDIR", "/run/tmp")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/");
        // Locked before the start, so that the loop does not meet a child it does not know yet.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().with_context(|| format!("cannot start {}", component.program.display()))?;
        running.insert(i32::try_from(child.id())?, component);
        Ok(())
    }

    /// Waits for children until one ends that the node cannot do without. Call it once the first component is started: a
    /// node without any child has ended.
    ///
    /// # Errors
    /// Always, in the end: with what ended, and the last lines of its log.
    pub(super) fn watch(&self) -> anyhow::Result<std::convert::Infallible> {
        loop {
            let status = match wait() {
                Ok(status) => status,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => bail!("cannot wait for the node's processes: {error}"),
            };
            let (pid, how) = match status {
                WaitStatus::Exited(pid, code) => (pid, format!("exit code {code}")),
                WaitStatus::Signaled(pid, signal, _) => (pid, signal.to_string()),
                _ => continue,
            };
            let ended = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid.as_raw());
            if let Some(component) = ended {
                self.ended(component, &how)?;
            }
        }
    }

    fn ended(&self, component: Component, how: &str) -> anyhow::Result<()> {
        let report = format!("{} ended ({how}).{}", component.name, log_tail(&self.layout, component.name));
        if component.on_exit == OnExit::EndNode {
            bail!(report);
        }
        ui::say(format_args!("{report}\n{} is started again", component.name));
        let supervisor = self.clone();
        std::thread::spawn(move || {
            pause(RESTART_AFTER);
            if let Err(error) = supervisor.start(component) {
                ui::say(format_args!("{error:#}"));
            }
        });
        Ok(())
    }
}

/// The end of a component's log, as part of a message.
pub(super) fn log_tail(layout: &Layout, component: &str) -> String {
    let path = layout.log(component);
    let log = fs::read(&path).unwrap_or_default();
    let tail = shell::last_lines(&String::from_utf8_lossy(&log), SHOWN);
    format!(" The last lines of {}:\n{tail}", path.display())
}

/// The ends of the logs of `kube-system`'s containers, as part of a message.
pub(super) fn pod_log_tails(layout: &Layout) -> String {
    let below = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let pods = below(&layout.data.join("logs/pods"));
    let system =
        pods.filter(|pod| pod.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"kube-system_")));
    let logs = system.flat_map(|pod| below(&pod).collect::<Vec<_>>()).filter_map(|container| below(&container).max());
    let tail = |log: PathBuf| {
        let text = fs::read(&log).unwrap_or_default();
        format!(" The last lines of {}:\n{}", log.display(), shell::last_lines(&String::from_utf8_lossy(&text), 5))
    };
    logs.map(tail).collect::<Vec<_>>().join("\n")
}
