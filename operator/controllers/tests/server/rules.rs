//! What a real API server accepts and refuses, and that the refusal names the field.

use serde_json::{Value, json};

use crate::world::{World, apply, resource, server};

/// Cases: kind, name, spec, what the refusal has to name.
fn refused() -> Vec<(&'static str, String, Value, &'static str)> {
    let mut cases = Vec::new();
    let mut add = |kind, name: &str, spec, field| cases.push((kind, name.to_owned(), spec, field));
    for (spec, field) in [
        (json!({"replicsa": 1}), "replicsa"),
        (json!({"replicas": -1}), "spec.replicas"),
        (json!({"replicas": 1, "autoscaling": {"maxReplicas": 2}}), "spec.replicas and spec.autoscaling"),
        (json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}), "autoscaling.minReplicas"),
        (json!({"autoscaling": {}}), "maxReplicas"),
        (json!({"resources": {"limits": {"memory": "1gb"}}}), "spec.resources.limits.memory"),
        (json!({"resources": {"requests": {"cpu": "-1"}}}), "spec.resources.requests.cpu"),
        (json!({"database": {}}), "spec.database"),
        (json!({"cache": {"managed": {}, "secretRef": {"name": "a"}}}), "spec.cache"),
        (json!({"database": {"managed": {"storage": {"size": "big"}}}}), "spec.database.managed.storage.size"),
        (json!({"database": {"secretRef": {"name": "A_b"}}}), "spec.database.secretRef.name"),
        (json!({"tokens": {"accessTokenLifetime": "1d"}}), "spec.tokens.accessTokenLifetime"),
        (json!({"tokens": {"refreshTokenLifetime": "1m"}}), "spec.tokens.refreshTokenLifetime"),
        (json!({"tokens": {"accessTokenLifetime": "2h", "refreshTokenLifetime": "1h"}}), "spec.tokens"),
        (json!({"tokens": {"issuer": "auth"}}), "spec.tokens.issuer"),
        (json!({"passwords": {"bcryptCost": 4}}), "spec.passwords.bcryptCost"),
        (json!({"logLevel": "loud"}), "spec.logLevel"),
        (json!({"allowedNamespaces": ["A"]}), "spec.allowedNamespaces"),
        (json!({"deletionPolicy": "Maybe"}), "spec.deletionPolicy"),
    ] {
        add("AuthService", "shop", spec, field);
    }
    for name in ["a".repeat(33), "1a".to_owned(), "a.b".to_owned(), "a-postgresql".to_owned()] {
        add("AuthService", &name, json!({}), "metadata.name");
    }
    for (kind, engine) in [("DatabaseInstance", "PostgreSQL"), ("CacheInstance", "Valkey")] {
        add(kind, &"a".repeat(41), json!({"engine": engine}), "metadata.name");
        for (spec, field) in [
            (json!({}), "spec.engine"),
            (json!({"engine": "Oracle"}), "spec.engine"),
            (json!({"engine": engine, "backend": "External"}), "spec.external"),
            (json!({"engine": engine, "external": {"secretRef": {"name": "a"}}}), "spec.external"),
            (json!({"engine": engine, "storage": {"size": "0"}}), "spec.storage.size"),
            (json!({"engine": engine, "version": "3"}), "spec.version"),
            (json!({"engine": engine, "image": "a b"}), "spec.image"),
            (
                json!({"engine": engine, "backend": "External", "external": {"secretRef": {"name": "a"}}, "image": "a"}),
                "spec.image",
            ),
        ] {
            add(kind, "shop", spec, field);
        }
    }
    cases
}

/// Cases: kind, specs in the order of their changes, what the last refusal has to name.
fn refused_changes() -> Vec<(&'static str, Value, Value, &'static str)> {
    let size = |size: &str| json!({"storage": {"size": size}});
    let mut cases = vec![
        (
            "AuthService",
            json!({"database": {"managed": size("2Gi")}}),
            json!({"database": {"managed": size("1Gi")}}),
            "spec.database.managed.storage.size",
        ),
        (
            "AuthService",
            json!({"cache": {"managed": size("2Gi")}}),
            json!({"cache": {"managed": {}}}),
            "spec.cache.managed.storage.size",
        ),
    ];
    for (kind, engine) in [("DatabaseInstance", "PostgreSQL"), ("CacheInstance", "Valkey")] {
        let with = |extra: Value| {
            let mut spec = extra;
            spec["engine"] = json!(engine);
            spec
        };
        cases.extend([
            (kind, with(size("2Gi")), with(size("1Gi")), "spec.storage.size"),
            (kind, with(size("2Gi")), with(json!({})), "spec.storage.size"),
            (
                kind,
                with(json!({})),
                with(json!({"backend": "External", "external": {"secretRef": {"name": "a"}}})),
                "spec.backend",
            ),
            (
                kind,
                with(json!({"storage": {"storageClassName": "a"}})),
                with(json!({"storage": {"storageClassName": "b"}})),
                "spec.storage.storageClassName",
            ),
        ]);
    }
    let versioned = |version: &str| json!({"engine": "PostgreSQL", "version": version, "image": "a"});
    cases.push(("DatabaseInstance", versioned("16"), versioned("17"), "spec.version"));
    cases
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_the_field_is_named() {
    let namespace = server().await.namespace("refused").await.unwrap();
    let client = server().await.client().await.unwrap();
    for (kind, name, spec, field) in refused() {
        let answer = apply(&client, &namespace, resource(kind, &name, spec.clone())).await;
        let text = answer.expect_err(&format!("{kind} {name} {spec} was accepted")).to_string();
        assert!(text.contains(field), "{kind} {spec}: {text} does not name {field}");
    }
}

#[tokio::test]
async fn changes_that_cannot_be_are_refused_and_the_field_is_named() {
    let world = World::new("changes").await;
    for (number, (kind, old, new, field)) in refused_changes().into_iter().enumerate() {
        let name = format!("case{number}");
        world.apply(resource(kind, &name, old.clone())).await;
        let answer = apply(&world.client, &world.namespace, resource(kind, &name, new.clone())).await;
        let text = answer.expect_err(&format!("{kind} {old} to {new} was accepted")).to_string();
        assert!(text.contains(field), "{kind} {old} to {new}: {text} does not name {field}");
    }
}

#[tokio::test]
async fn what_is_right_is_accepted_and_stored_as_it_was_written() {
    let world = World::new("accepted").await;
    let full = json!({
        "autoscaling": {"minReplicas": 1, "maxReplicas": 100, "targetCPUUtilizationPercentage": 50},
        "tokens": {"issuer": "https://a.example/x", "accessTokenLifetime": "1h30m", "refreshTokenLifetime": "8760h"},
        "resources": {"requests": {"cpu": "0.5", "memory": "1e9"}},
        "allowedNamespaces": ["a", "b"],
    });
    for (name, spec) in [("least".to_owned(), json!({})), ("a".repeat(32), full)] {
        world.apply(resource("AuthService", &name, spec.clone())).await;
        let stored = &world.objects().await[&format!("AuthService/{name}")];
        assert_eq!(stored.data["spec"], spec, "defaults in the schema would make Git and the cluster differ");
    }
}

/// Server-side apply turns a map whose last field is taken out into a null, unless the map belongs to one writer as a
/// whole or has a default.
#[tokio::test]
async fn fields_can_be_taken_out_again_one_by_one() {
    let world = World::new("emptied").await;
    let managed = |storage: Value| json!({"database": {"managed": storage}});
    for (number, (full, less)) in [
        (json!({"replicas": 2}), json!({})),
        (managed(json!({"storage": {"storageClassName": "a"}})), managed(json!({}))),
        (managed(json!({"storage": {"storageClassName": "a"}})), managed(json!({"storage": {}}))),
        (json!({"tokens": {"audience": "a"}}), json!({"tokens": {}})),
        (json!({"passwords": {"bcryptCost": 10}}), json!({"passwords": {}})),
        (json!({"resources": {"limits": {"cpu": "1"}}}), json!({"resources": {"limits": {}}})),
        (managed(json!({})), json!({"database": {"secretRef": {"name": "a"}}})),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("case{number}");
        world.apply(resource("AuthService", &name, full)).await;
        world.apply(resource("AuthService", &name, less.clone())).await;
        let stored = &world.objects().await[&format!("AuthService/{name}")];
        assert_eq!(stored.data["spec"], less);
    }
}

/// A null is not silently taken for a value.
#[tokio::test]
async fn a_null_is_refused_by_name() {
    let world = World::new("nulls").await;
    let spec = json!({"database": {"managed": null, "secretRef": {"name": "a"}}});
    let answer = apply(&world.client, &world.namespace, resource("AuthService", "nulls", spec)).await;
    let text = answer.expect_err("a null was accepted").to_string();
    assert!(text.contains("spec.database.managed"), "{text}");
}
