//! The pods of the service.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec, SleepAction,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use portico_crds::common::names::ServiceName;
use portico_operator_backends::pods::{self, DefaultResources, Rhythm};

use super::{PROGRAM, config, identity, metadata, pod_selector};
use crate::auth_service::dependency::Role;
use crate::auth_service::validate::{
    BINDINGS_FOLDER, CONFIG_FOLDER, HTTP_PORT, KEYS_FOLDER, LINKS_ANNOTATION, METRICS_PORT, Replicas, ValidAuthService,
};
use crate::graph::link::Link;
use crate::graph::network;

/// The user and group of our images.
const UID: i64 = 65532;
const DEFAULT_RESOURCES: DefaultResources = DefaultResources { cpu: "50m", memory: "64Mi", memory_limit: "512Mi" };
/// Seconds in which endpoints learn that a pod goes before it stops listening.
const SLEEP: i64 = 3;
/// Seconds for requests that run to end, after [`SLEEP`].
const GRACE: i64 = 30;

/// The dependencies of the pods.
type Links<'a> = [(Role, &'a Link); 2];

/// The object. A change of the configuration changes an annotation of the pods and so replaces them, new ones first.
/// Credentials, certificates and keys are followed by the pods themselves.
pub(super) fn build(service: &ValidAuthService, links: Links<'_>, config_hash: String) -> Deployment {
    let note = serde_json::to_string(&service.note).unwrap_or_default();
    let metadata = ObjectMeta {
        annotations: Some([(LINKS_ANNOTATION.to_owned(), note)].into()),
        ..metadata(&service.name, service.name.as_str().to_owned())
    };
    let replicas = match service.replicas {
        Replicas::Fixed(replicas) => Some(replicas),
        // The autoscaler's; rendering it would fight it.
        Replicas::Auto { .. } => None,
    };
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas,
            selector: pod_selector(&service.name),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            revision_history_limit: Some(3),
            template: PodTemplateSpec {
                metadata: Some(pod_metadata(service, links, config_hash)),
                spec: Some(pod(service, links)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod_metadata(service: &ValidAuthService, links: Links<'_>, config_hash: String) -> ObjectMeta {
    let mut labels = identity(&service.name).labels();
    labels.extend(network::labels(links.map(|(_, link)| link)));
    let annotations = [("portico.dev/config-hash".to_owned(), config_hash)].into();
    ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }
}

fn pod(service: &ValidAuthService, links: Links<'_>) -> PodSpec {
    PodSpec {
        service_account_name: Some(service.name.as_str().to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(pods::pod_security(UID)),
        termination_grace_period_seconds: Some(SLEEP + GRACE),
        topology_spread_constraints: Some(spread(&service.name)),
        containers: vec![container(service, links)],
        volumes: Some(volumes(service, links)),
        ..PodSpec::default()
    }
}

/// Over nodes and zones as evenly as can be. Only pods of the same template count, so that a rollout does not end
/// lopsided.
fn spread(name: &ServiceName) -> Vec<TopologySpreadConstraint> {
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .map(|key| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(pod_selector(name)),
            match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
            ..TopologySpreadConstraint::default()
        })
        .into()
}

fn container(service: &ValidAuthService, links: Links<'_>) -> Container {
    let probe = |path, rhythm| Some(pods::http_probe(path, "http", rhythm));
    Container {
        name: PROGRAM.to_owned(),
        image: Some(service.image.clone()),
        image_pull_policy: Some(service.pull_policy.clone()),
        args: Some(["serve", "--config", &format!("{CONFIG_FOLDER}/{}", config::FILE)].map(str::to_owned).into()),
        ports: Some(vec![port("http", HTTP_PORT), port("metrics", METRICS_PORT)]),
        resources: Some(pods::resources(service.resources.as_ref(), DEFAULT_RESOURCES)),
        startup_probe: probe("/livez", Rhythm { period: 1, timeout: 2, failures: 60 }),
        // The service itself waits for its dependencies, so this asks about all of them.
        readiness_probe: probe("/readyz", Rhythm { period: 5, timeout: 3, failures: 2 }),
        liveness_probe: probe("/livez", Rhythm { period: 10, timeout: 3, failures: 3 }),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: SLEEP }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(pods::container_security()),
        volume_mounts: Some(mounts(links)),
        ..Container::default()
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn volumes(service: &ValidAuthService, links: Links<'_>) -> Vec<Volume> {
    let bindings = links.map(|(role, link)| pods::secret(role.as_str(), link.secret.clone()));
    let rest = [
        pods::config("config", service.name.config()),
        pods::secret("signing-keys", service.name.signing_keys()),
        pods::scratch("tmp", "64Mi", None),
    ];
    rest.into_iter().chain(bindings).collect()
}

fn mounts(links: Links<'_>) -> Vec<VolumeMount> {
    let bindings =
        links.map(|(role, _)| pods::mount(role.as_str(), &format!("{BINDINGS_FOLDER}/{}", role.as_str()), true));
    let rest = [
        pods::mount("config", CONFIG_FOLDER, true),
        pods::mount("signing-keys", KEYS_FOLDER, true),
        pods::mount("tmp", "/tmp", false),
    ];
    rest.into_iter().chain(bindings).collect()
}
