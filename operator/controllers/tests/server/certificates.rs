//! Certificates of engines: made once, renewed under running engines, and a CA that is replaced or lost.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use portico_crds::common::ConditionType::{CertificateValid, Ready, WorkloadAvailable};
use portico_crds::{CacheInstance, DatabaseInstance};
use portico_operator_backends::certificates::Certificate;
use serde_json::{Value, json};

use crate::world::{World, own_server, resource, secret};

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl World {
    async fn annotate<K>(&self, name: &str, annotation: &str, value: &str)
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {annotation: value}}}));
        self.api::<K>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The first certificate of an entry.
    async fn certificate(&self, secret: &str) -> Certificate {
        Certificate::first(&self.secret(secret).await["tls.crt"]).unwrap()
    }

    /// What consumers of an instance check its certificate against.
    async fn trusted(&self, binding: &str) -> Vec<Certificate> {
        Certificate::all(&self.secret(binding).await["ca.crt"])
    }
}

fn signed(leaf: &Certificate, trusted: &[Certificate]) -> bool {
    trusted.iter().any(|authority| leaf.signed_by(authority))
}

#[tokio::test]
async fn instances_that_are_made_at_once_have_one_ca() {
    let world = World::new("race").await;
    for (kind, engine) in [("DatabaseInstance", "MariaDB"), ("CacheInstance", "Valkey"), ("BrokerInstance", "RabbitMQ")]
    {
        world.apply(resource(kind, "a", json!({"engine": engine}))).await;
    }
    world.pass_at_once().await.unwrap();
    let authority = world.certificate("portico-ca").await;
    for secret in ["a-mariadb-tls", "a-valkey-tls", "a-rabbitmq-tls"] {
        let leaf = world.certificate(secret).await;
        assert!(leaf.signed_by(&authority), "{secret}");
        assert!(leaf.names().contains(&format!("{}.{}.svc", &secret[..secret.len() - 4], world.namespace)));
    }
    let secret: Secret = world.api().get("portico-ca").await.unwrap();
    assert!(secret.owner_references().is_empty(), "it outlives every instance");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart_and_then_let_be() {
    let world = World::new("renewed").await;
    world.apply(resource("DatabaseInstance", "ledger", json!({"engine": "PostgreSQL", "readReplicas": 2}))).await;
    world.bring_up().await;
    let condition = async || world.condition::<DatabaseInstance>("ledger", CertificateValid).await;
    assert!(condition().await.starts_with("True CertificateServed"), "{}", condition().await);
    let asked = world.engines.handshakes();
    world.settle().await;
    assert_eq!(world.engines.handshakes(), asked, "nothing changed, so nobody is asked");

    let set = async || world.api::<StatefulSet>().get("ledger-postgresql").await.unwrap().metadata.generation;
    let (before, generation) = (world.certificate("ledger-postgresql-tls").await, set().await);
    world.annotate::<DatabaseInstance>("ledger", "portico.dev/rotate-certificate", "now").await;
    world.settle().await;
    let renewed = world.certificate("ledger-postgresql-tls").await;
    assert_ne!(renewed, before);
    let pending = condition().await;
    let fingerprint = before.fingerprint();
    assert!(pending.starts_with("False CertificatePending") && pending.contains(&fingerprint[..16]), "{pending}");
    assert!(world.condition::<DatabaseInstance>("ledger", Ready).await.starts_with("True"));
    assert!(world.engines.reloads() > 0, "the engine is told");

    // The primary first: a copy that is late counts, too.
    let host = format!("ledger-postgresql.{}.svc", world.namespace);
    world.engines.serve(&host, &renewed.fingerprint());
    world.settle().await;
    assert!(condition().await.contains("ledger-postgresql-read-0"), "{}", condition().await);
    world.deliver_certificates().await;
    world.settle().await;
    assert!(condition().await.starts_with("True CertificateServed"));
    assert_eq!(set().await, generation, "no pod is replaced");

    world.clock.advance(DAY * 61);
    world.settle().await;
    assert_ne!(world.certificate("ledger-postgresql-tls").await, renewed, "two thirds of its life are over");
}

#[tokio::test]
async fn a_ca_is_replaced_in_phases_that_every_consumer_can_follow() {
    let world = World::new("authority").await;
    world.apply(resource("CacheInstance", "box", json!({"engine": "Valkey"}))).await;
    world.bring_up().await;
    let (old, leaf) = (world.certificate("portico-ca").await, world.certificate("box-valkey-tls").await);
    world.annotate::<Secret>("portico-ca", "portico.dev/rotation-overlap", "60s").await;
    world.annotate::<Secret>("portico-ca", "portico.dev/rotate", "now").await;
    let mut bundles = Vec::new();
    for step in 0..4 {
        world.settle().await;
        let (served, trusted) = (world.certificate("box-valkey-tls").await, world.trusted("box-valkey-binding").await);
        assert!(signed(&served, &trusted) && (step > 1 || signed(&leaf, &trusted)), "step {step}");
        bundles.push(trusted.len());
        world.clock.advance(SignedDuration::from_secs(61));
    }
    assert_eq!(bundles, [2, 2, 1, 1]);
    let new = world.certificate("portico-ca").await;
    assert!(new != old && world.certificate("box-valkey-tls").await.signed_by(&new));
    assert_eq!(world.secret("portico-ca").await.len(), 3, "nothing is left of the replacement");
}

#[tokio::test]
async fn deleted_certificates_come_back() {
    let world = World::new("deleted").await;
    world.apply(resource("CacheInstance", "box", json!({"engine": "Valkey"}))).await;
    world.bring_up().await;
    let trusted = world.trusted("box-valkey-binding").await;
    world.api::<Secret>().delete("box-valkey-tls", &DeleteParams::default()).await.unwrap();
    world.settle().await;
    let leaf = world.certificate("box-valkey-tls").await;
    assert!(signed(&leaf, &trusted), "consumers need nothing new");

    let old = world.certificate("portico-ca").await;
    world.api::<Secret>().delete("portico-ca", &DeleteParams::default()).await.unwrap();
    world.settle().await;
    assert_ne!(world.certificate("portico-ca").await, old);
    assert_eq!(world.certificate("box-valkey-tls").await, leaf, "the new CA is not known to everybody yet");
    for _ in 0..2 {
        assert!(world.trusted("box-valkey-binding").await.contains(&old));
        world.clock.advance(DAY + SignedDuration::from_secs(1));
        world.settle().await;
    }
    let new = world.certificate("portico-ca").await;
    assert!(world.certificate("box-valkey-tls").await.signed_by(&new));
    assert_eq!(world.trusted("box-valkey-binding").await, [new]);
}

#[tokio::test]
async fn a_foreign_or_damaged_ca_is_left_alone() {
    let world = World::new("foreign").await;
    world.apply(secret("portico-ca", &[("tls.crt", "theirs")])).await;
    world.apply(resource("CacheInstance", "box", json!({"engine": "Valkey"}))).await;
    let failure = world.pass().await.unwrap_err();
    assert_eq!((failure.reason(), failure.stalled()), ("NameConflict", true), "{}", failure.message());
    let label = Patch::Merge(json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "portico"}}}));
    world.api::<Secret>().patch("portico-ca", &PatchParams::default(), &label).await.unwrap();
    let failure = world.pass().await.unwrap_err();
    assert_eq!(failure.reason(), "SecretInvalid");
    assert!(failure.message().contains("tls.key"), "{}", failure.message());
    assert_eq!(world.secret("portico-ca").await, BTreeMap::from([("tls.crt".to_owned(), "theirs".to_owned())]));
}

#[tokio::test]
async fn without_cert_manager_an_instance_that_asks_for_it_waits() {
    let world = World::new("no-issuer").await;
    let spec = json!({"engine": "Valkey", "tls": {"issuerRef": {"name": "corporate"}}});
    world.apply(resource("CacheInstance", "box", spec)).await;
    world.settle().await;
    for type_ in [Ready, CertificateValid] {
        let condition = world.condition::<CacheInstance>("box", type_).await;
        assert!(condition.starts_with("False IssuerNotReady") && condition.contains("cert-manager"), "{condition}");
    }
    assert!(!world.names().await.contains(&"Secret/box-valkey-tls".to_owned()));
}

/// The least of cert-manager's definition.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "certificates.cert-manager.io"},
        "spec": {
            "group": "cert-manager.io", "scope": "Namespaced",
            "names": {"kind": "Certificate", "plural": "certificates", "singular": "certificate"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

impl World {
    /// Plays cert-manager: the Secret that the order asks for.
    async fn issue(&self, order: &Value, donor: &str) {
        let name = order["spec"]["secretName"].as_str().unwrap();
        let entries = self.secret(donor).await;
        let entries: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut issued = secret(name, &entries);
        issued["type"] = json!("kubernetes.io/tls");
        issued["metadata"]["labels"] = order["spec"]["secretTemplate"]["labels"].clone();
        issued["metadata"]["annotations"] = json!({"cert-manager.io/certificate-name": name});
        self.apply(issued).await;
    }
}

#[tokio::test]
async fn cert_manager_is_asked_and_let_go_again() {
    let server = own_server().await;
    let world = World::on(&server, "issuer").await;
    let definitions: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(world.client.clone());
    let name = "certificates.cert-manager.io";
    definitions.patch(name, &PatchParams::apply("test"), &Patch::Apply(definition())).await.unwrap();
    await_condition(definitions, name, is_crd_established()).await.unwrap();

    for name in ["box", "donor"] {
        world.apply(resource("CacheInstance", name, json!({"engine": "Valkey"}))).await;
    }
    world.bring_up().await;
    let own = world.certificate("box-valkey-tls").await;
    let spec = json!({"engine": "Valkey", "tls": {"issuerRef": {"name": "corporate", "kind": "ClusterIssuer"}}});
    world.apply(resource("CacheInstance", "box", spec)).await;
    world.settle().await;
    let waiting = world.condition::<CacheInstance>("box", Ready).await;
    assert!(waiting.starts_with("False IssuerNotReady") && waiting.contains("ClusterIssuer corporate"), "{waiting}");
    assert!(!world.names().await.contains(&"Secret/box-valkey-tls".to_owned()), "what we signed was not ordered");
    let orders = Api::<portico_operator_backends::certificates::cert_manager::CertificateOrder>::namespaced(
        world.client.clone(),
        &world.namespace,
    );
    let order = serde_json::to_value(orders.get("box-valkey-tls").await.unwrap()).unwrap();
    world.issue(&order, "donor-valkey-tls").await;
    world.bring_up().await;
    for type_ in [Ready, CertificateValid, WorkloadAvailable] {
        let condition = world.condition::<CacheInstance>("box", type_).await;
        assert!(condition.starts_with("True"), "{type_}: {condition}");
    }
    assert_ne!(world.certificate("box-valkey-tls").await, own);

    world.apply(resource("CacheInstance", "box", json!({"engine": "Valkey"}))).await;
    world.settle().await;
    assert_eq!(orders.list(&ListParams::default()).await.unwrap().items.len(), 0);
    let leaf = world.certificate("box-valkey-tls").await;
    assert!(leaf.signed_by(&world.certificate("portico-ca").await));
    assert!(leaf.names().contains("box-valkey"), "it is ours again: the one before was for another instance");
}
