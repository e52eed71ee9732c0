//! Reads the API's objects into the model. Follows the API reference of `networking.k8s.io/v1`, including what it says
//! about absent fields. Anything the API server would not have accepted is taken to match nothing, never everything.

use std::net::Ipv4Addr;
use std::ops::Deref;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Namespace, Pod as ApiPod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Expression, Selector};

use super::model::{NamedPort, Numbers, Peer, Pod, Policy, Port, Protocol, Rule, World};

/// The model of these objects, in an order that does not depend on theirs.
pub(crate) fn world(
    pods: &[impl Deref<Target = ApiPod>],
    namespaces: &[impl Deref<Target = Namespace>],
    policies: &[impl Deref<Target = NetworkPolicy>],
) -> World {
    let mut sorted: Vec<&ApiPod> = pods.iter().map(|pod| &**pod).collect();
    // An address that is used again belongs to the younger pod.
    sorted.sort_by_cached_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, pod.metadata.namespace.clone(), pod.metadata.name.clone())
    });
    let mut policies: Vec<Policy> = policies.iter().map(|policy| self::policy(policy)).collect();
    policies.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let labels = |namespace: &Namespace| namespace.metadata.labels.clone().unwrap_or_default();
    World {
        pods: sorted.into_iter().filter_map(pod).collect(),
        namespaces: namespaces
            .iter()
            .filter_map(|namespace| Some((namespace.metadata.name.clone()?, labels(namespace))))
            .collect(),
        policies,
    }
}

/// A pod with an address of its own; `None` before it has one, after it ended, and in the node's own network.
fn pod(pod: &ApiPod) -> Option<Pod> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if ended || spec.host_network == Some(true) {
        return None;
    }
    // An init container that stays is a sidecar and serves like the others.
    let sidecars =
        spec.init_containers.iter().flatten().filter(|init| init.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let named = ports.filter_map(|port| {
        Some(NamedPort {
            name: port.name.clone()?,
            protocol: protocol(port.protocol.as_deref())?,
            number: u16::try_from(port.container_port).ok()?,
        })
    });
    Some(Pod {
        namespace: pod.metadata.namespace.clone()?,
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        address: status.pod_ip.as_deref()?.parse::<Ipv4Addr>().ok()?,
        ports: named.collect(),
    })
}

fn policy(policy: &NetworkPolicy) -> Policy {
    let spec = policy.spec.clone().unwrap_or_default();
    let (has_ingress, has_egress) = match &spec.policy_types {
        Some(types) if !types.is_empty() => {
            (types.iter().any(|name| name == "Ingress"), types.iter().any(|name| name == "Egress"))
        }
        // As the API server fills it in: ingress always, egress where there are rules for it.
        _ => (true, spec.egress.as_ref().is_some_and(|rules| !rules.is_empty())),
    };
    let ingress = spec.ingress.into_iter().flatten().map(|rule| self::rule(rule.from, rule.ports));
    let egress = spec.egress.into_iter().flatten().map(|rule| self::rule(rule.to, rule.ports));
    Policy {
        namespace: policy.metadata.namespace.clone().unwrap_or_default(),
        name: policy.metadata.name.clone().unwrap_or_default(),
        pods: selector(spec.pod_selector.unwrap_or_default()),
        ingress: has_ingress.then(|| ingress.flatten().collect()),
        egress: has_egress.then(|| egress.flatten().collect()),
    }
}

/// `None` if nothing of it can be understood, since an empty list of peers or ports would let everything pass.
fn rule(peers: Option<Vec<NetworkPolicyPeer>>, ports: Option<Vec<NetworkPolicyPort>>) -> Option<Rule> {
    Some(Rule { peers: understood(peers, peer)?, ports: understood(ports, port)? })
}

/// The elements that can be understood; `None` if there are some, but none that can.
fn understood<A, B>(list: Option<Vec<A>>, read: impl Fn(A) -> Option<B>) -> Option<Vec<B>> {
    let list = list.unwrap_or_default();
    let any = list.is_empty();
    let read: Vec<B> = list.into_iter().filter_map(read).collect();
    (any || !read.is_empty()).then_some(read)
}

fn peer(peer: NetworkPolicyPeer) -> Option<Peer> {
    if let Some(block) = peer.ip_block {
        // An IPv6 block concerns no pod here.
        let network: Ipv4Net = block.cidr.parse().ok()?;
        let except: Result<Vec<Ipv4Net>, _> = block.except.iter().flatten().map(|text| text.parse()).collect();
        return Some(Peer::Block { network, except: except.ok()? });
    }
    if peer.pod_selector.is_none() && peer.namespace_selector.is_none() {
        return None;
    }
    // Without a pod selector: every pod of the chosen namespaces.
    let pods = selector(peer.pod_selector.unwrap_or_default());
    Some(Peer::Pods { namespaces: peer.namespace_selector.map(selector), pods })
}

fn port(port: NetworkPolicyPort) -> Option<Port> {
    let protocol = protocol(port.protocol.as_deref())?;
    let numbers = match port.port {
        None => Numbers::All,
        Some(IntOrString::String(name)) => Numbers::Named(name),
        Some(IntOrString::Int(from)) => {
            let to = port.end_port.unwrap_or(from);
            Numbers::Range(u16::try_from(from).ok()?, u16::try_from(to).ok()?)
        }
    };
    Some(Port { protocol, numbers })
}

fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

fn selector(selector: LabelSelector) -> Selector {
    // In an empty set there is no value: matches nothing.
    Selector::try_from(selector).unwrap_or_else(|_| Expression::In(String::new(), [].into()).into())
}
