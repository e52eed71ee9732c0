//! The node's own process: the first one in its namespaces. Prepares mounts and network, starts the components in order,
//! and keeps watch over them; when it ends, the kernel ends all of the node.
//!
//! It talks with the one who starts it over its standard input and output, a line each: see [`Event`].

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::components::{self, CONTAINERD_SOCKET, Components, ETCD_PORT, NodeImages};
use super::names::{ClusterName, Layout};
use super::supervise::{Supervisor, log_tail};
use super::{cgroups, mounts, network};
use crate::poll::poll;
use crate::ui;

/// Where the node finds which images it uses; a file of `config/`.
pub(super) const IMAGES_FILE: &str = "images.json";

/// Answer of the starter to [`Event::Process`], once the node's link is there.
pub(super) const CONNECTED: &str = "connected";

/// Longest wait for a component to answer. A loaded machine with two cores needs a tenth of it.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the node tells its starter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The namespaces are made; the node's process id as the machine sees it.
    Process(u32),
    /// containerd answers.
    Containerd,
    /// The API server is ready.
    ApiServer,
    /// Every component is started.
    Started,
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Containerd => f.write_str("containerd"),
            Self::ApiServer => f.write_str("kube-apiserver"),
            Self::Started => f.write_str("started"),
        }
    }
}

impl std::str::FromStr for Event {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        match line {
            "containerd" => Ok(Self::Containerd),
            "kube-apiserver" => Ok(Self::ApiServer),
            "started" => Ok(Self::Started),
            _ => match line.strip_prefix("process ").map(str::parse) {
                Some(Ok(pid)) => Ok(Self::Process(pid)),
                _ => bail!("the node said {line:?}, which means nothing"),
            },
        }
    }
}

/// `xtask node`: hidden, run by [`super::launch`] inside new namespaces. Ends only by an error.
pub(crate) fn run(name: &ClusterName) -> anyhow::Result<()> {
    let layout = super::load(name)?;
    let images: NodeImages = serde_json::from_slice(&fs::read(layout.config(IMAGES_FILE))?)?;
    let hierarchies = cgroups::hierarchies()?;
    tell(Event::Process(machine_pid()?))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    anyhow::ensure!(answer.trim() == CONNECTED, "the start was given up");
    nix::unistd::sethostname(layout.name.to_string())?;
    mounts::prepare(&layout, &hierarchies)?;
    network::prepare(&layout)?;
    // By this name even when a later build has replaced the program.
    let components = components::all(&layout, &images, PathBuf::from("/proc/self/exe"));
    let supervisor = Supervisor::new(layout.clone());
    supervisor.start(components.containerd.clone())?;
    let starter = supervisor.clone();
    std::thread::spawn(move || {
        if let Err(error) = start(&layout, &starter, components) {
            ui::say(format_args!("{error:#}"));
            // Ends the first process, and with it the node.
            std::process::exit(1);
        }
    });
    supervisor.watch()?;
    Ok(())
}

/// The node's process id outside: the old `/proc` is still mounted.
fn machine_pid() -> anyhow::Result<u32> {
    let link = fs::read_link("/proc/self").context("/proc is not mounted")?;
    Ok(link.to_string_lossy().parse()?)
}

/// Starts everything else in order.
fn start(layout: &Layout, supervisor: &Supervisor, components: Components) -> anyhow::Result<()> {
    supervisor.start(components.etcd)?;
    wait_for(layout, "etcd", || TcpStream::connect(("127.0.0.1", ETCD_PORT)).is_ok())?;
    supervisor.start(components.api_server)?;
    wait_for(layout, "containerd", || UnixStream::connect(Path::new(CONTAINERD_SOCKET)).is_ok())?;
    tell(Event::Containerd)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(super::wait::client(&layout.kubeconfig()))?;
    wait_for(layout, "kube-apiserver", || runtime.block_on(super::wait::is_ready(&client)))?;
    tell(Event::ApiServer)?;
    for component in components.others {
        supervisor.start(component)?;
    }
    // The starter may have gone: it was told what it waits for first.
    tell(Event::Started).or(Ok(()))
}

/// Asks again and again: none of these programs says by itself when it is ready.
fn wait_for(layout: &Layout, component: &str, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    let answer = poll(PATIENCE, Duration::from_millis(50), || ready().then_some(()));
    answer.with_context(|| {
        format!("{component} did not answer within {}.{}", ui::seconds(PATIENCE), log_tail(layout, component))
    })
}

fn tell(event: Event) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{event}").and_then(|()| output.flush()).context("the one who started the node is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_pipe() {
        for event in [Event::Process(42), Event::Containerd, Event::ApiServer, Event::Started] {
            assert_eq!(event.to_string().parse::<Event>().unwrap(), event);
        }
        assert!("process x".parse::<Event>().is_err());
    }
}
