//! The default storage class. Its provisioner is a process of the node; what is here are the class and the two scripts that
//! the provisioner's helper pod runs.

use serde_json::{Value, json};

use super::metadata;
use crate::cluster::bundled::components::PROVISIONER;

pub(super) fn objects() -> Vec<Value> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    });
    let scripts = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata("local-path-config"),
        "data": {
            // Open to every user: the kubelet does not change the owner of folders of the node.
            "setup": "set -eu\nmkdir -p \"$VOL_DIR\"\nchmod 0777 \"$VOL_DIR\"\n",
            "teardown": "set -eu\nrm -rf \"$VOL_DIR\"\n",
        },
    });
    vec![class, scripts]
}
