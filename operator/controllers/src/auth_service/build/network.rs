//! Who may reach the service, and whom it may reach.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer};
use portico_crds::common::labels::{INSTANCE_LABEL, NAME_LABEL};
use portico_operator_backends::network;

use super::identity;
use crate::auth_service::dependency::{Link, Role};
use crate::auth_service::validate::{HTTP_PORT, METRICS_PORT, ValidAuthService};

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
    let linked = service.dependencies.iter().filter_map(|one| Some(egress(one.role, one.link.as_ref()?)));
    let egress = std::iter::once(network::dns()).chain(linked).collect();
    network::policy(service.name.as_str().to_owned(), identity(&service.name), ingress, egress)
}

fn egress(role: Role, link: &Link) -> NetworkPolicyEgressRule {
    network::egress(link.port, peer(role, link))
}

fn peer(role: Role, link: &Link) -> Option<NetworkPolicyPeer> {
    match &link.instance {
        Some(instance) if !link.external => {
            let program = (NAME_LABEL.to_owned(), role.engine().as_str().to_owned());
            Some(network::pods([program, (INSTANCE_LABEL.to_owned(), instance.clone())].into()))
        }
        _ => network::host(&link.host),
    }
}
