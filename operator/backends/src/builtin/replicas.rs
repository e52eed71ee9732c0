//! Copies for reading: a `StatefulSet` of their own that follows the primary, behind a Service of its own.
//!
//! Their volumes hold nothing that the primary does not have: they come from a template and go with the copies.

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy as Retention, StatefulSetSpec,
};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use portico_crds::common::labels::{self, Identity};
use portico_crds::common::names::EngineName;
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
    desired.push(stateful_set(node, identity, resources, hash));
    desired
}

fn stateful_set(node: &Node, identity: Identity<'_>, resources: ResourceRequirements, hash: &str) -> StatefulSet {
    let claim = Claim { size: node.claim.size.clone(), class: node.claim.class.clone(), exists: false };
    let gone = Some("Delete".to_owned());
    StatefulSet {
        metadata: metadata(node.name.read(), identity),
        spec: Some(StatefulSetSpec {
            replicas: Some(node.read_replicas),
            service_name: Some(node.name.read()),
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
