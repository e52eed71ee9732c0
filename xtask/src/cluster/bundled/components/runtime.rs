//! What runs pods: containerd, the network plugins, the kubelet and kube-proxy.

use std::path::PathBuf;

use serde_json::json;

use super::{Component, flag};
use crate::cluster::bundled::names::{DNS_SERVICE, DOMAIN, Layout, NODE_POD_RANGE, POD_RANGE, text};

/// Below `/run`, which is the node's own.
pub(in super::super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Where Debian puts the network plugins.
const CNI_PROGRAMS: &str = "/usr/lib/cni";

pub(super) fn containerd(layout: &Layout) -> Component {
    let arguments = vec![flag("config", text(&layout.config("containerd.toml")))];
    Component { program: PathBuf::from("/usr/bin/containerd"), ..Component::new(layout, "containerd", arguments) }
}

/// Content and snapshots are in the data folder; state is on the node's `/run`, so that nothing of a killed node is
/// taken for alive.
pub(super) fn containerd_config(layout: &Layout, pause: &str, snapshotter: &str) -> String {
    let root = text(&layout.data.join("containerd"));
    let cni = text(&layout.config("cni"));
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
path = "/run/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE nothing may lower its OOM score, and every pod would fail.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PROGRAMS}"
conf_dir = "{cni}"
"#
    )
}

/// `ptp`, not `bridge`: traffic between pods is routed, so that rules in the forward hook see all of it.
pub(super) fn cni_config() -> String {
    let config = json!({
        "cniVersion": "1.0.0",
        "name": "portico",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    // With the node's /run: leases of a killed node's pods are gone with it.
                    "dataDir": "/run/cni/networks",
                    "ranges": [[{"subnet": NODE_POD_RANGE}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    config.to_string()
}

pub(super) fn kubelet(layout: &Layout) -> Component {
    let arguments = vec![
        flag("config", text(&layout.config("kubelet.json"))),
        flag("kubeconfig", text(&layout.config("kubelet.kubeconfig"))),
        flag("root-dir", text(&layout.data.join("kubelet"))),
        flag("hostname-override", &layout.name),
        flag("node-ip", layout.node_address()),
    ];
    Component::new(layout, "kubelet", arguments)
}

pub(super) fn kubelet_config(layout: &Layout) -> String {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": text(&layout.pki("ca.crt"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": text(&layout.pki("kubelet.crt")),
        "tlsPrivateKeyFile": text(&layout.pki("kubelet.key")),
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        // There is no DNS outside the cluster.
        "resolvConf": "",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": false,
        "maxPods": 200,
        "podLogsDir": text(&layout.data.join("logs/pods")),
        "volumePluginDir": text(&layout.data.join("kubelet/plugins")),
        // The machine's disk and memory are its owner's business, and what was loaded cannot be pulled again.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": false,
        // Until a changed Secret is in the pods that mount it; a minute would be most of a test.
        "syncFrequency": "10s",
        "registerNode": true,
    });
    config.to_string()
}

pub(super) fn proxy(layout: &Layout) -> Component {
    Component::new(layout, "kube-proxy", vec![flag("config", text(&layout.config("proxy.json")))])
}

/// nftables needs no kernel module; with no limit on connections, no setting of the machine is touched.
pub(super) fn proxy_config(layout: &Layout) -> String {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_RANGE,
        "clientConnection": {"kubeconfig": text(&layout.config("proxy.kubeconfig"))},
        "conntrack": {"maxPerCore": 0},
        "hostnameOverride": layout.name.to_string(),
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
    });
    config.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::super::names::tests::layout;
    use super::*;

    #[test]
    fn containerd_runs_pods_without_the_right_to_lower_oom_scores() {
        let config = containerd_config(&layout(), "portico.dev/node/pause:dev-0", "overlayfs");
        assert!(config.contains("\nrestrict_oom_score_adj = true\n"));
        assert!(config.contains("sandbox_image = \"portico.dev/node/pause:dev-0\""));
        assert!(config.contains("root = \"/data/demo/containerd\""));
        assert!(config.contains("conf_dir = \"/data/demo/config/cni\""));
    }

    #[test]
    fn the_kubelet_never_collects_images_and_keeps_its_files_in_the_data_folder() {
        let config: serde_json::Value = serde_json::from_str(&kubelet_config(&layout())).unwrap();
        assert_eq!(config["imageGCHighThresholdPercent"], 100);
        assert_eq!(config["failCgroupV1"], false);
        assert_eq!(config["podLogsDir"], "/data/demo/logs/pods");
        assert_eq!(config["resolvConf"], "");
    }

    #[test]
    fn pods_are_routed_to_one_another() {
        let config: serde_json::Value = serde_json::from_str(&cni_config()).unwrap();
        let types: Vec<_> = config["plugins"].as_array().unwrap().iter().map(|plugin| plugin["type"].clone()).collect();
        assert_eq!(types, ["ptp", "portmap"]);
    }
}
