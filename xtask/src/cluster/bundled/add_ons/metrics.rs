//! metrics-server: `kubectl top` and what a `HorizontalPodAutoscaler` measures.

use serde_json::{Value, json};

use super::{cluster_role, cluster_role_binding, deployment, metadata, restricted, service_account};
use crate::cluster::bundled::components::NodeImages;

const NAME: &str = "metrics-server";
const PORT: u16 = 10250;

/// The cluster's authority, which also signs the kubelet's certificate, as every pod with a token has it.
const AUTHORITY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

pub(super) fn objects(images: &NodeImages) -> Vec<Value> {
    let volumes = json!([{"name": "certificate", "emptyDir": {}}]);
    let mut objects = access();
    objects.push(deployment(NAME, NAME, NAME, &container(images), &volumes));
    objects.extend(api());
    objects
}

fn access() -> Vec<Value> {
    let rules = json!([
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]);
    let reader = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata("metrics-server-auth-reader"),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "extension-apiserver-authentication-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}],
    });
    vec![
        service_account(NAME),
        cluster_role("system:metrics-server", &rules),
        cluster_role_binding("system:metrics-server", "system:metrics-server", NAME),
        cluster_role_binding("metrics-server:system:auth-delegator", "system:auth-delegator", NAME),
        reader,
    ]
}

fn container(images: &NodeImages) -> Value {
    json!({
        "name": NAME,
        "image": images.metrics_server,
        "imagePullPolicy": "Never",
        "args": [
            "--cert-dir=/tmp",
            format!("--secure-port={PORT}"),
            "--kubelet-preferred-address-types=InternalIP",
            format!("--kubelet-certificate-authority={AUTHORITY}"),
            // The shortest that it takes, which has to be longer than a request may last; it is ready after two rounds.
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ],
        "ports": [{"name": "https", "containerPort": PORT}],
        "volumeMounts": [{"name": "certificate", "mountPath": "/tmp"}],
        "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "192Mi"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 1, "failureThreshold": 3},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "https", "scheme": "HTTPS"}, "initialDelaySeconds": 20},
        "securityContext": restricted(),
    })
}

fn api() -> [Value; 2] {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(NAME),
        "spec": {"selector": {"k8s-app": NAME}, "ports": [{"name": "https", "port": 443, "targetPort": "https"}]},
    });
    let api = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            // It signs its own certificate; the way to it is inside the node.
            "insecureSkipTLSVerify": true,
            "service": {"name": NAME, "namespace": "kube-system"},
        },
    });
    [service, api]
}
