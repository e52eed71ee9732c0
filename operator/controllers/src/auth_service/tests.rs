//! The whole set of objects of an `AuthService` as it is built, and what changes it.

use k8s_openapi::api::apps::v1::Deployment;
use portico_crds::AuthService;
use portico_crds::common::names::EngineName;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::build;
use super::inputs::Inputs;
use super::testing::{bound, granted, keys, nothing, used};
use super::validate::{Invalid, validate};
use crate::graph::observe::Observed;
use crate::testing::{binding, by_name, fixture, platform};

const MINIMAL: &str = include_str!("fixtures/minimal.yaml");
const FULL: &str = include_str!("fixtures/full.yaml");
const EDGE: &str = include_str!("fixtures/edge.yaml");

/// For the fixture that refers to a Secret and to an external instance.
fn bound_outside() -> Inputs {
    let database = Observed { secret: Some(binding("10.1.2.3", "6432", "one")), ..Observed::default() };
    Inputs { database, cache: used(EngineName::Valkey, "External", "cache.example.org", "6380"), ..bound() }
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

const MOVED: &str = "{metadata: {name: members}, spec: {database: {instanceRef: {name: ledger}}},
    apiVersion: portico.dev/v1alpha1, kind: AuthService}";

fn mounted(deployment: &Deployment) -> Vec<String> {
    let pod = deployment.spec.clone().unwrap().template.spec.unwrap();
    pod.volumes.unwrap().into_iter().filter_map(|volume| volume.secret?.secret_name).collect()
}

#[test]
fn a_new_dependency_is_taken_when_it_is_bound_and_not_before() {
    let mut inputs = bound();
    inputs.deployment = Some(deployment(MINIMAL, &bound()));
    inputs.database = Observed::default();
    let unchanged = deployment(MINIMAL, &bound()).spec.unwrap().template;
    assert_eq!(deployment(MOVED, &inputs).spec.unwrap().template, unchanged);
    inputs.database = bound().database;
    let secrets = mounted(&deployment(MOVED, &inputs));
    assert!(secrets.contains(&"members-database-ee7c1c8c-binding".to_owned()), "{secrets:?}");
}

/// The service goes from its own database to another one. Nothing of the old way is closed before its last pod is gone.
#[test]
fn what_pods_leave_stays_until_the_last_of_them_is_gone() {
    let ways = |inputs: &Inputs| {
        let objects = by_name(&built(MOVED, inputs));
        let grants = objects.keys().filter(|key| key.starts_with("AccessGrant/members-database")).count();
        let egress = objects["NetworkPolicy/members"]["spec"]["egress"].to_string();
        let own = "\"app.kubernetes.io/instance\":\"members-db\"";
        assert!(!objects.contains_key("DatabaseInstance/members-db"), "it is held by its grant, not wanted");
        (grants, egress.contains(own))
    };
    let mut inputs = bound();
    inputs.deployment = Some(deployment(MINIMAL, &bound()));
    assert_eq!(ways(&inputs), (2, true), "the template changes now");
    let mut next = deployment(MOVED, &inputs);
    inputs.deployment = Some(next.clone());
    assert_eq!(ways(&inputs), (2, true), "it is being rolled out");
    let status = json!({"observedGeneration": 0, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    next.status = Some(serde_json::from_value(status).unwrap());
    inputs.deployment = Some(next);
    assert_eq!(ways(&inputs), (1, false));
}

#[test]
fn pods_are_replaced_exactly_when_something_changes_that_they_cannot_follow() {
    let template = |yaml: &str, inputs: &Inputs| deployment(yaml, inputs).spec.unwrap().template;
    let before = template(MINIMAL, &bound());
    assert_ne!(template(&MINIMAL.replace("{}", "{logLevel: trace}"), &bound()), before);
    let mut followed = bound();
    followed.database.secret = Some(binding("elsewhere.shop.svc", "6432", "another"));
    assert_eq!(template(MINIMAL, &followed), before, "credentials and addresses");
    followed.fresh = keys(6);
    assert_eq!(template(MINIMAL, &followed), before, "signing keys");
    for same in ["{replicas: 1}", "{allowedNamespaces: [other]}", "{deletionPolicy: Delete}"] {
        assert_eq!(template(&MINIMAL.replace("{}", same), &bound()), before, "{same}");
    }
}

#[test]
fn what_is_being_deleted_is_not_written() {
    let mut inputs = bound();
    inputs.database.instance.as_mut().unwrap().1.deleting = true;
    let objects = by_name(&built(MINIMAL, &inputs));
    assert!(
        !objects.contains_key("DatabaseInstance/members-db") && objects.contains_key("AccessGrant/members-database")
    );
    let valid = validate(&platform(), &fixture(MINIMAL), &inputs).unwrap();
    assert!(valid.dependencies[0].resolved.verdict.good, "held by its grant, it goes on");
    inputs.database.grant.as_mut().unwrap().deleting = true;
    assert!(!by_name(&built(MINIMAL, &inputs)).contains_key("AccessGrant/members-database"));
    let valid = validate(&platform(), &fixture(MINIMAL), &inputs).unwrap();
    let message = &valid.dependencies[0].resolved.verdict.message;
    assert_eq!(message, "database: DatabaseInstance members-db is being deleted, and is made anew afterwards");
}

#[test]
fn each_thing_on_the_way_is_waited_for_by_its_name() {
    let verdict = |yaml: &str, database: Observed| {
        let valid = validate(&platform(), &fixture(yaml), &Inputs { database, ..bound() }).unwrap();
        let verdict = &valid.dependencies[0].resolved.verdict;
        format!("{}: {}", verdict.reason, verdict.message)
    };
    let whole = || bound().database;
    for (yaml, database, expected) in [
        (
            MOVED,
            Observed::default(),
            "InstanceNotFound: database: DatabaseInstance ledger (spec.database.instanceRef) does",
        ),
        (MINIMAL, Observed::default(), "DatabaseNotReady: database: DatabaseInstance members-db is being made"),
        (
            MOVED,
            used(EngineName::MariaDb, "Builtin", "h", "1"),
            "InvalidSpec: database: DatabaseInstance ledger (spec.data",
        ),
        (
            MINIMAL,
            Observed { grant: None, ..whole() },
            "GrantNotReady: database: AccessGrant members-database is being",
        ),
        (
            MINIMAL,
            Observed { grant: Some(granted("False", "EngineUnreachable", "no route")), ..whole() },
            "EngineUnreachable: database: no route",
        ),
        (
            MINIMAL,
            Observed { secret: None, ..whole() },
            "BindingNotFound: database: AccessGrant members-database has not published its binding members-database-bind",
        ),
        (
            MINIMAL,
            Observed { secret: Some(crate::testing::data(&[("type", "mysql")])), ..whole() },
            "SecretInvalid: database: Secret members-database-binding: key \"type\"",
        ),
        (MINIMAL, whole(), "Healthy: "),
    ] {
        let said = verdict(yaml, database);
        assert!(said.starts_with(expected), "{said} instead of {expected}");
    }
}

#[test]
fn how_long_keys_may_be_kept_follows_from_how_long_they_are_published() {
    for (overlap, expected) in [("{}", 300), ("{overlap: 10s}", 5), ("{overlap: 24h}", 300)] {
        let yaml = MINIMAL.replace("{}", &format!("{{tokens: {{signingKeyRotation: {overlap}}}}}"));
        let config = &by_name(&built(&yaml, &bound()))["ConfigMap/members-config"]["data"]["config.yaml"];
        assert!(config.as_str().unwrap().contains(&format!("keyCacheSeconds: {expected}\n")), "{config}");
    }
}

#[test]
fn new_keys_serve_what_was_asked_until_now() {
    let mut object: AuthService = fixture(MINIMAL);
    object.metadata.annotations = Some([("portico.dev/rotate".to_owned(), "now".to_owned())].into());
    let valid = validate(&platform(), &object, &bound()).unwrap();
    assert_eq!((valid.keys.request.as_str(), valid.keys.exist()), ("now", false));
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
