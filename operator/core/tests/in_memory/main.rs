//! The applier against an API server in memory: which requests it sends, and that it converges from everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod fake;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::Resource as _;
use kube::api::{ApiResource, ObjectMeta};
use portico_crds::CacheInstance;
use portico_operator_core::{Applier, ApplyError, Desired};
use proptest::prelude::*;
use serde_json::json;

use crate::fake::FakeApi;

const CONFIG_MAP: &str = "/api/v1/namespaces/shop/configmaps/a-config";
const SECRET: &str = "/api/v1/namespaces/shop/secrets/a-keys";
const OWNER: &str = "owner-uid";

fn owner() -> CacheInstance {
    serde_json::from_value(json!({
        "apiVersion": "portico.dev/v1alpha1", "kind": "CacheInstance",
        "metadata": { "name": "a", "namespace": "shop", "uid": OWNER, "generation": 1 },
        "spec": { "engine": "Valkey" },
    }))
    .unwrap()
}

fn applier(api: &FakeApi) -> Applier {
    let kinds = [ApiResource::erase::<ConfigMap>(&()), ApiResource::erase::<Secret>(&())];
    Applier::new(api.client()).with_kinds(kinds)
}

fn meta(name: &str) -> ObjectMeta {
    let labels = [
        ("app.kubernetes.io/managed-by", "portico"),
        ("app.kubernetes.io/instance", "a"),
        ("portico.dev/kind", "CacheInstance"),
    ];
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    }
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: meta(name),
        data: Some([("key".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    }
}

fn secret() -> Secret {
    Secret {
        metadata: meta("a-keys"),
        string_data: Some([("password".to_owned(), "one".to_owned())].into()),
        ..Secret::default()
    }
}

/// Two objects, one of them generated; `exists` as an inputs step would find it.
fn set(api: &FakeApi) -> Desired {
    let mut desired = Desired::new();
    desired.push(config_map("a-config", "one"));
    desired.push_generated(secret(), api.get(SECRET).is_some(), false);
    desired
}

fn writes(log: &[String]) -> Vec<&String> {
    log.iter().filter(|line| !line.starts_with("GET")).collect()
}

#[tokio::test]
async fn sends_exactly_these_requests_and_nothing_the_second_time() {
    let api = FakeApi::default();
    let applier = applier(&api);
    let done = applier.apply(&owner(), set(&api)).await.unwrap();
    assert_eq!(
        api.take_log(),
        [
            format!("GET {CONFIG_MAP}"),
            format!("PATCH {CONFIG_MAP}?&force=true&fieldManager=portico"),
            format!("GET {SECRET}"),
            "POST /api/v1/namespaces/shop/secrets?&fieldManager=portico".to_owned(),
            format!("PATCH {SECRET}?&force=true&fieldManager=portico"),
            "GET /api/v1/namespaces/shop/configmaps?&labelSelector=app.kubernetes.io%2Fmanaged-by%3Dportico%2C\
             app.kubernetes.io%2Finstance%3Da"
                .to_owned(),
            "GET /api/v1/namespaces/shop/secrets?&labelSelector=app.kubernetes.io%2Fmanaged-by%3Dportico%2C\
             app.kubernetes.io%2Finstance%3Da"
                .to_owned(),
        ]
    );
    assert_eq!(done.get::<ConfigMap>("a-config").unwrap().data.unwrap()["key"], "one");
    assert!(done.get::<Secret>("a-config").is_none());

    applier.apply(&owner(), set(&api)).await.unwrap();
    assert_eq!(api.take_log(), [format!("GET {CONFIG_MAP}"), format!("GET {SECRET}")]);
}

#[tokio::test]
async fn objects_carry_the_owner_and_generated_data_stays() {
    let api = FakeApi::default();
    applier(&api).apply(&owner(), set(&api)).await.unwrap();
    for path in [CONFIG_MAP, SECRET] {
        let reference = api.get(path).unwrap()["metadata"]["ownerReferences"][0].clone();
        assert_eq!(reference["uid"], OWNER, "{path}");
        assert_eq!((&reference["controller"], &reference["blockOwnerDeletion"]), (&json!(true), &json!(true)));
    }
    let data = |api: &FakeApi| api.get(SECRET).unwrap()["data"].clone();
    let before = data(&api);
    api.edit(SECRET, |secret| secret["data"]["password"] = "cm90YXRlZA==".into());
    applier(&api).apply(&owner(), set(&api)).await.unwrap();
    assert_eq!(data(&api)["password"], "cm90YXRlZA==", "a password that was {before} was generated again");
}

#[tokio::test]
async fn drift_is_corrected_and_additions_of_others_are_left() {
    let api = FakeApi::default();
    let applier = applier(&api);
    applier.apply(&owner(), set(&api)).await.unwrap();
    api.edit(CONFIG_MAP, |object| object["data"]["other"] = "theirs".into());
    api.take_log();
    applier.apply(&owner(), set(&api)).await.unwrap();
    assert!(writes(&api.take_log()).is_empty());

    api.edit(CONFIG_MAP, |object| object["data"]["key"] = "changed by hand".into());
    applier.apply(&owner(), set(&api)).await.unwrap();
    assert_eq!(writes(&api.take_log()).len(), 1);
    assert_eq!(api.get(CONFIG_MAP).unwrap()["data"]["key"], "one");
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_touched() {
    let foreign = [
        json!({ "metadata": { "name": "a-config", "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod",
                "name": "p", "uid": "another", "controller": true }] } }),
        json!({ "metadata": { "name": "a-config" } }),
        json!({ "metadata": { "name": "a-config", "labels": { "app.kubernetes.io/managed-by": "portico",
                "app.kubernetes.io/instance": "a", "portico.dev/kind": "DatabaseInstance" } } }),
    ];
    for object in foreign {
        let api = FakeApi::default();
        api.put(CONFIG_MAP, object);
        let before = api.get(CONFIG_MAP);
        let error = applier(&api).apply(&owner(), set(&api)).await.unwrap_err();
        assert!(matches!(error, ApplyError::NameConflict { .. }), "{error}");
        assert!(error.to_string().contains("ConfigMap shop/a-config"), "{error}");
        assert!(writes(&api.take_log()).is_empty());
        assert_eq!(api.get(CONFIG_MAP), before);
    }
}

#[tokio::test]
async fn a_retained_object_outlives_its_owner_and_finds_the_next_one() {
    let api = FakeApi::default();
    let retained = |exists| {
        let mut desired = Desired::new();
        desired.push_generated(secret(), exists, true);
        desired
    };
    applier(&api).apply(&owner(), retained(false)).await.unwrap();
    assert!(api.get(SECRET).unwrap()["metadata"].get("ownerReferences").is_none());

    let mut next = owner();
    next.meta_mut().uid = Some("another-uid".to_owned());
    applier(&api).apply(&next, retained(true)).await.unwrap();
    let mut owned = Desired::new();
    owned.push_generated(secret(), true, false);
    applier(&api).apply(&next, owned).await.unwrap();
    assert_eq!(api.get(SECRET).unwrap()["metadata"]["ownerReferences"][0]["uid"], "another-uid");
    applier(&api).apply(&next, retained(true)).await.unwrap();
    assert!(api.get(SECRET).unwrap()["metadata"].get("ownerReferences").is_none(), "kept again");
}

#[tokio::test]
async fn a_generated_secret_is_never_overwritten_by_a_stale_look() {
    let api = FakeApi::default();
    applier(&api).apply(&owner(), set(&api)).await.unwrap();
    api.take_log();
    let mut stale = Desired::new();
    stale.push_generated(secret(), false, false);
    let error = applier(&api).apply(&owner(), stale).await.unwrap_err();
    assert!(matches!(error, ApplyError::Raced { what: "appeared", .. }), "{error}");
    assert!(writes(&api.take_log()).is_empty());
}

#[tokio::test]
async fn orphans_go_by_owner_and_not_by_name_or_label() {
    let api = FakeApi::default();
    let applier = applier(&api);
    let mut more = set(&api);
    more.push(config_map("a-extra", "x"));
    applier.apply(&owner(), more).await.unwrap();
    api.put(
        "/api/v1/namespaces/shop/configmaps/a-theirs",
        json!({ "metadata": { "name": "a-theirs", "labels": { "app.kubernetes.io/managed-by": "portico",
            "app.kubernetes.io/instance": "a" }, "ownerReferences": [{ "apiVersion": "v1", "kind": "CacheInstance",
            "name": "a", "uid": "an-older-a", "controller": true }] } }),
    );
    api.take_log();
    applier.apply(&owner(), set(&api)).await.unwrap();
    let log = api.take_log();
    assert_eq!(writes(&log), ["DELETE /api/v1/namespaces/shop/configmaps/a-extra"]);
    assert!(api.paths().iter().any(|path| path.ends_with("a-theirs")));
}

#[tokio::test]
async fn paused_reads_and_writes_nothing() {
    let api = FakeApi::default();
    let paused = applier(&api).read_only();
    assert!(paused.apply(&owner(), set(&api)).await.unwrap().get::<ConfigMap>("a-config").is_none());
    applier(&api).apply(&owner(), set(&api)).await.unwrap();
    api.edit(CONFIG_MAP, |object| object["data"]["key"] = "by hand".into());
    api.take_log();
    let applied = paused.apply(&owner(), set(&api)).await.unwrap();
    assert_eq!(applied.get::<ConfigMap>("a-config").unwrap().data.unwrap()["key"], "by hand");
    assert!(writes(&api.take_log()).is_empty());
}

#[tokio::test]
async fn an_object_that_is_being_deleted_is_waited_for() {
    let api = FakeApi::default();
    applier(&api).apply(&owner(), set(&api)).await.unwrap();
    api.edit(CONFIG_MAP, |object| object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
    api.take_log();
    let error = applier(&api).apply(&owner(), set(&api)).await.unwrap_err();
    assert!(matches!(error, ApplyError::Terminating { .. }), "{error}");
    assert!(writes(&api.take_log()).is_empty());
}

#[tokio::test]
async fn replicas_are_handed_over_to_an_autoscaler() {
    let api = FakeApi::default();
    let path = "/apis/apps/v1/namespaces/shop/deployments/a";
    let deployment = |replicas: Option<i32>| -> Deployment {
        let mut deployment: Deployment =
            serde_json::from_value(json!({ "spec": { "selector": {}, "template": {} } })).unwrap();
        deployment.metadata = meta("a");
        deployment.spec.as_mut().unwrap().replicas = replicas;
        deployment
    };
    let mut desired = Desired::new();
    desired.push(deployment(Some(3)));
    applier(&api).apply(&owner(), desired).await.unwrap();
    api.edit(path, |object| {
        object["metadata"]["managedFields"] = json!([{ "manager": "portico", "operation": "Apply",
            "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:replicas": {} } } }]);
    });
    api.take_log();
    let mut desired = Desired::new();
    desired.push(deployment(None));
    applier(&api).apply(&owner(), desired).await.unwrap();
    let log = api.take_log();
    assert_eq!(
        writes(&log),
        [
            &format!("PATCH {path}?&force=true&fieldManager=portico-handover"),
            &format!("PATCH {path}?&force=true&fieldManager=portico"),
        ]
    );
}

/// The state that an undisturbed run ends in.
async fn undisturbed() -> BTreeMap<String, serde_json::Value> {
    let api = FakeApi::default();
    applier(&api).apply(&owner(), set(&api)).await.unwrap();
    api.contents()
}

#[tokio::test]
async fn a_failure_at_any_request_leads_to_the_same_end() {
    let expected = undisturbed().await;
    for index in 0.. {
        let api = FakeApi::default();
        api.fail_at(Some(index));
        let first = applier(&api).apply(&owner(), set(&api)).await;
        let requests = api.take_log().len();
        api.fail_at(None);
        if first.is_ok() {
            assert!(index >= requests, "the failure of request {index} went unnoticed");
            return;
        }
        // A process that was killed begins again with a new applier.
        applier(&api).apply(&owner(), set(&api)).await.unwrap();
        assert_eq!(api.contents(), expected, "failed at request {index}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is asked for, asking again writes nothing, and what is no longer asked for goes.
    #[test]
    fn applying_twice_writes_nothing(
        first in prop::collection::btree_map("[a-z]{1,8}", "[ -~]{0,12}", 0..5),
        second in prop::collection::btree_map("[a-z]{1,8}", "[ -~]{0,12}", 0..5),
    ) {
        let set = |names: &BTreeMap<String, String>| {
            let mut desired = Desired::new();
            desired.push(ServiceAccount { metadata: meta("a"), ..ServiceAccount::default() });
            for (name, value) in names {
                desired.push(config_map(name, value));
            }
            desired
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let api = FakeApi::default();
            let applier = applier(&api);
            for names in [&first, &second] {
                applier.apply(&owner(), set(names)).await.unwrap();
                api.take_log();
                let applied = applier.apply(&owner(), set(names)).await.unwrap();
                assert_eq!(writes(&api.take_log()), Vec::<&String>::new());
                for (name, value) in names {
                    assert_eq!(&applied.get::<ConfigMap>(name).unwrap().data.unwrap()["key"], value);
                }
                assert_eq!(api.paths().iter().filter(|path| path.contains("/configmaps/")).count(), names.len());
            }
        });
    }
}
