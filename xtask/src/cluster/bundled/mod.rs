//! The bundled node: a real single-node Kubernetes without Docker, as one process tree in namespaces of its own.
//!
//! The machine keeps nothing of it but the data folder; when the node's first process ends, processes, mounts, interfaces
//! and cgroups go with it. No setting, route or rule of the machine is changed.

mod add_ons;
mod certificates;
mod cgroups;
mod components;
mod kubeconfig;
pub(crate) mod launch;
mod mounts;
pub(crate) mod names;
mod network;
pub(crate) mod node;
mod supervise;
mod wait;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use self::components::NodeImages;
use self::launch::Launch;
use self::names::{ClusterName, Layout};
use self::node::Event;
use super::provider::Provider;
use crate::images::{self, ImageArchive};
use crate::{paths, setup, shell, ui};

/// Longest start of the components, and longest wait for the pods after it. On an idle machine both take seconds.
const START_WITHIN: Duration = Duration::from_mins(2);
const PODS_WITHIN: Duration = Duration::from_secs(150);

/// A cluster of the bundled node.
pub(crate) struct Bundled {
    layout: Layout,
}

impl Bundled {
    /// The cluster with this name, whether it was ever started or not.
    pub(crate) fn new(name: &ClusterName) -> anyhow::Result<Self> {
        Ok(Self { layout: load(name)? })
    }

    fn is_healthy(&self) -> bool {
        let health = async {
            let client = wait::client(&self.layout.kubeconfig()).await?;
            anyhow::Ok(wait::is_ready(&client).await)
        };
        block_on(health).unwrap_or(false)
    }

    /// Everything before the first process: folders, certificates, configuration.
    fn prepare(&self, images: &NodeImages) -> anyhow::Result<()> {
        let layout = &self.layout;
        for folder in layout.folders() {
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(slot_file(layout), layout.slot.to_string())?;
        certificates::ensure(layout)?;
        kubeconfig::write(layout)?;
        fs::write(layout.config(node::IMAGES_FILE), serde_json::to_vec(images)?)?;
        components::write_files(layout, images, self.snapshotter()?)
    }

    /// Overlays cannot be stacked on an overlay, which is what the data folder is on inside a container.
    fn snapshotter(&self) -> anyhow::Result<&'static str> {
        let kind = nix::sys::statfs::statfs(&self.layout.data)?.filesystem_type();
        Ok(if kind == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC { "native" } else { "overlayfs" })
    }

    fn start_anew(&self, archives: &[ImageArchive]) -> anyhow::Result<()> {
        let (name, start) = (&self.layout.name, Instant::now());
        launch::end(&self.layout)?;
        let images = references(archives)?;
        self.prepare(&images)?;
        if let Err(error) = self.bring_up(archives, &images) {
            let diagnosis = self.diagnosis();
            launch::end(&self.layout)?;
            return Err(error.context(format!("cluster {name} did not start\n{diagnosis}")));
        }
        ui::say(format_args!("cluster {name} is ready after {}", ui::seconds(start.elapsed())));
        Ok(())
    }

    fn bring_up(&self, archives: &[ImageArchive], images: &NodeImages) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_WITHIN;
        let since = this_second()?;
        let launch = ui::step("start the control plane", || {
            let launch = launch::launch(&self.layout)?;
            launch.expect(Event::Containerd, deadline)?;
            // While the API server starts.
            let loaded = std::thread::scope(|scope| {
                let loader = scope.spawn(|| self.load_images(&archives.iter().collect::<Vec<_>>()));
                launch.expect(Event::ApiServer, deadline)?;
                loader.join().unwrap_or_else(|_| bail!("loading the node's images failed"))
            });
            loaded?;
            Ok(launch)
        })?;
        self.settle(&launch, images, since, deadline)
    }

    fn settle(&self, launch: &Launch, images: &NodeImages, since: Timestamp, deadline: Instant) -> anyhow::Result<()> {
        add_ons::apply(&self.layout, images)?;
        launch.expect(Event::Started, deadline)?;
        block_on(async {
            let client = wait::client(&self.layout.kubeconfig()).await?;
            let start = Instant::now();
            wait::node(&client, since, PODS_WITHIN).await?;
            ui::say(format_args!(
                "    node {} is Ready after another {}",
                self.layout.name,
                ui::seconds(start.elapsed())
            ));
            wait::add_ons(&client, since, PODS_WITHIN).await?;
            ui::say(format_args!("    kube-system is Ready after another {}", ui::seconds(start.elapsed())));
            Ok(())
        })
    }

    /// What helps to find out why a start failed.
    fn diagnosis(&self) -> String {
        let pods = launch::running(&self.layout).and_then(|_| {
            let mut kubectl =
                shell::command(self.layout.program("kubectl"), ["get", "nodes,pods", "-A", "--request-timeout=5s"]);
            shell::capture(kubectl.arg("--kubeconfig").arg(self.layout.kubeconfig())).ok()
        });
        let tails = ["node", "kubelet"].map(|component| supervise::log_tail(&self.layout, component));
        format!("{}\n{}\n{}", pods.unwrap_or_default(), tails.join("\n"), supervise::pod_log_tails(&self.layout))
    }

    fn pid(&self) -> anyhow::Result<u32> {
        let name = &self.layout.name;
        launch::running(&self.layout).with_context(|| {
            format!("cluster {name} does not run: start it by `cargo xtask cluster start --cluster {name}`")
        })
    }

    fn ctr(&self) -> anyhow::Result<std::process::Command> {
        let mut command = launch::inside(self.pid()?);
        command.args(["ctr", "--namespace", "k8s.io", "images"]);
        Ok(command)
    }
}

impl Provider for Bundled {
    fn start(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            nix::unistd::geteuid().is_root(),
            "the bundled node needs root: run as root, or start Docker for kind"
        );
        setup::ensure()?;
        let archives = images::node_images()?;
        let _lock = lock()?;
        // Once more, because another cluster may have taken the slot meanwhile.
        let cluster = Self::new(&self.layout.name)?;
        if cluster.is_running() && cluster.is_healthy() {
            ui::say(format_args!("cluster {} runs already and is healthy", cluster.layout.name));
            return Ok(());
        }
        cluster.start_anew(&archives)
    }

    fn stop(&self, keep_data: bool) -> anyhow::Result<()> {
        if !self.layout.data.exists() {
            return Ok(());
        }
        let _lock = lock()?;
        launch::end(&self.layout)?;
        if keep_data {
            return Ok(());
        }
        let data = &self.layout.data;
        fs::remove_dir_all(data).with_context(|| format!("cannot remove {}", data.display()))?;
        // Our folders above go with the last cluster; they stay while anything is in them.
        let ours = |folder: &&std::path::Path| folder.ends_with("clusters") || folder.ends_with("portico");
        data.ancestors().skip(1).take(2).filter(ours).try_for_each(fs::remove_dir).or(Ok(()))
    }

    fn load_images(&self, images: &[&ImageArchive]) -> anyhow::Result<()> {
        let known = shell::capture(self.ctr()?.args(["list", "--quiet"]))?;
        for image in images.iter().filter(|image| !known.lines().any(|line| line == image.reference)) {
            let archive =
                fs::File::open(&image.path).with_context(|| format!("cannot open {}", image.path.display()))?;
            let mut command = self.ctr()?;
            // Over a pipe, because the node may not see the cache's folder.
            command.args(["import", "--snapshotter", self.snapshotter()?, "-"]).stdin(archive).stdout(Stdio::null());
            let output = command.stderr(Stdio::piped()).output()?;
            if !output.status.success() {
                bail!("cannot load {}: {}", image.reference, String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(())
    }

    fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    fn folder(&self) -> PathBuf {
        self.layout.data.clone()
    }

    fn audit_log(&self) -> Option<PathBuf> {
        Some(self.layout.audit_log())
    }

    fn run_inside(&self, command: &[String]) -> anyhow::Result<ExitStatus> {
        Ok(launch::inside(self.pid()?).args(command).status()?)
    }

    fn status(&self) -> anyhow::Result<String> {
        let Layout { name, data, .. } = &self.layout;
        Ok(match launch::running(&self.layout) {
            Some(pid) if self.is_healthy() => format!("{name}: running, process {pid}, {}", self.layout.server()),
            Some(pid) => format!("{name}: process {pid} runs, but the API server does not answer"),
            None if data.exists() => format!("{name}: stopped, data in {}", data.display()),
            None => format!("{name}: not there"),
        })
    }

    fn is_running(&self) -> bool {
        launch::running(&self.layout).is_some()
    }

    fn logs(&self, component: &str) -> anyhow::Result<String> {
        let path = self.layout.log(component);
        if let Ok(text) = fs::read(&path) {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        let folder = self.layout.data.join("logs");
        let known: BTreeSet<String> = fs::read_dir(&folder)
            .with_context(|| format!("there are no logs in {}", folder.display()))?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".log").map(str::to_owned))
            .collect();
        bail!("there is no log of {component:?}; there are: {}", known.into_iter().collect::<Vec<_>>().join(" "))
    }
}

/// The layout of a cluster. Its slot is the one on record, or the one it would get now.
fn load(name: &ClusterName) -> anyhow::Result<Layout> {
    let clusters = paths::clusters();
    let data = std::path::absolute(clusters.join(name.to_string()))?;
    let programs = paths::kubernetes_programs()?;
    // Through the link `current`, which may point elsewhere before the node ends.
    let programs = fs::canonicalize(&programs).unwrap_or(programs);
    let mut layout = Layout { name: name.clone(), slot: 0, data, programs };
    layout.slot = match recorded_slot(&slot_file(&layout)) {
        Some(slot) => slot,
        None => names::slot(name, &taken_slots(&clusters)).context("there are too many clusters: remove some")?,
    };
    Ok(layout)
}

fn slot_file(layout: &Layout) -> PathBuf {
    layout.data.join("slot")
}

fn recorded_slot(path: &std::path::Path) -> Option<u16> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn taken_slots(clusters: &std::path::Path) -> BTreeSet<u16> {
    let entries = fs::read_dir(clusters).into_iter().flatten().flatten();
    entries.filter_map(|entry| recorded_slot(&entry.path().join("slot"))).collect()
}

/// One at a time starts or ends a cluster. Held until it is dropped.
fn lock() -> anyhow::Result<fs::File> {
    let folder = paths::clusters();
    loop {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let file = fs::File::open(&folder)?;
        if file.try_lock().is_err() {
            ui::say("another cluster is being started or ended: waiting for it");
            file.lock()?;
        }
        // The last cluster to end removes the folder, and who waited then holds nothing.
        if fs::metadata(&folder).is_ok_and(|now| file.metadata().is_ok_and(|held| held.ino() == now.ino())) {
            return Ok(file);
        }
    }
}

/// Finds the four images by name.
fn references(archives: &[ImageArchive]) -> anyhow::Result<NodeImages> {
    let find = |name: &str| {
        let wanted = format!("portico.dev/node/{name}");
        let found = archives.iter().find(|archive| archive.name() == wanted);
        found.map(|archive| archive.reference.clone()).with_context(|| format!("there is no image {wanted}"))
    };
    Ok(NodeImages {
        pause: find("pause")?,
        coredns: find("coredns")?,
        metrics_server: find("metrics-server")?,
        volume_helper: find("volume-helper")?,
    })
}

/// Now, as the API server writes it: in whole seconds.
#[expect(clippy::disallowed_methods, reason = "compared with what the kubelet says, which has the machine's clock too")]
fn this_second() -> anyhow::Result<Timestamp> {
    Ok(Timestamp::from_second(Timestamp::now().as_second())?)
}

/// Runs async work to its end on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
