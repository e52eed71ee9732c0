//! One engine as one pod with one volume: the objects, the same for all engines.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaimVolumeSource, ResourceRequirements, Service, ServicePort, ServiceSpec, Volume,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use portico_crds::common::labels::{self, Identity};
use portico_crds::common::{self, names::InstanceName};
use portico_operator_core::Desired;
use std::collections::BTreeMap;

use super::pod::{self, Part};
use super::{Engine, Settings, credentials::Credentials, replicas, storage::Claim};
use crate::{digest::digest, network, pods};

pub use super::pod::HASH_ANNOTATION;

/// One instance to be run.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: InstanceName,
    /// Its kind, for the label.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// The operator's namespace, from which it is administered.
    pub operator_namespace: String,
    /// The engine's image.
    pub image: String,
    /// When the image is pulled: `IfNotPresent`, `Always`, `Never`.
    pub pull_policy: String,
    /// The resources of the spec.
    pub resources: Option<common::ResourceRequirements>,
    /// Settings of the spec, all of them from the engine's list.
    pub parameters: BTreeMap<String, String>,
    /// Number of copies for reading.
    pub read_replicas: i32,
    /// The volume.
    pub claim: Claim,
    /// The size of the copies' volumes, when there are copies: it cannot be changed.
    pub copy_size: Option<String>,
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

    /// The DNS name of the Service of the copies.
    pub fn read_host(&self) -> Option<String> {
        (self.read_replicas > 0).then(|| format!("{}.{}.svc", self.name.read(), self.namespace))
    }

    /// The objects in apply order: what a pod needs comes before the pod. There is no disruption budget: for a single
    /// pod it could only block the draining of its node for ever.
    pub fn objects(&self) -> Desired {
        let resources = pods::resources(self.resources.as_ref(), self.engine().default_resources());
        let files = self.engine().files(&Settings { resources: &resources, parameters: &self.parameters });
        let hash = self.hash(&files);
        let mut desired = Desired::new();
        desired.push(pods::service_account(self.name.workload(), self.identity()));
        if !self.engine().passwords().is_empty() {
            let passwords = self.credentials.secret(self.name.credentials(), self.identity());
            desired.push_generated(passwords, self.credentials.exist(), self.retain);
        }
        desired.push(self.network_policy());
        desired.push(self.service(self.name.workload(), self.identity()));
        // A claim that may not grow must not keep a lost pod from coming back; a new one comes before its pod.
        if !self.claim.exists() {
            self.push_claim(&mut desired);
        }
        desired.push(ConfigMap {
            metadata: metadata(self.name.workload(), self.identity()),
            data: Some(files),
            ..ConfigMap::default()
        });
        desired.push(self.stateful_set(resources.clone(), &hash));
        if self.read_replicas > 0 {
            desired.extend(replicas::objects(self, resources, &hash));
        }
        if self.claim.exists() {
            self.push_claim(&mut desired);
        }
        desired
    }

    /// What the engine brings.
    pub fn engine(&self) -> &'static dyn Engine {
        super::engine(self.name.engine())
    }

    /// The labels of its objects.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            program: self.name.engine().as_str(),
            instance: self.name.as_str(),
            component: self.engine().component(),
            kind: &self.kind,
        }
    }

    /// The hash that rolls the pods.
    fn hash(&self, files: &BTreeMap<String, String>) -> String {
        let files = digest(files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())));
        digest([("files", files.as_bytes()), ("passwords", self.credentials.digest().as_bytes())])
    }

    fn push_claim(&self, desired: &mut Desired) {
        let claim = self.claim.object(self.name.claim(), self.identity());
        if self.retain { desired.push_retained(claim) } else { desired.push(claim) }
    }

    fn network_policy(&self) -> NetworkPolicy {
        let engine = self.engine();
        let consumers = network::consumers(labels::consumer(engine.kind(), self.name.as_str()));
        let operator = network::namespace(&self.operator_namespace);
        let mut peers = vec![consumers];
        if self.read_replicas > 0 {
            peers.push(network::pods(replicas::identity(self).selector()));
        }
        // The operator also uses what it has made, as a consumer would.
        peers.push(operator.clone());
        let mut ingress = vec![network::ingress(engine.port(), peers)];
        if engine.admin_port() != engine.port() {
            ingress.push(network::ingress(engine.admin_port(), vec![operator]));
        }
        network::policy(self.name.workload(), self.identity(), ingress, Vec::new())
    }

    /// A Service in front of the pods of `identity`.
    pub(super) fn service(&self, name: String, identity: Identity<'_>) -> Service {
        let engine = self.engine();
        let port = |name: &str, number: u16, target: &str| ServicePort {
            name: Some(name.to_owned()),
            port: number.into(),
            target_port: Some(IntOrString::String(target.to_owned())),
            protocol: Some("TCP".to_owned()),
            ..ServicePort::default()
        };
        let admin = (engine.admin_port() != engine.port()).then(|| port("admin", engine.admin_port(), "admin"));
        let ports = std::iter::once(port(self.name.engine().as_str(), engine.port(), "engine")).chain(admin);
        Service {
            metadata: metadata(name, identity),
            spec: Some(ServiceSpec {
                type_: Some("ClusterIP".to_owned()),
                selector: Some(identity.selector()),
                ports: Some(ports.collect()),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        }
    }

    fn stateful_set(&self, resources: ResourceRequirements, hash: &str) -> StatefulSet {
        let data = Volume {
            name: "data".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: self.name.claim(),
                read_only: None,
            }),
            ..Volume::default()
        };
        StatefulSet {
            metadata: metadata(self.name.workload(), self.identity()),
            spec: Some(StatefulSetSpec {
                replicas: Some(1),
                service_name: Some(self.name.workload()),
                // Otherwise a pod that never became ready, for want of its image, is not replaced by a corrected one.
                pod_management_policy: Some("Parallel".to_owned()),
                selector: LabelSelector { match_labels: Some(self.identity().selector()), match_expressions: None },
                template: pod::template(self, Part::Primary, self.identity(), hash, resources, Some(data)),
                ..StatefulSetSpec::default()
            }),
            ..StatefulSet::default()
        }
    }
}

/// The names that an instance's certificate is for. Probes come from inside the pod.
pub fn certificate_names(name: &InstanceName, namespace: &str) -> Vec<String> {
    let names = [name.workload(), name.read()].into_iter().flat_map(|service| {
        let short = format!("{service}.{namespace}");
        [service, short.clone(), format!("{short}.svc")]
    });
    let copies = format!("*.{}.{namespace}.svc", name.read_pods());
    names.chain([copies, "localhost".to_owned(), "127.0.0.1".to_owned()]).collect()
}

pub(super) fn metadata(name: String, identity: Identity<'_>) -> ObjectMeta {
    ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() }
}
