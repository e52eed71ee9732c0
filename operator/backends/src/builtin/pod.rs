//! The pod of a builtin engine, the same for the one that writes and for copies that read.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, ExecAction, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, Volume, VolumeMount,
};
use kube::core::ObjectMeta;
use portico_crds::common::labels::Identity;

use super::node::Node;
use super::{CREDENTIALS, DATA, Engine, FILES, PRIMARY, Probes, ROLE, TLS};
use crate::pods::{self, Rhythm};

/// The user and group that the engines' images have.
const UID: i64 = 999;
/// The annotation that rolls the pod when its configuration or its passwords change.
pub const HASH_ANNOTATION: &str = "portico.dev/config-hash";

/// What a pod is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The one that writes.
    Primary,
    /// A copy.
    Replica,
}

/// The template of a `StatefulSet`. `data` is the volume, unless the set has a template for it.
pub(super) fn template(
    node: &Node,
    part: Part,
    identity: Identity<'_>,
    hash: &str,
    resources: ResourceRequirements,
    data: Option<Volume>,
) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(identity.labels()),
            annotations: Some([(HASH_ANNOTATION.to_owned(), hash.to_owned())].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(node.name.workload()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pods::pod_security(UID)),
            termination_grace_period_seconds: Some(node.engine().grace_period()),
            containers: vec![container(node, part, resources)],
            volumes: Some(data.into_iter().chain(volumes(node)).collect()),
            ..PodSpec::default()
        }),
    }
}

fn container(node: &Node, part: Part, resources: ResourceRequirements) -> Container {
    let engine = node.engine();
    let stop = engine.stop_command().map(|command| Lifecycle {
        pre_stop: Some(LifecycleHandler {
            exec: Some(ExecAction { command: Some(["/bin/sh", "-c", command].map(str::to_owned).into()) }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    });
    // Five minutes for making, copying or recovering the data; then it has to answer.
    let startup = Rhythm { period: 1, timeout: 5, failures: 300 };
    let [startup, readiness, liveness] = probes(engine, startup);
    Container {
        name: node.name.engine().as_str().to_owned(),
        image: Some(node.image.clone()),
        image_pull_policy: Some(node.pull_policy.clone()),
        command: Some(vec!["/bin/sh".to_owned(), format!("{FILES}/start.sh")]),
        env: Some(environment(node, part)),
        ports: Some(ports(engine)),
        resources: Some(resources),
        startup_probe: Some(startup),
        readiness_probe: Some(readiness),
        liveness_probe: Some(liveness),
        lifecycle: stop,
        security_context: Some(pods::container_security()),
        volume_mounts: Some(mounts(engine)),
        // What a program said last tells why it ended; conditions quote it.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn probes(engine: &dyn Engine, startup: Rhythm) -> [Probe; 3] {
    let alive = Rhythm { period: 10, timeout: 5, failures: 6 };
    let script = |name: &str, rhythm| pods::exec_probe(&format!("{FILES}/{name}"), rhythm);
    match engine.probes() {
        Probes::Scripts { period } => {
            let ready = Rhythm { period, timeout: 5, failures: 2 };
            [script("alive.sh", startup), script("ready.sh", ready), script("alive.sh", alive)]
        }
        Probes::Tcp => {
            let ready = Rhythm { period: 5, timeout: 5, failures: 2 };
            [startup, ready, alive].map(|rhythm| pods::tcp_probe("engine", rhythm))
        }
    }
}

fn environment(node: &Node, part: Part) -> Vec<EnvVar> {
    let variable =
        |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() };
    match part {
        Part::Primary => vec![variable(ROLE, "primary".to_owned())],
        Part::Replica => vec![variable(ROLE, "replica".to_owned()), variable(PRIMARY, node.host())],
    }
}

fn ports(engine: &dyn Engine) -> Vec<ContainerPort> {
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let admin = (engine.admin_port() != engine.port()).then(|| port("admin", engine.admin_port()));
    std::iter::once(port("engine", engine.port())).chain(admin).collect()
}

fn volumes(node: &Node) -> Vec<Volume> {
    let engine = node.engine();
    let mut volumes = vec![pods::config("files", node.name.workload()), pods::scratch("tmp", "64Mi", None)];
    if !engine.passwords().is_empty() {
        volumes.push(pods::secret("credentials", node.name.credentials()));
    }
    if engine.tls() {
        volumes.push(pods::secret("tls", node.name.tls()));
    }
    let scratch = engine.scratch().iter();
    volumes.extend(scratch.map(|one| pods::scratch(one.name, one.size, one.memory.then_some("Memory"))));
    volumes
}

fn mounts(engine: &dyn Engine) -> Vec<VolumeMount> {
    let mut mounts =
        vec![pods::mount("data", DATA, false), pods::mount("files", FILES, true), pods::mount("tmp", "/tmp", false)];
    if !engine.passwords().is_empty() {
        mounts.push(pods::mount("credentials", CREDENTIALS, true));
    }
    if engine.tls() {
        mounts.push(pods::mount("tls", TLS, true));
    }
    mounts.extend(engine.scratch().iter().map(|one| pods::mount(one.name, one.path, false)));
    mounts
}
