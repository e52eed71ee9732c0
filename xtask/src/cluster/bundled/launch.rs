//! Starts and ends the node's process tree from the machine's side.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::names::{ClusterName, Layout};
use super::node::{CONNECTED, Event};
use super::supervise::log_tail;
use super::{cgroups, network};
use crate::poll::poll;
use crate::shell;

/// A killed node's kernel side: processes, cgroups, the link.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// A node that is starting.
pub(super) struct Launch {
    layout: Layout,
    input: ChildStdin,
    events: Receiver<anyhow::Result<Event>>,
}

/// Starts the node in namespaces of its own and connects it to the machine.
pub(super) fn launch(layout: &Layout) -> anyhow::Result<Launch> {
    let log = fs::File::create(layout.log("node"))?;
    let own = std::env::current_exe().context("cannot find this program")?;
    // In a session of its own, so that no terminal's end or Ctrl-C reaches it.
    let mut child = Command::new("setsid")
        .arg(own)
        .args(["node-launch", "--cluster", &layout.name.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start setsid")?;
    let input = child.stdin.take().context("the node has no input")?;
    let output = child.stdout.take().context("the node has no output")?;
    let (sender, events) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let event = line.map_err(anyhow::Error::from).and_then(|line| line.parse());
            if sender.send(event).is_err() {
                return;
            }
        }
        // Reaps the child; the end of the channel is what says that it ended.
        drop(child.wait());
    });
    let mut launch = Launch { layout: layout.clone(), input, events };
    launch.connect()?;
    Ok(launch)
}

impl Launch {
    fn connect(&mut self) -> anyhow::Result<()> {
        let Event::Process(pid) = self.next(Instant::now() + Duration::from_secs(20))? else {
            bail!("the node did not say its process id first");
        };
        fs::write(self.layout.pid_file(), pid.to_string())?;
        cgroups::vacate(&cgroup_folders(&self.layout))?;
        network::connect(&self.layout, pid)?;
        writeln!(self.input, "{CONNECTED}").context("the node does not listen")
    }

    /// Waits until the node says `event`.
    ///
    /// # Errors
    /// When it ends or says nothing until the deadline; with the end of its log.
    pub(super) fn expect(&self, event: Event, deadline: Instant) -> anyhow::Result<()> {
        while self.next(deadline)? != event {}
        Ok(())
    }

    fn next(&self, deadline: Instant) -> anyhow::Result<Event> {
        let tail = || log_tail(&self.layout, "node");
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => bail!("the node did not get ready in time.{}", tail()),
            Err(RecvTimeoutError::Disconnected) => bail!("the node ended while it started.{}", tail()),
        }
    }
}

/// `xtask node-launch`: hidden. Enters the cluster's cgroups, then becomes `unshare`, whose child is the node.
pub(crate) fn enter(name: &ClusterName) -> anyhow::Result<()> {
    let layout = super::load(name)?;
    let folders = cgroups::enter(&layout.cgroup())?;
    let lines: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    fs::write(layout.cgroup_file(), lines.join("\n"))?;
    let own = std::env::current_exe()?;
    let mut command = unshare(&own, name);
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", shell::line(&command)))
}

fn unshare(own: &Path, name: &ClusterName) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
    command.args(["--fork", "--kill-child=SIGKILL", "--"]).arg(own).args(["node", "--cluster", &name.to_string()]);
    command
}

/// A command that runs inside the node.
pub(super) fn inside(pid: u32) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid.to_string()]);
    command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]);
    command
}

/// The node's first process, when it runs.
pub(super) fn running(layout: &Layout) -> Option<u32> {
    let pid: u32 = fs::read_to_string(layout.pid_file()).ok()?.trim().parse().ok()?;
    // Another process may have the number by now.
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    is_node(&arguments, &layout.name).then_some(pid)
}

fn is_node(arguments: &[u8], name: &ClusterName) -> bool {
    let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
    words.windows(3).any(|three| three == [b"node".as_slice(), b"--cluster", name.to_string().as_bytes()])
}

/// Ends the node if it runs, and removes what the kernel leaves: the link and the empty cgroups.
pub(super) fn end(layout: &Layout) -> anyhow::Result<()> {
    if let Some(pid) = running(layout) {
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL).context("cannot end the node")?;
        gone(|| running(layout).is_none().then_some(())).context("the node's first process did not end")?;
    }
    network::disconnect(layout)?;
    for folder in cgroup_folders(layout) {
        let mut refusal = None;
        // The kernel empties the cgroups of killed processes a moment later.
        let removed = gone(|| cgroups::remove(&folder).map_err(|error| refusal = Some(error)).ok());
        removed.with_context(|| format!("cannot remove the cgroup {}: {refusal:?}", folder.display()))?;
    }
    for file in [layout.pid_file(), layout.cgroup_file()] {
        if file.exists() {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    Ok(())
}

fn gone(ask: impl FnMut() -> Option<()>) -> Option<()> {
    poll(GONE_WITHIN, Duration::from_millis(10), ask)
}

fn cgroup_folders(layout: &Layout) -> Vec<PathBuf> {
    let lines = fs::read_to_string(layout.cgroup_file()).unwrap_or_default();
    lines.lines().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_command_line() {
        let name: ClusterName = "demo".parse().unwrap();
        assert!(is_node(b"/x/xtask\0node\0--cluster\0demo\0", &name));
        assert!(!is_node(b"/x/xtask\0node\0--cluster\0demo-2\0", &name));
        assert!(!is_node(b"vi\0node\0", &name));
    }

    #[test]
    fn the_node_dies_with_unshare_and_has_every_namespace() {
        let line = shell::line(&unshare(Path::new("/xtask"), &"demo".parse().unwrap()));
        for namespace in ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--kill-child=SIGKILL"] {
            assert!(line.contains(&format!(" {namespace} ")), "{namespace} is missing: {line}");
        }
        assert!(line.ends_with("-- /xtask node --cluster demo"));
    }
}
