//! What holds for every instance, whatever its engine.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use portico_crds::common::instance::IssuerRef;
use portico_crds::common::reasons;
use portico_crds::{BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore};
use portico_operator_backends::builtin::FILES;
use portico_operator_core::ReconcileError as _;
use serde_json::{Value, json};

use super::InstanceKind;
use super::certificate::{Certificate, Ordered};
use super::inputs::Inputs;
use super::testing::{built, later, nothing, now, template, validated};
use crate::testing::{by_name, data};

/// A resource with nothing in its spec but the engine.
fn least(kind: &str, engine: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: ledger }}\nspec: {{ engine: {engine} }}\n"
    )
}

/// With further fields in the spec.
fn with(yaml: &str, fields: &str) -> String {
    let (head, spec) = yaml.split_once("spec: {").unwrap();
    format!("{head}spec: {{ {fields},{spec}")
}

fn claim(size: &str) -> PersistentVolumeClaim {
    let claim =
        json!({"metadata": {}, "spec": {"storageClassName": "slow", "resources": {"requests": {"storage": size}}}});
    serde_json::from_value(claim).unwrap()
}

/// The workload of an engine, as in the names of its objects.
struct Law {
    yaml: String,
    workload: &'static str,
    passwords: bool,
    tls: bool,
}

fn law<K: InstanceKind>(law: &Law) {
    what_was_made_once_stays_the_same::<K>(law);
    the_pod_is_replaced_exactly_when_what_it_reads_changes::<K>(law);
    a_claim_that_is_there_keeps_its_size_and_comes_last::<K>(law);
    damaged_passwords_are_named_and_never_replaced::<K>(law);
    the_certificate_comes_before_the_pod_and_does_not_roll_it::<K>(law);
    a_backend_without_adapter_is_refused::<K>(law);
    unknown_parameters_are_refused_with_the_list::<K>(law);
}

#[test]
fn all_engines_keep_the_same_laws() {
    let of = |kind, engine, workload, passwords, tls| Law { yaml: least(kind, engine), workload, passwords, tls };
    law::<DatabaseInstance>(&of("DatabaseInstance", "PostgreSQL", "ledger-postgresql", true, true));
    law::<DatabaseInstance>(&of("DatabaseInstance", "MariaDB", "ledger-mariadb", true, true));
    law::<DatabaseInstance>(&of("DatabaseInstance", "DynamoDB", "ledger-dynamodb", false, false));
    law::<CacheInstance>(&of("CacheInstance", "Valkey", "ledger-valkey", true, true));
    law::<BrokerInstance>(&of("BrokerInstance", "RabbitMQ", "ledger-rabbitmq", true, true));
    law::<ObjectStore>(&of("ObjectStore", "S3", "ledger-garage", true, false));
}

fn what_was_made_once_stays_the_same<K: InstanceKind>(law: &Law) {
    assert_eq!(built::<K>(&law.yaml, &nothing::<K>(&law.yaml)), built::<K>(&law.yaml, &later::<K>(&law.yaml)));
}

fn the_pod_is_replaced_exactly_when_what_it_reads_changes<K: InstanceKind>(law: &Law) {
    let before = template::<K>(&law.yaml, &nothing::<K>(&law.yaml));
    let mut others = nothing::<K>(&law.yaml);
    others.fresh.values_mut().for_each(|password| password.push('x'));
    assert_eq!(template::<K>(&law.yaml, &others) != before, law.passwords, "{}", law.workload);
    let grown = with(&law.yaml, "storage: { size: 2Gi }, deletionPolicy: Delete");
    assert_eq!(template::<K>(&grown, &nothing::<K>(&grown)), before);
}

fn a_claim_that_is_there_keeps_its_size_and_comes_last<K: InstanceKind>(law: &Law) {
    let mut inputs = later::<K>(&law.yaml);
    inputs.claim = Some(claim("8Gi"));
    let yaml = built::<K>(&law.yaml, &inputs);
    let key = format!("PersistentVolumeClaim/data-{}-0", law.workload);
    assert_eq!(by_name(&yaml)[&key]["spec"]["resources"]["requests"]["storage"], "8Gi");
    let at = |yaml: &str, kind: &str| yaml.find(&format!("kind: {kind}\n")).unwrap();
    assert!(at(&yaml, "PersistentVolumeClaim") > at(&yaml, "StatefulSet"));
    let fresh = built::<K>(&law.yaml, &nothing::<K>(&law.yaml));
    assert!(at(&fresh, "PersistentVolumeClaim") < at(&fresh, "StatefulSet"));
}

fn damaged_passwords_are_named_and_never_replaced<K: InstanceKind>(law: &Law) {
    let inputs = Inputs { credentials: Some(data(&[("other", "x")])), ..nothing::<K>(&law.yaml) };
    match validated::<K>(&law.yaml, &inputs) {
        Ok(_) => assert!(!law.passwords),
        Err(error) => assert!(error.to_string().contains(&format!("{}-credentials", law.workload)), "{error}"),
    }
}

fn the_certificate_comes_before_the_pod_and_does_not_roll_it<K: InstanceKind>(law: &Law) {
    let yaml = built::<K>(&law.yaml, &nothing::<K>(&law.yaml));
    let place = yaml.find(&format!("name: {}-tls\n", law.workload));
    assert_eq!(place.is_some(), law.tls);
    assert!(place < yaml.find("kind: StatefulSet\n"));
    // Every call draws another key.
    let first = template::<K>(&law.yaml, &nothing::<K>(&law.yaml));
    assert_eq!(first, template::<K>(&law.yaml, &nothing::<K>(&law.yaml)));
    let mounts = first["spec"]["containers"][0]["volumeMounts"].to_string();
    assert_eq!(mounts.contains("/etc/portico/tls"), law.tls);
    assert!(mounts.contains(FILES));
}

fn a_backend_without_adapter_is_refused<K: InstanceKind>(law: &Law) {
    let error = validated::<K>(&with(&law.yaml, "backend: Delegated"), &Inputs::default()).unwrap_err();
    assert_eq!(error.reason(), reasons::BACKEND_UNAVAILABLE);
    assert!(error.stalled() && error.to_string().contains("Builtin or External"), "{error}");
}

fn unknown_parameters_are_refused_with_the_list<K: InstanceKind>(law: &Law) {
    let yaml = with(&law.yaml, "parameters: { password_file: x }");
    let error = validated::<K>(&yaml, &nothing::<K>(&yaml)).unwrap_err();
    assert_eq!(error.reason(), reasons::INVALID_SPEC);
    assert!(error.to_string().starts_with("spec.parameters: password_file cannot be set; allowed are "), "{error}");
}

#[test]
fn copies_follow_their_primary_and_keep_the_size_that_they_have() {
    let yaml = with(&least("DatabaseInstance", "PostgreSQL"), "readReplicas: 2, storage: { size: 2Gi }");
    let size = |inputs: &Inputs| {
        let set = by_name(&built::<DatabaseInstance>(&yaml, inputs))["StatefulSet/ledger-postgresql-read"].clone();
        let claim = &set["spec"]["volumeClaimTemplates"][0]["spec"];
        (set["spec"]["replicas"].clone(), claim["resources"]["requests"]["storage"].clone())
    };
    let mut inputs = later::<DatabaseInstance>(&yaml);
    assert_eq!(size(&inputs), (json!(2), json!("2Gi")));
    inputs.copy_size = Some("1Gi".to_owned());
    assert_eq!(size(&inputs), (json!(2), json!("1Gi")));
}

#[test]
fn an_issuer_is_asked_instead_and_waited_for() {
    let yaml = with(&least("CacheInstance", "Valkey"), "tls: { issuerRef: { name: corporate } }");
    let issuer = IssuerRef { name: "corporate".to_owned(), kind: None };
    let ordered = |served| {
        let ordered = Ordered { issuer: issuer.clone(), served, certificate: None, bundle: None };
        Inputs { certificate: Certificate::Ordered(ordered), ..nothing::<CacheInstance>(&yaml) }
    };
    let objects = by_name(&built::<CacheInstance>(&yaml, &ordered(true)));
    let order = &objects["Certificate/ledger-valkey-tls"];
    assert_eq!(order["apiVersion"], "cert-manager.io/v1");
    assert_eq!(order["spec"]["issuerRef"], json!({"group": "cert-manager.io", "kind": "Issuer", "name": "corporate"}));
    assert_eq!(order["spec"]["secretName"], "ledger-valkey-tls");
    assert_eq!(order["spec"]["ipAddresses"], json!(["127.0.0.1"]));
    let names = order["spec"]["dnsNames"].as_array().unwrap();
    assert!(names.contains(&Value::from("ledger-valkey.shop.svc")) && names.contains(&Value::from("localhost")));
    assert!(!objects.contains_key("Secret/ledger-valkey-tls"));
    let before = ordered(false);
    let objects = by_name(&built::<CacheInstance>(&yaml, &before));
    assert!(!objects.contains_key("Certificate/ledger-valkey-tls"));
    let waits = before.certificate.waits("ledger-valkey-tls").unwrap();
    assert_eq!(waits.reason, reasons::ISSUER_NOT_READY);
    assert!(waits.message.contains("install cert-manager"), "{}", waits.message);
    assert!(before.certificate.due(now()).is_some(), "an API that is not served cannot be watched");
    let asked = ordered(true).certificate;
    assert!(asked.waits("ledger-valkey-tls").unwrap().message.contains("Secret ledger-valkey-tls"));
    assert_eq!(asked.due(now()), None, "the Secret is watched");
}
