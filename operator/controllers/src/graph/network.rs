//! The ways that edges open: the label by which an instance lets a pod in, and the rule that lets the pod out. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyEgressRule;
use portico_crds::common::labels::{CONSUMER, INSTANCE_LABEL, NAME_LABEL, consumer};
use portico_operator_backends::network;

use super::link::Link;

/// The labels of pods that have these links.
pub(crate) fn labels<'a>(links: impl IntoIterator<Item = &'a Link>) -> BTreeMap<String, String> {
    let instances = links.into_iter().filter(|link| link.program.is_some()).filter_map(|link| link.instance.as_ref());
    instances.map(|instance| (consumer(instance.kind, &instance.name), CONSUMER.to_owned())).collect()
}

/// Where pods that have these links may go, besides the cluster's DNS.
pub(crate) fn egress<'a>(links: impl IntoIterator<Item = &'a Link>) -> Vec<NetworkPolicyEgressRule> {
    links.into_iter().map(way).collect()
}

fn way(link: &Link) -> NetworkPolicyEgressRule {
    let peer = match (&link.instance, &link.program) {
        (Some(instance), Some(program)) => {
            let pods = [(NAME_LABEL.to_owned(), program.clone()), (INSTANCE_LABEL.to_owned(), instance.name.clone())];
            Some(network::pods(pods.into()))
        }
        _ => network::host(&link.host),
    };
    network::egress(link.port, peer)
}
