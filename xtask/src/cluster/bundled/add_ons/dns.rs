//! The cluster's DNS, behind the service `kube-dns` as everywhere.

use serde_json::{Value, json};

use super::{cluster_role, cluster_role_binding, deployment, metadata, restricted, service_account};
use crate::cluster::bundled::components::NodeImages;
use crate::cluster::bundled::names::{DNS_SERVICE, DOMAIN};

/// Inside the pod: port 53 would need a capability.
const PORT: u16 = 5353;

pub(super) fn objects(images: &NodeImages) -> Vec<Value> {
    let rules = json!([
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]);
    let config = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata("coredns"),
        "data": {"Corefile": corefile()},
    });
    let volumes = json!([{"name": "config", "configMap": {"name": "coredns"}}]);
    vec![
        service_account("coredns"),
        cluster_role("system:coredns", &rules),
        cluster_role_binding("system:coredns", "system:coredns", "coredns"),
        config,
        deployment("coredns", "kube-dns", "coredns", &container(images), &volumes),
        service(),
    ]
}

/// Cluster names from the API server. There is nobody to ask for other names, so they do not exist, which is said at once.
fn corefile() -> String {
    format!(
        "{DOMAIN}:{PORT} in-addr.arpa:{PORT} ip6.arpa:{PORT} {{\n\
         \x20   errors\n\
         \x20   health :8080\n\
         \x20   ready :8181\n\
         \x20   prometheus :9153\n\
         \x20   kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{\n\
         \x20       pods insecure\n\
         \x20       ttl 5\n\
         \x20   }}\n\
         }}\n\
         .:{PORT} {{\n\
         \x20   template ANY ANY {{\n\
         \x20       rcode NXDOMAIN\n\
         \x20   }}\n\
         }}\n"
    )
}

fn container(images: &NodeImages) -> Value {
    json!({
        "name": "coredns",
        "image": images.coredns,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": true}],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 20, "failureThreshold": 5},
        "securityContext": restricted(),
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {
            "clusterIP": DNS_SERVICE,
            "selector": {"k8s-app": "kube-dns"},
            "ports": [
                {"name": "dns", "port": 53, "targetPort": "dns", "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "targetPort": "dns-tcp", "protocol": "TCP"},
                {"name": "metrics", "port": 9153, "targetPort": "metrics", "protocol": "TCP"},
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forwarded() {
        assert!(!corefile().contains("forward"));
        assert!(corefile().contains("cluster.local:5353 in-addr.arpa:5353"));
    }

    #[test]
    fn the_service_has_the_address_that_the_kubelet_gives_to_pods() {
        assert_eq!(service()["spec"]["clusterIP"], "10.96.0.10");
    }
}
