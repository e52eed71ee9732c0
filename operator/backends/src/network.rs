//! Pieces of `NetworkPolicy`s. Every workload is denied everything both ways; these are the exceptions.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use portico_crds::common::labels::{CONSUMER, Identity, MONITORING_LABEL};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policy of the pods of `identity`: nothing but these rules, in either direction.
pub fn policy(
    name: String,
    identity: Identity<'_>,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    // An empty list would be dropped by the API server; the policy types alone deny.
    let non_empty = |len: usize| len > 0;
    NetworkPolicy {
        metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels(identity.selector())),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: non_empty(ingress.len()).then_some(ingress),
            egress: non_empty(egress.len()).then_some(egress),
        }),
    }
}

/// Lets `peers` in on one TCP port.
pub fn ingress(port: u16, peers: Vec<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(peers), ports: Some(vec![tcp(port)]) }
}

/// Lets the pods out to `peer` on one TCP port; `None` is anywhere.
pub fn egress(port: u16, peer: Option<NetworkPolicyPeer>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule { to: peer.map(|peer| vec![peer]), ports: Some(vec![tcp(port)]) }
}

/// Lets the pods ask the cluster's DNS. All ports of the DNS pods, because a policy sees the port that the pod listens
/// on, which need not be the Service's 53.
pub fn dns() -> NetworkPolicyEgressRule {
    let pods = [("k8s-app".to_owned(), "kube-dns".to_owned())].into();
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(namespace_named("kube-system")),
            pod_selector: Some(labels(pods)),
            ip_block: None,
        }]),
        ports: None,
    }
}

/// Pods of the same namespace with these labels.
pub fn pods(selector: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(labels(selector)), ..NetworkPolicyPeer::default() }
}

/// Pods of the same namespace that carry a consumer label.
pub fn consumers(label: String) -> NetworkPolicyPeer {
    pods([(label, CONSUMER.to_owned())].into())
}

/// All pods of the same namespace.
pub fn neighbours() -> NetworkPolicyPeer {
    pods(BTreeMap::new())
}

/// All pods of a namespace.
pub fn namespace(name: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(namespace_named(name)), ..NetworkPolicyPeer::default() }
}

/// All pods of the namespaces that say they monitor.
pub fn monitoring() -> NetworkPolicyPeer {
    let marked = [(MONITORING_LABEL.to_owned(), "true".to_owned())].into();
    NetworkPolicyPeer { namespace_selector: Some(labels(marked)), ..NetworkPolicyPeer::default() }
}

/// A host outside of Portico: its address, or anywhere when only DNS knows the address.
pub fn host(host: &str) -> Option<NetworkPolicyPeer> {
    let address: IpAddr = host.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    Some(NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: format!("{address}/{bits}"), except: None }),
        ..NetworkPolicyPeer::default()
    })
}

fn namespace_named(name: &str) -> LabelSelector {
    labels([(NAMESPACE_NAME.to_owned(), name.to_owned())].into())
}

fn labels(match_labels: BTreeMap<String, String>) -> LabelSelector {
    let match_labels = (!match_labels.is_empty()).then_some(match_labels);
    LabelSelector { match_labels, match_expressions: None }
}

fn tcp(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(port.into())), protocol: Some("TCP".to_owned()), end_port: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_anywhere() {
        assert_eq!(host("10.1.2.3").unwrap().ip_block.unwrap().cidr, "10.1.2.3/32");
        assert_eq!(host("2001:db8::1").unwrap().ip_block.unwrap().cidr, "2001:db8::1/128");
        assert_eq!(host("db.example"), None);
    }

    #[test]
    fn no_rules_deny_everything() {
        let identity = Identity { program: "p", instance: "i", component: "c", kind: "K" };
        let spec = policy("n".into(), identity, Vec::new(), Vec::new()).spec.unwrap();
        assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
        assert_eq!((spec.ingress, spec.egress), (None, None));
    }
}
