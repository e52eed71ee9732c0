//! Who may reach the service, and whom it may reach.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use portico_operator_backends::network;

use super::identity;
use crate::auth_service::validate::{HTTP_PORT, METRICS_PORT, ValidAuthService};
use crate::graph;

/// The object. The operator's namespace is let in because the operator asks unready pods what they lack.
pub(super) fn build(service: &ValidAuthService) -> NetworkPolicy {
    let operator = || network::namespace(&service.operator_namespace);
    let mut callers = vec![network::neighbours(), operator()];
    let others = service.allowed_namespaces.iter().filter(|name| **name != service.operator_namespace);
    callers.extend(others.map(|name| network::namespace(name)));
    let ingress = vec![
        network::ingress(HTTP_PORT, callers),
        network::ingress(METRICS_PORT, vec![network::monitoring(), operator()]),
    ];
    let egress = std::iter::once(network::dns()).chain(graph::network::egress(service.note.all())).collect();
    network::policy(service.name.as_str().to_owned(), identity(&service.name), ingress, egress)
}
