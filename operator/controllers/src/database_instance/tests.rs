//! The whole set of objects of a `DatabaseInstance` as it is built.

use portico_crds::DatabaseInstance;

use crate::instance::inputs::Inputs;
use crate::instance::testing::{built, nothing, shown};
use crate::testing::{binding, by_name, data};

const MINIMAL: &str = include_str!("fixtures/minimal.yaml");
const FULL: &str = include_str!("fixtures/full.yaml");
const MARIADB_MINIMAL: &str = include_str!("fixtures/mariadb-minimal.yaml");
const MARIADB_FULL: &str = include_str!("fixtures/mariadb-full.yaml");
const DYNAMODB: &str = include_str!("fixtures/dynamodb.yaml");
const EXTERNAL: &str = include_str!("fixtures/external.yaml");

fn first(yaml: &str) -> String {
    shown::<DatabaseInstance>(yaml, &nothing::<DatabaseInstance>(yaml))
}

#[test]
fn minimal() {
    insta::assert_snapshot!(first(MINIMAL));
}

#[test]
fn full() {
    insta::assert_snapshot!(first(FULL));
}

#[test]
fn mariadb_minimal() {
    insta::assert_snapshot!(first(MARIADB_MINIMAL));
}

#[test]
fn mariadb_full() {
    insta::assert_snapshot!(first(MARIADB_FULL));
}

#[test]
fn dynamodb() {
    insta::assert_snapshot!(first(DYNAMODB));
}

#[test]
fn external() {
    let inputs = Inputs { external: Some(binding("engine.example.org", "6432", "secret")), ..Inputs::default() };
    insta::assert_snapshot!(shown::<DatabaseInstance>(EXTERNAL, &inputs));
}

#[test]
fn parameters_are_in_the_configuration() {
    for (yaml, name, line) in [
        (FULL, "archive-postgresql", "max_connections = '77'"),
        (MARIADB_FULL, "archive-mariadb", "max_connections = 77"),
    ] {
        let objects = by_name(&built::<DatabaseInstance>(yaml, &nothing::<DatabaseInstance>(yaml)));
        let files = objects[&format!("ConfigMap/{name}")]["data"].as_object().unwrap();
        assert!(files.values().any(|text| text.as_str().unwrap().contains(line)), "{name} has no {line}");
    }
}

#[test]
fn an_external_instance_without_its_secret_makes_nothing_and_keeps_what_was_published() {
    let built = |inputs: &Inputs| built::<DatabaseInstance>(EXTERNAL, inputs);
    assert_eq!(built(&Inputs::default()), "");
    let published = binding("engine.example.org", "6432", "secret");
    let before = built(&Inputs { external: Some(published.clone()), ..Inputs::default() });
    let damaged = Inputs { external: Some(data(&[("host", "x")])), published: Some(published), ..Inputs::default() };
    assert_eq!(built(&damaged), before);
}
