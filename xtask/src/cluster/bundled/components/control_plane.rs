//! etcd, the API server, the controller manager and the scheduler.

use serde_json::json;

use super::{Component, flag, kubeconfig_flags, pki_flag};
use crate::cluster::bundled::names::{API_PORT, DOMAIN, Layout, POD_RANGE, SERVICE_RANGE, text};

/// etcd's port on the node's own loopback device.
pub(in super::super) const ETCD_PORT: u16 = 2379;

pub(super) fn etcd(layout: &Layout) -> Component {
    let (client, peer) = (format!("http://127.0.0.1:{ETCD_PORT}"), "http://127.0.0.1:2380");
    let arguments = vec![
        flag("name", "node"),
        flag("data-dir", text(&layout.data.join("etcd"))),
        flag("listen-client-urls", &client),
        flag("advertise-client-urls", &client),
        flag("listen-peer-urls", peer),
        flag("initial-advertise-peer-urls", peer),
        flag("initial-cluster", format!("node={peer}")),
        // A crash of the machine may lose the cluster: it is for development, and writes are a hundred times faster.
        flag("unsafe-no-fsync", true),
        flag("auto-compaction-retention", "1h"),
        flag("log-level", "warn"),
    ];
    Component::new(layout, "etcd", arguments)
}

pub(super) fn api_server(layout: &Layout) -> Component {
    let mut arguments = vec![
        flag("etcd-servers", format!("http://127.0.0.1:{ETCD_PORT}")),
        flag("secure-port", API_PORT),
        flag("advertise-address", layout.node_address()),
        flag("service-cluster-ip-range", SERVICE_RANGE),
        flag("authorization-mode", "Node,RBAC"),
        flag("enable-admission-plugins", "NodeRestriction"),
        flag("allow-privileged", true),
        flag("anonymous-auth", false),
        flag("profiling", false),
        // Node names resolve nowhere, so logs and exec go to the kubelet's address.
        flag("kubelet-preferred-address-types", "InternalIP"),
        flag("audit-policy-file", text(&layout.config("audit-policy.json"))),
        flag("audit-log-path", text(&layout.audit_log())),
        flag("audit-log-maxsize", 200),
        flag("audit-log-maxbackup", 2),
    ];
    arguments.extend(identity_flags(layout));
    arguments.extend(aggregation_flags(layout));
    Component::new(layout, "kube-apiserver", arguments)
}

fn identity_flags(layout: &Layout) -> Vec<String> {
    vec![
        pki_flag(layout, "client-ca-file", "ca.crt"),
        pki_flag(layout, "tls-cert-file", "apiserver.crt"),
        pki_flag(layout, "tls-private-key-file", "apiserver.key"),
        pki_flag(layout, "kubelet-certificate-authority", "ca.crt"),
        pki_flag(layout, "kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        pki_flag(layout, "kubelet-client-key", "apiserver-kubelet-client.key"),
        flag("service-account-issuer", format!("https://kubernetes.default.svc.{DOMAIN}")),
        pki_flag(layout, "service-account-key-file", "sa.pub"),
        pki_flag(layout, "service-account-signing-key-file", "sa.key"),
    ]
}

/// For the metrics API, which metrics-server answers behind the API server.
fn aggregation_flags(layout: &Layout) -> Vec<String> {
    vec![
        pki_flag(layout, "requestheader-client-ca-file", "ca.crt"),
        flag("requestheader-allowed-names", "front-proxy-client"),
        flag("requestheader-username-headers", "X-Remote-User"),
        flag("requestheader-group-headers", "X-Remote-Group"),
        flag("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        pki_flag(layout, "proxy-client-cert-file", "front-proxy-client.crt"),
        pki_flag(layout, "proxy-client-key-file", "front-proxy-client.key"),
        // Straight to the pod: a service address does not exist before kube-proxy is up.
        flag("enable-aggregator-routing", true),
    ]
}

/// Writes only, who and what but not the content: the measure of an idle operator reads this log.
pub(super) fn audit_policy() -> String {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}],
    });
    policy.to_string()
}

pub(super) fn controller_manager(layout: &Layout) -> Component {
    let mut arguments = kubeconfig_flags(layout, "controller-manager");
    arguments.extend([
        flag("bind-address", "127.0.0.1"),
        flag("leader-elect", false),
        flag("profiling", false),
        flag("use-service-account-credentials", true),
        pki_flag(layout, "service-account-private-key-file", "sa.key"),
        pki_flag(layout, "root-ca-file", "ca.crt"),
        pki_flag(layout, "cluster-signing-cert-file", "ca.crt"),
        pki_flag(layout, "cluster-signing-key-file", "ca.key"),
        flag("allocate-node-cidrs", true),
        flag("cluster-cidr", POD_RANGE),
        flag("service-cluster-ip-range", SERVICE_RANGE),
        // Scaling shows within a test's patience.
        flag("horizontal-pod-autoscaler-sync-period", "5s"),
        flag("horizontal-pod-autoscaler-initial-readiness-delay", "5s"),
    ]);
    Component::new(layout, "kube-controller-manager", arguments)
}

pub(super) fn scheduler(layout: &Layout) -> Component {
    let mut arguments = kubeconfig_flags(layout, "scheduler");
    arguments.extend([flag("bind-address", "127.0.0.1"), flag("leader-elect", false), flag("profiling", false)]);
    Component::new(layout, "kube-scheduler", arguments)
}

#[cfg(test)]
mod tests {
    use super::super::super::names::tests::layout;
    use super::*;

    #[test]
    fn the_api_server_is_advertised_at_the_link() {
        let arguments = api_server(&layout()).arguments;
        assert!(arguments.contains(&"--advertise-address=198.18.0.10".to_owned()));
        assert!(arguments.contains(&"--tls-cert-file=/data/demo/pki/apiserver.crt".to_owned()));
        assert!(arguments.contains(&"--authorization-mode=Node,RBAC".to_owned()));
        assert!(arguments.contains(&"--audit-log-path=/data/demo/logs/audit.log".to_owned()));
    }

    #[test]
    fn the_audit_log_holds_writes_without_content() {
        let policy: serde_json::Value = serde_json::from_str(&audit_policy()).unwrap();
        assert_eq!(policy["rules"][0], json!({"level": "None", "verbs": ["get", "list", "watch"]}));
        assert_eq!(policy["rules"][1], json!({"level": "Metadata"}));
    }

    #[test]
    fn etcd_listens_on_loopback_only() {
        let arguments = etcd(&layout()).arguments;
        let urls: Vec<_> = arguments.iter().filter(|argument| argument.contains("-urls=")).collect();
        assert!(urls.len() == 4 && urls.iter().all(|url| url.contains("=http://127.0.0.1:")), "{urls:?}");
    }
}
