//! Every validation rule, evaluated without an API server: what it accepts, what it refuses, and that the message
//! names the field. The same cases go to a real API server in the operator's tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod auth_service;

use kube::core::cel::{ErrorKind, Validator};
use portico_crds::all;
use serde_json::{Value, json};

fn schema(kind: &str) -> Value {
    let definition = all().into_iter().find(|definition| definition.spec.names.kind == kind).unwrap();
    let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
    serde_json::to_value(schema).unwrap()
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "portico.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// The messages of the rules that refuse `new` (as a change of `old` when given), joined.
fn verdict(kind: &str, name: &str, old: Option<&Value>, new: &Value) -> String {
    let old = old.map(|spec| object(kind, name, spec));
    match Validator::new().validate(&schema(kind), &object(kind, name, new), old.as_ref()) {
        Ok(()) => String::new(),
        Err(errors) => errors
            .iter()
            .map(|error| {
                assert_ne!(error.kind, ErrorKind::CompilationFailure, "{}: {}", error.rule, error.message);
                format!("{}: {}", error.field_path, error.message)
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[track_caller]
fn accepts(kind: &str, specs: &[Value]) {
    for spec in specs {
        assert_eq!(verdict(kind, "shop", None, spec), "", "{spec}");
    }
}

#[track_caller]
fn refuses(kind: &str, names_field: &str, specs: &[Value]) {
    for spec in specs {
        let message = verdict(kind, "shop", None, spec);
        assert!(message.contains(names_field), "{spec} should be refused naming {names_field}, got {message:?}");
    }
}

#[track_caller]
fn accepts_change(kind: &str, changes: &[(Value, Value)]) {
    for (old, new) in changes {
        assert_eq!(verdict(kind, "shop", Some(old), new), "", "{old} to {new}");
    }
}

#[track_caller]
fn refuses_change(kind: &str, names_field: &str, changes: &[(Value, Value)]) {
    for (old, new) in changes {
        let message = verdict(kind, "shop", Some(old), new);
        assert!(message.contains(names_field), "{old} to {new} should be refused naming {names_field}: {message:?}");
    }
}

const AUTH: &str = "AuthService";
const DATABASE: &str = "DatabaseInstance";
const CACHE: &str = "CacheInstance";
const BROKER: &str = "BrokerInstance";
const STORE: &str = "ObjectStore";
const GRANT: &str = "AccessGrant";
const INSTANCES: [(&str, &str); 6] = [
    (DATABASE, "PostgreSQL"),
    (DATABASE, "MariaDB"),
    (DATABASE, "DynamoDB"),
    (CACHE, "Valkey"),
    (BROKER, "RabbitMQ"),
    (STORE, "S3"),
];
/// With the version that needs no image.
const VERSIONED: [(&str, &str, &str); 5] = [
    (DATABASE, "PostgreSQL", "17"),
    (DATABASE, "MariaDB", "11.8"),
    (CACHE, "Valkey", "8.1"),
    (BROKER, "RabbitMQ", "4"),
    (STORE, "S3", "2.5"),
];

#[test]
fn names_have_a_length_and_an_alphabet() {
    for (kind, most, spec) in [
        (AUTH, 32, json!({})),
        (DATABASE, 40, json!({"engine": "PostgreSQL"})),
        (CACHE, 40, json!({"engine": "Valkey"})),
        (BROKER, 40, json!({"engine": "RabbitMQ"})),
        (STORE, 40, json!({"engine": "S3"})),
        (GRANT, 54, json!({"instanceRef": {"kind": "DatabaseInstance", "name": "a"}})),
    ] {
        assert_eq!(verdict(kind, &"a".repeat(most), None, &spec), "");
        let message = verdict(kind, &"a".repeat(most + 1), None, &spec);
        assert!(message.contains("metadata.name") && message.contains(&most.to_string()), "{message}");
        for name in ["1a", "a.b", "a-"] {
            assert!(verdict(kind, name, None, &spec).contains("metadata.name"), "{kind} {name}");
        }
    }
}

#[test]
fn quantities_are_quantities() {
    for (kind, base) in
        [(AUTH, json!({})), (DATABASE, json!({"engine": "PostgreSQL"})), (CACHE, json!({"engine": "Valkey"}))]
    {
        for (place, field) in [("requests", "cpu"), ("requests", "memory"), ("limits", "cpu"), ("limits", "memory")] {
            let with = |quantity: &str| {
                let mut spec = base.clone();
                spec["resources"] = json!({ place: { field: quantity } });
                spec
            };
            accepts(kind, &[with("500m"), with("1.5"), with("1Gi")]);
            refuses(kind, field, &[with("1gb"), with("0"), with("-1"), with("many")]);
        }
    }
    for (kind, engine) in INSTANCES {
        accepts(kind, &[json!({"engine": engine, "storage": {"size": "10Gi"}})]);
        refuses(kind, "storage.size", &[json!({"engine": engine, "storage": {"size": "10GB"}})]);
    }
    refuses(AUTH, "storage.size", &[json!({"database": {"managed": {"storage": {"size": "big"}}}})]);
}

#[test]
fn external_is_given_exactly_with_the_backend_external() {
    for (kind, engine) in INSTANCES {
        let external = json!({"secretRef": {"name": "a"}});
        accepts(
            kind,
            &[
                json!({"engine": engine}),
                json!({"engine": engine, "backend": "Builtin"}),
                json!({"engine": engine, "backend": "External", "external": external}),
            ],
        );
        refuses(
            kind,
            "spec.external",
            &[
                json!({"engine": engine, "backend": "External"}),
                json!({"engine": engine, "external": external}),
                json!({"engine": engine, "backend": "Builtin", "external": external}),
            ],
        );
    }
}

#[test]
fn external_instances_have_no_workload() {
    for (kind, engine) in INSTANCES {
        for (field, value) in [
            ("storage", json!({})),
            ("resources", json!({})),
            ("image", json!("a")),
            ("version", json!("17")),
            ("parameters", json!({"max_connections": "1"})),
            ("readReplicas", json!(1)),
            ("tls", json!({})),
        ] {
            let mut spec = json!({"engine": engine, "backend": "External", "external": {"secretRef": {"name": "a"}}});
            spec[field] = value;
            refuses(kind, &format!("spec.{field}"), &[spec]);
        }
    }
}

#[test]
fn other_versions_need_an_image() {
    for (kind, engine, version) in VERSIONED {
        accepts(
            kind,
            &[
                json!({"engine": engine, "version": version}),
                json!({"engine": engine, "version": "99", "image": "registry.example/engine:99"}),
            ],
        );
        refuses(kind, "spec.version", &[json!({"engine": engine, "version": "99"})]);
    }
}

#[test]
fn backends_are_immutable() {
    for (kind, engine) in INSTANCES {
        let absent = json!({"engine": engine});
        let auto = json!({"engine": engine, "backend": "Auto"});
        let builtin = json!({"engine": engine, "backend": "Builtin"});
        let external = json!({"engine": engine, "backend": "External", "external": {"secretRef": {"name": "a"}}});
        accepts_change(kind, &[(absent.clone(), auto.clone()), (auto.clone(), absent.clone())]);
        refuses_change(kind, "spec.backend", &[(auto, builtin.clone())]);
        refuses_change(kind, "spec.backend", &[(absent, external.clone()), (external, builtin)]);
    }
}

#[test]
fn engines_are_immutable() {
    for (kind, engine) in INSTANCES {
        accepts_change(kind, &[(json!({"engine": engine}), json!({"engine": engine}))]);
        refuses_change(kind, "spec.engine", &[(json!({"engine": "Other"}), json!({"engine": engine}))]);
    }
}

#[test]
fn the_version_of_a_database_is_immutable() {
    let with = |version: &str| json!({"engine": "PostgreSQL", "version": version, "image": "a"});
    accepts_change(DATABASE, &[(json!({"engine": "PostgreSQL"}), with("17")), (with("16"), with("16"))]);
    refuses_change(
        DATABASE,
        "spec.version",
        &[(with("16"), with("17")), (json!({"engine": "PostgreSQL"}), with("18"))],
    );
    accepts_change(
        CACHE,
        &[(json!({"engine": "Valkey"}), json!({"engine": "Valkey", "version": "9.0", "image": "a"}))],
    );
}

#[test]
fn storage_grows_only() {
    for (kind, engine) in INSTANCES {
        let absent = json!({"engine": engine});
        let with = |size: &str| json!({"engine": engine, "storage": {"size": size}});
        accepts_change(
            kind,
            &[(absent.clone(), with("1Gi")), (with("1Gi"), with("2Gi")), (with("1Gi"), with("1024Mi"))],
        );
        refuses_change(
            kind,
            "spec.storage.size",
            &[(with("2Gi"), with("1Gi")), (with("2Gi"), absent.clone()), (absent, with("1G"))],
        );
    }
    for field in ["database", "cache"] {
        let with = |size: &str| json!({ field: { "managed": { "storage": { "size": size } } } });
        accepts_change(
            AUTH,
            &[
                (json!({}), with("2Gi")),
                (with("1Gi"), with("2Gi")),
                (with("2Gi"), json!({ field: { "instanceRef": { "name": "a" } } })),
            ],
        );
        refuses_change(
            AUTH,
            &format!("spec.{field}.managed.storage.size"),
            &[(with("2Gi"), with("1Gi")), (with("2Gi"), json!({ field: { "managed": {} } }))],
        );
    }
}

#[test]
fn storage_classes_are_immutable() {
    for (kind, engine) in INSTANCES {
        let absent = json!({"engine": engine});
        let with = |class: &str| json!({"engine": engine, "storage": {"storageClassName": class}});
        accepts_change(kind, &[(with("a"), with("a")), (absent.clone(), json!({"engine": engine, "storage": {}}))]);
        refuses_change(
            kind,
            "spec.storage.storageClassName",
            &[(with("a"), with("b")), (with("a"), absent.clone()), (absent, with("a"))],
        );
    }
}

#[test]
fn external_has_a_secret_or_a_region() {
    let with = |external: Value| json!({"engine": "DynamoDB", "backend": "External", "external": external});
    accepts(DATABASE, &[with(json!({"secretRef": {"name": "a"}})), with(json!({"region": "eu-central-1"}))]);
    refuses(DATABASE, "secretRef", &[with(json!({}))]);
}

#[test]
fn tables_and_copies_belong_to_their_engines() {
    let table = json!([{"name": "carts", "partitionKey": {"name": "id"}}]);
    accepts(DATABASE, &[json!({"engine": "DynamoDB", "tables": table})]);
    refuses(
        DATABASE,
        "spec.tables",
        &[json!({"engine": "PostgreSQL", "tables": table}), json!({"engine": "MariaDB", "tables": table})],
    );
    for (kind, engine, may) in [
        (DATABASE, "PostgreSQL", true),
        (DATABASE, "MariaDB", true),
        (DATABASE, "DynamoDB", false),
        (CACHE, "Valkey", true),
        (BROKER, "RabbitMQ", false),
        (STORE, "S3", false),
    ] {
        let spec = [json!({"engine": engine, "readReplicas": 1})];
        if may { accepts(kind, &spec) } else { refuses(kind, "spec.readReplicas", &spec) }
    }
    refuses(STORE, "spec.tls", &[json!({"engine": "S3", "tls": {}})]);
}

#[test]
fn rotations_are_durations_in_range() {
    let instance = json!({"kind": "CacheInstance", "name": "a"});
    let with = |rotation: Value| json!({"instanceRef": instance, "rotation": rotation});
    accepts(GRANT, &[with(json!({"interval": "1h", "overlap": "10s"})), with(json!({"interval": "8760h"}))]);
    refuses(GRANT, "rotation.interval", &[with(json!({"interval": "59m"})), with(json!({"interval": "x"}))]);
    refuses(GRANT, "rotation.overlap", &[with(json!({"overlap": "9s"})), with(json!({"overlap": "25h"}))]);
}

#[test]
fn a_grant_stays_where_it_is() {
    let with = |kind: &str, space: &str| json!({"instanceRef": {"kind": kind, "name": "a"}, "space": space});
    accepts_change(GRANT, &[(with(CACHE, "orders"), with(CACHE, "orders"))]);
    refuses_change(GRANT, "spec.instanceRef", &[(with(CACHE, "orders"), with(BROKER, "orders"))]);
    refuses_change(GRANT, "spec.space", &[(with(CACHE, "orders"), with(CACHE, "billing"))]);
}

/// A rule that no test above refuses anything by would be a rule without a test.
#[test]
fn every_rule_compiles() {
    for kind in [AUTH, DATABASE, CACHE, BROKER, STORE, GRANT] {
        let compiled = kube::core::cel::compile_schema(&schema(kind));
        assert!(!compiled.has_errors(), "{kind}: {:?}", compiled.compilation_errors());
    }
}
