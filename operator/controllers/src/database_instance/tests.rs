//! The whole set of objects of a `DatabaseInstance` as it is built, and what changes it.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use portico_crds::DatabaseInstance;
use portico_crds::common::names::{EngineName, InstanceName};
use serde_json::{Value, json};

use crate::instance::build;
use crate::instance::inputs::Inputs;
use crate::instance::validate::{Invalid, validate};
use crate::testing::{binding, by_name, data, fixture, platform};

const MINIMAL: &str = include_str!("fixtures/minimal.yaml");
const FULL: &str = include_str!("fixtures/full.yaml");
const EXTERNAL: &str = include_str!("fixtures/external.yaml");

fn nothing() -> Inputs {
    let fresh = [("password", "one".to_owned()), ("superuser-password", "two".to_owned())].into();
    Inputs { fresh, ..Inputs::default() }
}

/// The second reconcile: the passwords are there.
fn later() -> Inputs {
    Inputs { credentials: Some(data(&[("password", "one"), ("superuser-password", "two")])), ..Inputs::default() }
}

fn try_build(yaml: &str, inputs: &Inputs) -> Result<String, Invalid> {
    let object: DatabaseInstance = fixture(yaml);
    let name = InstanceName::new(&object.name_any(), EngineName::PostgreSql).unwrap();
    Ok(build::build(&validate(&platform(), &object, name, inputs)?).to_yaml())
}

fn built(yaml: &str, inputs: &Inputs) -> String {
    try_build(yaml, inputs).unwrap()
}

fn template(yaml: &str, inputs: &Inputs) -> Value {
    by_name(&built(yaml, inputs))["StatefulSet/ledger-postgresql"]["spec"]["template"].clone()
}

fn claim(size: &str) -> PersistentVolumeClaim {
    let claim =
        json!({"metadata": {}, "spec": {"storageClassName": "slow", "resources": {"requests": {"storage": size}}}});
    serde_json::from_value(claim).unwrap()
}

#[test]
fn minimal() {
    insta::assert_snapshot!(built(MINIMAL, &nothing()));
}

#[test]
fn full() {
    insta::assert_snapshot!(built(FULL, &nothing()));
}

#[test]
fn external() {
    let inputs = Inputs { external: Some(binding("engine.example.org", "6432", "secret")), ..Inputs::default() };
    insta::assert_snapshot!(built(EXTERNAL, &inputs));
}

#[test]
fn an_external_instance_without_its_secret_makes_nothing_and_keeps_what_was_published() {
    assert_eq!(built(EXTERNAL, &Inputs::default()), "");
    let published = binding("engine.example.org", "6432", "secret");
    let before = built(EXTERNAL, &Inputs { external: Some(published.clone()), ..Inputs::default() });
    let damaged = Inputs { external: Some(data(&[("host", "x")])), published: Some(published), ..Inputs::default() };
    assert_eq!(built(EXTERNAL, &damaged), before);
}

#[test]
fn what_was_made_once_stays_the_same() {
    assert_eq!(built(MINIMAL, &nothing()), built(MINIMAL, &later()));
}

#[test]
fn the_pod_is_replaced_exactly_when_what_it_reads_changes() {
    let before = template(MINIMAL, &nothing());
    let mut rotated = nothing();
    rotated.fresh.insert("password", "another".to_owned());
    assert_ne!(template(MINIMAL, &rotated), before);
    let grown = MINIMAL.replace("PostgreSQL", "PostgreSQL, storage: {size: 2Gi}, deletionPolicy: Delete");
    assert_eq!(template(&grown, &nothing()), before);
}

#[test]
fn a_claim_that_is_there_keeps_its_size_and_comes_last() {
    let mut inputs = later();
    inputs.claim = Some(claim("8Gi"));
    let yaml = built(MINIMAL, &inputs);
    let key = "PersistentVolumeClaim/data-ledger-postgresql-0";
    assert_eq!(by_name(&yaml)[key]["spec"]["resources"]["requests"]["storage"], "8Gi");
    let at = |kind: &str| yaml.find(&format!("kind: {kind}\n")).unwrap();
    assert!(at("PersistentVolumeClaim") > at("StatefulSet"));
    let fresh = built(MINIMAL, &nothing());
    assert!(fresh.find("kind: PersistentVolumeClaim").unwrap() < fresh.find("kind: StatefulSet").unwrap());
}

#[test]
fn damaged_passwords_are_named_and_never_replaced() {
    let inputs = Inputs { credentials: Some(data(&[("other", "x")])), ..Inputs::default() };
    let error = try_build(MINIMAL, &inputs).unwrap_err().to_string();
    assert!(error.contains("ledger-postgresql-credentials") && error.contains("password"), "{error}");
}

#[test]
fn the_secret_of_each_instance_is_its_own() {
    let yaml = built(MINIMAL, &nothing());
    let binding = &by_name(&yaml)["Secret/ledger-postgresql-binding"];
    assert_eq!(binding["type"], "servicebinding.io/postgresql");
    assert!(by_name(&yaml)["Secret/ledger-postgresql-credentials"]["data"]["superuser-password"] == "***");
}
