//! Copies for reading: a `StatefulSet` of their own that follows the primary, behind a Service of its own.
//!
//! Their volumes hold nothing that the primary does not have: they come from a template and go with the copies. A
//! template cannot be changed, so when the primary's volume grows, theirs have the new size from the next time on that
//! copies are asked for.

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy as Retention, StatefulSetSpec,
};
use k8s_openapi::api::core::v1::{ResourceRequirements, Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use portico_crds::common::labels::{self, Identity};
use portico_crds::common::names::{EngineName, InstanceName};
use portico_operator_core::Desired;

use super::node::{Node, metadata};
use super::pod::{self, Part};
use super::storage::Claim;
use crate::network;

/// The labels of the copies. They differ in the program, so that the primary's Service never selects them.
pub(super) fn identity(node: &Node) -> Identity<'_> {
    Identity { program: program(node.name.engine()), ..node.identity() }
}

const fn program(engine: EngineName) -> &'static str {
    match engine {
        EngineName::PostgreSql => "postgresql-read",
        EngineName::MariaDb => "mariadb-read",
        EngineName::Valkey => "valkey-read",
        // These have no copies: the API server refuses them.
        EngineName::DynamoDb | EngineName::RabbitMq | EngineName::Garage => "read",
    }
}

/// The host names of the copies, for those who mean each of them and not any.
pub fn hosts(name: &InstanceName, namespace: &str, count: i32) -> Vec<String> {
    (0..count).map(|index| format!("{}-{index}.{}.{namespace}.svc", name.read(), name.read_pods())).collect()
}

/// The objects in apply order.
pub(super) fn objects(node: &Node, resources: ResourceRequirements, hash: &str) -> Desired {
    let (engine, identity) = (node.engine(), identity(node));
    let consumers = network::consumers(labels::consumer(engine.kind(), node.name.as_str()));
    let peers = vec![consumers, network::namespace(&node.operator_namespace)];
    let primary = network::pods(node.identity().selector());
    let egress = vec![network::dns(), network::egress(engine.port(), Some(primary))];
    let mut desired = Desired::new();
    desired.push(network::policy(node.name.read(), identity, vec![network::ingress(engine.port(), peers)], egress));
    desired.push(node.service(node.name.read(), identity));
    desired.push(names_of_pods(node, identity));
    desired.push(stateful_set(node, identity, resources, hash));
    desired
}

/// Also of copies that are not ready: they have to know the users before they are.
fn names_of_pods(node: &Node, identity: Identity<'_>) -> Service {
    Service {
        metadata: metadata(node.name.read_pods(), identity),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(identity.selector()),
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn stateful_set(node: &Node, identity: Identity<'_>, resources: ResourceRequirements, hash: &str) -> StatefulSet {
    let size = node.copy_size.as_ref().unwrap_or(&node.claim.size).clone();
    let claim = Claim { size, class: node.claim.class.clone(), live: None };
    let gone = Some("Delete".to_owned());
    StatefulSet {
        metadata: metadata(node.name.read(), identity),
        spec: Some(StatefulSetSpec {
            replicas: Some(node.read_replicas),
            service_name: Some(node.name.read_pods()),
            // They depend on the primary, not on each other.
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector { match_labels: Some(identity.selector()), match_expressions: None },
            template: pod::template(node, Part::Replica, identity, hash, resources, None),
            volume_claim_templates: Some(vec![claim.object("data".to_owned(), identity)]),
            persistent_volume_claim_retention_policy: Some(Retention { when_deleted: gone.clone(), when_scaled: gone }),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// The size of the volumes in a set of copies.
pub fn size(set: &StatefulSet) -> Option<String> {
    let claim = set.spec.as_ref()?.volume_claim_templates.as_ref()?.first()?;
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|size| size.0.clone())
}
