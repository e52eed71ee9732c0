//! What every cluster has in `kube-system`: DNS, metrics, volumes. Plain objects, applied at every start.

mod dns;
mod metrics;
mod storage;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::components::NodeImages;
use super::names::Layout;
use crate::shell;

/// Applies all of it.
pub(super) fn apply(layout: &Layout, images: &NodeImages) -> anyhow::Result<()> {
    let mut kubectl = shell::command(layout.program("kubectl"), ["apply", "--server-side", "--force-conflicts"]);
    kubectl.args(["--field-manager=portico-node", "--request-timeout=20s", "-f", "-"]);
    kubectl.arg("--kubeconfig").arg(layout.kubeconfig());
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects(images)});
    shell::capture_with_input(&mut kubectl, list.to_string().as_bytes()).map(drop).context("cannot apply the add-ons")
}

fn objects(images: &NodeImages) -> Vec<Value> {
    [storage::objects(), dns::objects(images), metrics::objects(images)].concat()
}

/// Name and namespace of an object of `kube-system`.
fn metadata(name: &str) -> Value {
    json!({"name": name, "namespace": "kube-system"})
}

fn service_account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name)})
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

/// Gives a service account of `kube-system` a cluster role.
fn cluster_role_binding(name: &str, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}],
    })
}

/// A Deployment of one replica with one container; its pods carry the label `k8s-app`.
fn deployment(name: &str, app: &str, account: &str, container: &Value, volumes: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": app}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"k8s-app": app}},
            "template": {
                "metadata": {"labels": {"k8s-app": app}},
                "spec": {
                    "serviceAccountName": account,
                    "priorityClassName": "system-cluster-critical",
                    "securityContext": {
                        "runAsNonRoot": true,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    })
}

/// The container's part of the `restricted` Pod Security level.
fn restricted() -> Value {
    json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
}

#[cfg(test)]
mod tests {
    use super::super::wait::ADD_ONS;
    use super::*;

    fn all() -> Vec<Value> {
        let image = |name: &str| format!("portico.dev/node/{name}:dev-0");
        objects(&NodeImages {
            pause: image("pause"),
            coredns: image("coredns"),
            metrics_server: image("metrics-server"),
            volume_helper: image("volume-helper"),
        })
    }

    #[test]
    fn the_start_waits_for_every_deployment() {
        let all = all();
        let apps: Vec<_> = all
            .iter()
            .filter(|object| object["kind"] == "Deployment")
            .filter_map(|object| object["metadata"]["labels"]["k8s-app"].as_str())
            .collect();
        assert_eq!(apps, ADD_ONS);
    }

    #[test]
    fn images_are_the_loaded_ones_and_never_pulled() {
        for object in all().iter().filter(|object| object["kind"] == "Deployment") {
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            assert_eq!(container["imagePullPolicy"], "Never");
            assert!(container["image"].as_str().unwrap().starts_with("portico.dev/node/"), "{container}");
        }
    }

    #[test]
    fn one_storage_class_is_the_default() {
        let all = all();
        let classes: Vec<_> = all.iter().filter(|object| object["kind"] == "StorageClass").collect();
        assert_eq!(classes.len(), 1);
        assert_eq!(classes[0]["metadata"]["name"], "standard");
        assert_eq!(classes[0]["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"], "true");
    }
}
