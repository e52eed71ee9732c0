//! The objects of an `AuthService`. Pure and infallible.

mod config;
mod deployment;
mod instances;
mod network;
mod scaling;
mod service;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::ObjectMeta;
use portico_crds::common::DeletionPolicy;
use portico_crds::common::labels::Identity;
use portico_crds::common::names::ServiceName;
use portico_operator_backends::pods;
use portico_operator_core::Desired;

use super::validate::{Replicas, ValidAuthService};

/// The program, in labels.
const PROGRAM: &str = "auth-service";

/// All objects in apply order: what pods need comes before them. Before all dependencies were bound once there is no
/// workload; a workload that exists keeps what it has.
pub fn build(service: &ValidAuthService) -> Desired {
    let mut desired = instances::build(service);
    desired.push(pods::service_account(service.name.as_str().to_owned(), identity(&service.name)));
    let retain = service.deletion_policy == DeletionPolicy::Retain;
    let keys = service.keys.secret(service.name.signing_keys(), identity(&service.name));
    desired.push_generated(keys, service.keys.exist(), retain);
    let config = config::build(service);
    let config_hash = config::hash(&config);
    desired.push(config);
    desired.push(network::build(service));
    desired.push(service::build(service));
    if let Some(links) = service.links() {
        desired.push(deployment::build(service, links, config_hash));
        if let Replicas::Auto { min, max, cpu } = service.replicas {
            desired.push(scaling::autoscaler(service, min, max, cpu));
        }
        // For a single pod a budget could only block the draining of its node for ever.
        if service.replicas.most() > 1 {
            desired.push(scaling::disruption_budget(service));
        }
    }
    desired
}

/// What the labels of the objects say.
fn identity(name: &ServiceName) -> Identity<'_> {
    Identity { program: PROGRAM, instance: name.as_str(), component: "service", kind: "AuthService" }
}

/// The metadata of an object.
fn metadata(name: &ServiceName, object: String) -> ObjectMeta {
    ObjectMeta { name: Some(object), labels: Some(identity(name).labels()), ..ObjectMeta::default() }
}

/// Selects the pods.
fn pod_selector(name: &ServiceName) -> LabelSelector {
    LabelSelector { match_labels: Some(identity(name).selector()), match_expressions: None }
}

/// Selects the pods, as text for the scale subresource.
pub(crate) fn selector(name: &ServiceName) -> String {
    let labels: Vec<_> = identity(name).selector().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}
