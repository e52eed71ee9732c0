//! The two processes that are Deployments elsewhere and run beside the kubelet here: the provisioner of volumes and the
//! enforcer of network policies. Both need no pod of their own, which makes the node's start shorter.

use std::path::PathBuf;

use serde_json::json;

use super::{Component, NodeImages, OnExit, flag};
use crate::cluster::bundled::names::{Layout, text};

/// The name by which storage classes refer to the provisioner.
pub(in super::super) const PROVISIONER: &str = "portico.dev/local-path";

pub(super) fn provisioner(layout: &Layout, images: &NodeImages) -> Component {
    let arguments = vec![
        "start".to_owned(),
        flag("config", text(&layout.config("provisioner.json"))),
        flag("kubeconfig", text(&layout.kubeconfig())),
        flag("namespace", "kube-system"),
        flag("service-account-name", "default"),
        flag("provisioner-name", PROVISIONER),
        flag("helper-image", &images.volume_helper),
        flag("helper-pod-file", text(&layout.config("helper-pod.json"))),
    ];
    Component { on_exit: OnExit::Restart, ..Component::new(layout, "local-path-provisioner", arguments) }
}

/// Volumes are folders of the data folder.
pub(super) fn provisioner_config(layout: &Layout) -> String {
    let paths = [text(&layout.data.join("volumes"))];
    json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": paths}]}).to_string()
}

/// The pod that makes and removes a volume's folder. Its command and mounts are the provisioner's.
pub(super) fn helper_pod(images: &NodeImages) -> String {
    let container = json!({"name": "helper-pod", "image": images.volume_helper, "imagePullPolicy": "Never"});
    let spec = json!({"containers": [container], "terminationGracePeriodSeconds": 0});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "volume"}, "spec": spec}).to_string()
}

pub(super) fn network_policy(layout: &Layout, own_program: PathBuf) -> Component {
    let arguments = vec!["network-policy".to_owned(), flag("kubeconfig", text(&layout.kubeconfig()))];
    let component = Component::new(layout, "network-policy", arguments);
    Component { program: own_program, on_exit: OnExit::Restart, ..component }
}

#[cfg(test)]
mod tests {
    use super::super::super::names::tests::layout;
    use super::super::tests::images;
    use super::*;

    #[test]
    fn volumes_are_in_the_data_folder() {
        let config: serde_json::Value = serde_json::from_str(&provisioner_config(&layout())).unwrap();
        assert_eq!(config["nodePathMap"][0]["paths"], json!(["/data/demo/volumes"]));
        assert!(
            provisioner(&layout(), &images())
                .arguments
                .contains(&"--helper-image=portico.dev/node/volume-helper:dev-0".to_owned())
        );
    }
}
