//! The whole set of objects of an `AuthService` as it is built, and what changes it.

use k8s_openapi::api::apps::v1::Deployment;
use portico_crds::AuthService;
use portico_crds::common::{BindingRef, InstanceStatus};
use portico_operator_core::rng::SeededRng;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::build;
use super::dependency::Observed;
use super::inputs::Inputs;
use super::signing_keys::SigningKeys;
use super::validate::{Invalid, validate};
use crate::testing::{binding, by_name, fixture, platform};

const MINIMAL: &str = include_str!("fixtures/minimal.yaml");
const FULL: &str = include_str!("fixtures/full.yaml");
const EDGE: &str = include_str!("fixtures/edge.yaml");

/// Nothing is there yet.
fn nothing() -> Inputs {
    Inputs {
        signing_keys: None,
        fresh_keys: Some(SigningKeys::generate(&SeededRng::new(5)).unwrap()),
        database: Observed::default(),
        cache: Observed::default(),
        deployment: None,
        trouble: None,
        failing: Vec::new(),
    }
}

fn ready(name: &str, secret: &str, backend: &str) -> InstanceStatus {
    let condition = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    InstanceStatus {
        conditions: vec![serde_json::from_value(condition).unwrap()],
        backend: Some(backend.to_owned()),
        endpoint: Some(name.to_owned()),
        binding: Some(BindingRef { name: secret.to_owned() }),
        ..InstanceStatus::default()
    }
}

/// Both dependencies are bound.
fn bound() -> Inputs {
    let mut inputs = nothing();
    inputs.database = Observed {
        instance: Some(Some(ready("d", "d-binding", "Builtin"))),
        secret: Some(binding("d-postgresql.shop.svc", "5432", "one")),
    };
    inputs.cache = Observed {
        instance: Some(Some(ready("c", "c-binding", "Builtin"))),
        secret: Some(binding("c-valkey.shop.svc", "6379", "two")),
    };
    inputs
}

/// For the fixture that refers to a Secret and to an external instance.
fn bound_outside() -> Inputs {
    let mut inputs = bound();
    inputs.database = Observed { instance: None, secret: Some(binding("10.1.2.3", "6432", "one")) };
    inputs.cache.instance = Some(Some(ready("c", "elsewhere", "External")));
    inputs.cache.secret = Some(binding("cache.example.org", "6380", "two"));
    inputs
}

fn built(yaml: &str, inputs: &Inputs) -> String {
    let object: AuthService = fixture(yaml);
    build::build(&validate(&platform(), &object, inputs).unwrap()).to_yaml()
}

/// The Deployment as the API server would hand it out.
fn deployment(yaml: &str, inputs: &Inputs) -> Deployment {
    let name = fixture::<AuthService>(yaml).metadata.name.unwrap();
    let object = by_name(&built(yaml, inputs)).remove(&format!("Deployment/{name}")).unwrap();
    serde_json::from_value(object).unwrap()
}

#[test]
fn minimal_before_anything_is_there() {
    insta::assert_snapshot!(built(MINIMAL, &nothing()));
}

#[test]
fn minimal_when_all_is_bound() {
    insta::assert_snapshot!(built(MINIMAL, &bound()));
}

#[test]
fn full() {
    insta::assert_snapshot!(built(FULL, &bound()));
}

#[test]
fn edge_with_dependencies_outside() {
    insta::assert_snapshot!(built(EDGE, &bound_outside()));
}

#[test]
fn a_service_that_runs_keeps_everything_when_a_dependency_goes() {
    for yaml in [MINIMAL, FULL] {
        let before = built(yaml, &bound());
        let mut inputs = nothing();
        inputs.deployment = Some(deployment(yaml, &bound()));
        assert_eq!(built(yaml, &inputs), before);
    }
    let mut inputs = nothing();
    inputs.deployment = Some(deployment(EDGE, &bound_outside()));
    assert_eq!(built(EDGE, &inputs), built(EDGE, &bound_outside()));
}

#[test]
fn a_new_dependency_is_taken_when_it_is_bound_and_not_before() {
    let moved = "{metadata: {name: members}, spec: {database: {secretRef: {name: other}}},
        apiVersion: portico.dev/v1alpha1, kind: AuthService}";
    let mut inputs = bound();
    inputs.deployment = Some(deployment(MINIMAL, &bound()));
    inputs.database = Observed::default();
    let template = |inputs: &Inputs| deployment(moved, inputs).spec.unwrap().template;
    let unchanged = deployment(MINIMAL, &bound()).spec.unwrap().template;
    assert_eq!(template(&inputs), unchanged);
    inputs.database.secret = Some(binding("10.0.0.1", "5432", "x"));
    let volumes = template(&inputs).spec.unwrap().volumes.unwrap();
    let secrets: Vec<_> = volumes.into_iter().filter_map(|volume| volume.secret?.secret_name).collect();
    assert!(secrets.contains(&"other".to_owned()), "{secrets:?}");
}

#[test]
fn pods_are_replaced_exactly_when_what_they_read_changes() {
    let template = |yaml: &str, inputs: &Inputs| deployment(yaml, inputs).spec.unwrap().template;
    let before = template(MINIMAL, &bound());
    let mut rotated = bound();
    rotated.database.secret = Some(binding("d-postgresql.shop.svc", "5432", "another"));
    assert_ne!(template(MINIMAL, &rotated), before);
    let mut signed = bound();
    signed.fresh_keys = Some(SigningKeys::generate(&SeededRng::new(6)).unwrap());
    assert_ne!(template(MINIMAL, &signed), before);
    assert_ne!(template(&MINIMAL.replace("{}", "{logLevel: trace}"), &bound()), before);
    for same in ["{replicas: 1}", "{allowedNamespaces: [other]}", "{deletionPolicy: Delete}"] {
        assert_eq!(template(&MINIMAL.replace("{}", same), &bound()), before, "{same}");
    }
}

#[test]
fn replicas_belong_to_the_autoscaler_when_there_is_one() {
    assert_eq!(deployment(FULL, &bound()).spec.unwrap().replicas, None);
    assert_eq!(deployment(EDGE, &bound_outside()).spec.unwrap().replicas, Some(3));
}

#[test]
fn what_the_api_server_should_have_refused_is_refused_again() {
    let refused = |spec: Value| {
        let mut object: AuthService = fixture(MINIMAL);
        object.spec = serde_json::from_value(spec).unwrap();
        validate(&platform(), &object, &bound()).unwrap_err()
    };
    assert!(matches!(refused(json!({"replicas": 1, "autoscaling": {"maxReplicas": 2}})), Invalid::Replicas));
    assert!(matches!(refused(json!({"database": {}})), Invalid::Dependency(_)));
    let lifetime = refused(json!({"tokens": {"accessTokenLifetime": "soon"}}));
    assert!(lifetime.to_string().starts_with("spec.tokens.accessTokenLifetime"), "{lifetime}");
    let config = refused(json!({"passwords": {"bcryptCost": 31}}));
    assert!(config.to_string().contains("passwords.bcryptCost"), "{config}");
}

#[test]
fn a_damaged_key_secret_is_never_replaced() {
    let mut inputs = bound();
    inputs.signing_keys = Some(crate::testing::data(&[("active", "x")]));
    let error = validate(&platform(), &fixture(MINIMAL), &inputs).unwrap_err().to_string();
    assert!(error.contains("members-signing-keys") && error.contains("x.pem"), "{error}");
}

prop_compose! {
    fn specs()(
        replicas in prop::option::of(0..=100i32),
        max in prop::option::of(1..=100i32),
        cost in prop::option::of(10..=15i32),
        access in prop::option::of(1..=24u32),
        namespaces in prop::collection::btree_set("[a-z]{1,8}", 0..4),
        policy in prop::option::of(prop::sample::select(vec!["Retain", "Delete"])),
    ) -> Value {
        let mut spec = json!({"allowedNamespaces": namespaces});
        match (replicas, max) {
            (_, Some(max)) => spec["autoscaling"] = json!({"maxReplicas": max}),
            (Some(replicas), None) => spec["replicas"] = json!(replicas),
            (None, None) => {}
        }
        if let Some(cost) = cost { spec["passwords"] = json!({"bcryptCost": cost}); }
        if let Some(access) = access { spec["tokens"] = json!({"accessTokenLifetime": format!("{access}h")}); }
        if let Some(policy) = policy { spec["deletionPolicy"] = json!(policy); }
        spec
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same input gives the same objects, and a Deployment that was built is recognised as what its pods have.
    #[test]
    fn building_is_deterministic_and_stable(spec in specs()) {
        let mut object: AuthService = fixture(MINIMAL);
        object.spec = serde_json::from_value(spec).unwrap();
        let build = |inputs: &Inputs| build::build(&validate(&platform(), &object, inputs).unwrap()).to_yaml();
        let first = build(&bound());
        prop_assert_eq!(&first, &build(&bound()));
        let mut later = bound();
        later.deployment = by_name(&first).remove("Deployment/members").map(|one| serde_json::from_value(one).unwrap());
        prop_assert_eq!(&first, &build(&later));
    }
}
