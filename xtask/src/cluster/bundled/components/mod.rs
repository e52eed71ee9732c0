//! The command line and the configuration files of every program of the node. Pure, except [`write_files`].

mod control_plane;
mod helpers;
mod runtime;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::names::{Layout, text};

pub(super) use self::control_plane::ETCD_PORT;
pub(super) use self::helpers::PROVISIONER;
pub(super) use self::runtime::CONTAINERD_SOCKET;

/// The node's own images, which its configuration names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct NodeImages {
    pub(super) pause: String,
    pub(super) coredns: String,
    pub(super) metrics_server: String,
    pub(super) volume_helper: String,
}

/// What the end of a program means for the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnExit {
    /// The node ends and says why.
    EndNode,
    /// The program is started again after a second.
    Restart,
}

/// A program of the node.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// Also the name of its log.
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) on_exit: OnExit,
}

impl Component {
    fn new(layout: &Layout, name: &'static str, arguments: Vec<String>) -> Self {
        Self { name, program: layout.program(name), arguments, on_exit: OnExit::EndNode }
    }
}

/// The programs in the order of their start, in groups that start together once the group before is ready.
pub(super) struct Components {
    pub(super) containerd: Component,
    pub(super) etcd: Component,
    pub(super) api_server: Component,
    /// All that needs the API server.
    pub(super) others: Vec<Component>,
}

/// Every program of the node. `own_program` is this program, for the parts of the node that are ours.
pub(super) fn all(layout: &Layout, images: &NodeImages, own_program: PathBuf) -> Components {
    Components {
        containerd: runtime::containerd(layout),
        etcd: control_plane::etcd(layout),
        api_server: control_plane::api_server(layout),
        others: vec![
            runtime::kubelet(layout),
            control_plane::controller_manager(layout),
            control_plane::scheduler(layout),
            runtime::proxy(layout),
            helpers::provisioner(layout, images),
            helpers::network_policy(layout, own_program),
        ],
    }
}

/// Writes every configuration file.
pub(super) fn write_files(layout: &Layout, images: &NodeImages, snapshotter: &str) -> anyhow::Result<()> {
    fs::create_dir_all(layout.config("cni"))?;
    let files = [
        ("audit-policy.json", control_plane::audit_policy()),
        ("containerd.toml", runtime::containerd_config(layout, &images.pause, snapshotter)),
        ("cni/10-portico.conflist", runtime::cni_config()),
        ("kubelet.json", runtime::kubelet_config(layout)),
        ("proxy.json", runtime::proxy_config(layout)),
        ("provisioner.json", helpers::provisioner_config(layout)),
        ("helper-pod.json", helpers::helper_pod(images)),
    ];
    for (name, content) in files {
        let path = layout.config(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// `--name=value`.
fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

/// `--name=<path of a certificate or key>`.
fn pki_flag(layout: &Layout, name: &str, file: &str) -> String {
    flag(name, text(&layout.pki(file)))
}

/// The three flags by which a controller reaches the API server and lets it vouch for those who ask.
fn kubeconfig_flags(layout: &Layout, user: &str) -> Vec<String> {
    let path = text(&layout.config(&format!("{user}.kubeconfig")));
    ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(|name| flag(name, &path)).to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::names::tests::layout;
    use super::*;

    pub(super) fn images() -> NodeImages {
        let image = |name: &str| format!("portico.dev/node/{name}:dev-0");
        NodeImages {
            pause: image("pause"),
            coredns: image("coredns"),
            metrics_server: image("metrics-server"),
            volume_helper: image("volume-helper"),
        }
    }

    #[test]
    fn no_flag_is_given_twice_and_every_program_has_its_own_log() {
        let all = all(&layout(), &images(), "/xtask".into());
        let mut names = BTreeSet::new();
        for component in [&all.containerd, &all.etcd, &all.api_server].into_iter().chain(&all.others) {
            assert!(names.insert(component.name), "{} is there twice", component.name);
            let flags: Vec<_> =
                component.arguments.iter().filter_map(|flag| flag.split_once('=')).map(|(name, _)| name).collect();
            assert_eq!(flags.len(), flags.iter().collect::<BTreeSet<_>>().len(), "{}: {flags:?}", component.name);
        }
        assert_eq!(names.len(), 9);
    }

    #[test]
    fn a_dead_control_plane_ends_the_node_but_a_dead_helper_does_not() {
        let all = all(&layout(), &images(), "/xtask".into());
        let restarted: Vec<_> =
            all.others.iter().filter(|c| c.on_exit == OnExit::Restart).map(|component| component.name).collect();
        assert_eq!(restarted, ["local-path-provisioner", "network-policy"]);
    }

    #[test]
    fn every_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { data: folder.path().to_owned(), ..layout() };
        write_files(&layout, &images(), "overlayfs").unwrap();
        for component in ["kubelet.json", "proxy.json", "audit-policy.json", "provisioner.json", "helper-pod.json"] {
            let content = fs::read(layout.config(component)).unwrap();
            assert!(serde_json::from_slice::<serde_json::Value>(&content).is_ok(), "{component} is no JSON");
        }
    }
}
