//! One engine as one pod with one volume: the objects, the same for all engines.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, ContainerPort, ExecAction, Lifecycle, LifecycleHandler, PersistentVolumeClaimVolumeSource,
    PodSpec, PodTemplateSpec, ResourceRequirements, Service, ServicePort, ServiceSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use portico_crds::common::{self, labels::Identity, names::InstanceName};
use portico_operator_core::Desired;
use std::collections::BTreeMap;

use super::{CREDENTIALS, DATA, Engine, FILES, credentials::Credentials, storage::Claim};
use crate::{binding::Binding, digest::digest, network, pods};

/// The user and group that the engines' images have.
const UID: i64 = 999;
/// The annotation that rolls the pod when its configuration or its passwords change.
pub const HASH_ANNOTATION: &str = "portico.dev/config-hash";

/// One instance to be run.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: InstanceName,
    /// Its kind, for the label.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// The engine's image.
    pub image: String,
    /// When the image is pulled: `IfNotPresent`, `Always`, `Never`.
    pub pull_policy: String,
    /// The resources of the spec.
    pub resources: Option<common::ResourceRequirements>,
    /// The volume.
    pub claim: Claim,
    /// The passwords.
    pub credentials: Credentials,
    /// Whether volume and passwords outlive the resource.
    pub retain: bool,
}

impl Node {
    /// The DNS name of the engine's Service.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.name.workload(), self.namespace)
    }

    /// How consumers reach it.
    pub fn binding(&self) -> Binding {
        self.engine().binding(self.host(), &self.credentials)
    }

    /// The objects in apply order: what a pod needs comes before the pod. There is no disruption budget: for a single
    /// pod it could only block the draining of its node for ever.
    pub fn objects(&self) -> Desired {
        let engine = self.engine();
        let resources = pods::resources(self.resources.as_ref(), engine.default_resources());
        let files = engine.files(&resources);
        let mut desired = Desired::new();
        desired.push(pods::service_account(self.name.workload(), self.identity()));
        let passwords = self.credentials.secret(self.name.credentials(), self.identity());
        desired.push_generated(passwords, self.credentials.exist(), self.retain);
        desired.push(self.network_policy());
        desired.push(self.service());
        desired.push(self.binding().secret(self.name.binding(), self.identity()));
        // A claim that may not grow must not keep a lost pod from coming back; a new one comes before its pod.
        if !self.claim.exists {
            self.push_claim(&mut desired);
        }
        let set = self.stateful_set(resources, &files);
        desired.push(self.config_map(files));
        desired.push(set);
        if self.claim.exists {
            self.push_claim(&mut desired);
        }
        desired
    }

    fn engine(&self) -> &'static dyn Engine {
        super::engine(self.name.engine())
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            program: self.name.engine().as_str(),
            instance: self.name.as_str(),
            component: self.engine().component(),
            kind: &self.kind,
        }
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta { name: Some(self.name.workload()), labels: Some(self.identity().labels()), ..ObjectMeta::default() }
    }

    fn push_claim(&self, desired: &mut Desired) {
        let claim = self.claim.object(self.name.claim(), self.identity());
        if self.retain { desired.push_retained(claim) } else { desired.push(claim) }
    }

    fn config_map(&self, files: BTreeMap<String, String>) -> ConfigMap {
        ConfigMap { metadata: self.metadata(), data: Some(files), ..ConfigMap::default() }
    }

    fn network_policy(&self) -> k8s_openapi::api::networking::v1::NetworkPolicy {
        let engine = self.engine();
        let consumers = network::consumers(engine.consumer_label(self.name.as_str()));
        let ingress = network::ingress(engine.port(), vec![consumers]);
        network::policy(self.name.workload(), self.identity(), vec![ingress], Vec::new())
    }

    fn service(&self) -> Service {
        let port = ServicePort {
            name: Some(self.name.engine().as_str().to_owned()),
            port: self.engine().port().into(),
            target_port: Some(IntOrString::String("engine".to_owned())),
            protocol: Some("TCP".to_owned()),
            ..ServicePort::default()
        };
        Service {
            metadata: self.metadata(),
            spec: Some(ServiceSpec {
                type_: Some("ClusterIP".to_owned()),
                selector: Some(self.identity().selector()),
                ports: Some(vec![port]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        }
    }

    fn stateful_set(&self, resources: ResourceRequirements, files: &BTreeMap<String, String>) -> StatefulSet {
        let files_hash = digest(files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())));
        let hash = digest([("files", files_hash.as_bytes()), ("passwords", self.credentials.digest().as_bytes())]);
        StatefulSet {
            metadata: self.metadata(),
            spec: Some(StatefulSetSpec {
                replicas: Some(1),
                service_name: Some(self.name.workload()),
                selector: LabelSelector { match_labels: Some(self.identity().selector()), match_expressions: None },
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(self.identity().labels()),
                        annotations: Some([(HASH_ANNOTATION.to_owned(), hash)].into()),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(self.pod(resources)),
                },
                ..StatefulSetSpec::default()
            }),
            ..StatefulSet::default()
        }
    }

    fn pod(&self, resources: ResourceRequirements) -> PodSpec {
        PodSpec {
            service_account_name: Some(self.name.workload()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pods::pod_security(UID)),
            termination_grace_period_seconds: Some(self.engine().grace_period()),
            containers: vec![self.container(resources)],
            volumes: Some(self.volumes()),
            ..PodSpec::default()
        }
    }

    fn container(&self, resources: ResourceRequirements) -> Container {
        let engine = self.engine();
        let probe = |script: &str, rhythm| Some(pods::exec_probe(&format!("{FILES}/{script}"), rhythm));
        let stop = engine.stop_command().map(|command| Lifecycle {
            pre_stop: Some(LifecycleHandler {
                exec: Some(ExecAction { command: Some(["/bin/sh", "-c", command].map(str::to_owned).into()) }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        });
        Container {
            name: self.name.engine().as_str().to_owned(),
            image: Some(self.image.clone()),
            image_pull_policy: Some(self.pull_policy.clone()),
            command: Some(vec!["/bin/sh".to_owned(), format!("{FILES}/start.sh")]),
            ports: Some(vec![ContainerPort {
                name: Some("engine".to_owned()),
                container_port: engine.port().into(),
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]),
            resources: Some(resources),
            // Five minutes for making or recovering the data; then it has to answer.
            startup_probe: probe("alive.sh", pods::Rhythm { period: 1, timeout: 5, failures: 300 }),
            readiness_probe: probe("ready.sh", pods::Rhythm { period: 5, timeout: 5, failures: 2 }),
            liveness_probe: probe("alive.sh", pods::Rhythm { period: 10, timeout: 5, failures: 6 }),
            lifecycle: stop,
            security_context: Some(pods::container_security()),
            volume_mounts: Some(self.mounts()),
            ..Container::default()
        }
    }

    fn volumes(&self) -> Vec<Volume> {
        let data = Volume {
            name: "data".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: self.name.claim(),
                read_only: None,
            }),
            ..Volume::default()
        };
        let scratch = self.engine().scratch().iter();
        let scratch = scratch.map(|one| pods::scratch(one.name, one.size, one.memory.then_some("Memory")));
        [
            data,
            pods::config("files", self.name.workload()),
            pods::secret("credentials", self.name.credentials()),
            pods::scratch("tmp", "64Mi", None),
        ]
        .into_iter()
        .chain(scratch)
        .collect()
    }

    fn mounts(&self) -> Vec<VolumeMount> {
        let scratch = self.engine().scratch().iter().map(|one| pods::mount(one.name, one.path, false));
        [
            pods::mount("data", DATA, false),
            pods::mount("files", FILES, true),
            pods::mount("credentials", CREDENTIALS, true),
            pods::mount("tmp", "/tmp", false),
        ]
        .into_iter()
        .chain(scratch)
        .collect()
    }
}
