//! The definitions as they are installed: pinned as snapshots, and free of what the API server rejects or ignores.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use portico_crds::all;
use serde_json::Value;

fn definitions() -> Vec<(String, Value)> {
    all()
        .iter()
        .map(|definition| (definition.spec.names.kind.clone(), serde_json::to_value(definition).unwrap()))
        .collect()
}

/// Calls `check` with the path and content of every schema node.
fn walk(path: &str, node: &Value, check: &mut dyn FnMut(&str, &Value)) {
    check(path, node);
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, check);
    }
    if node["items"].is_object() {
        walk(&format!("{path}[]"), &node["items"], check);
    }
}

fn walk_all(mut check: impl FnMut(&str, &Value)) {
    for (kind, definition) in definitions() {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(&format!("{kind}.{part}"), &schema["properties"][part], &mut check);
        }
    }
}

#[test]
fn definitions_are_as_reviewed() {
    for definition in all() {
        insta::assert_yaml_snapshot!(definition.spec.names.kind.clone(), definition);
    }
}

#[test]
fn only_formats_that_kubernetes_knows() {
    walk_all(|path, node| {
        if let Some(format) = node["format"].as_str() {
            assert!(["int32", "int64", "date-time"].contains(&format), "{path} has format {format}");
        }
    });
}

#[test]
fn every_string_and_list_is_bounded() {
    walk_all(|path, node| match node["type"].as_str() {
        Some("string") => assert!(
            node["maxLength"].is_u64() || node["enum"].is_array() || node["format"] == "date-time",
            "{path} has no maxLength"
        ),
        Some("array") => assert!(node["maxItems"].is_u64(), "{path} has no maxItems"),
        Some("integer" | "object") => {}
        other => panic!("{path} has type {other:?}"),
    });
}

#[test]
fn every_field_is_explained() {
    walk_all(|path, node| {
        if !path.ends_with("[]") {
            assert!(node["description"].as_str().is_some_and(|text| text.len() > 8), "{path} has no description");
        }
    });
}

#[test]
fn nothing_is_nullable_and_nothing_has_a_default() {
    walk_all(|path, node| {
        assert!(node["nullable"].is_null(), "{path} is nullable");
        let empty_spec = path == "AuthService.spec" && node["default"] == serde_json::json!({});
        assert!(node["default"].is_null() || empty_spec, "{path} has a default, so Git and the cluster would differ");
    });
}

/// Otherwise server-side apply turns it into a null when its last field is taken out.
#[test]
fn every_map_that_may_be_empty_belongs_to_one_writer() {
    walk_all(|path, node| {
        for (name, property) in node["properties"].as_object().into_iter().flatten() {
            let may_be_empty = property["type"] == "object" && property["required"].is_null();
            let covered = node["x-kubernetes-map-type"] == "atomic" || property["x-kubernetes-map-type"] == "atomic";
            let within = path.matches('.').count() > 1;
            assert!(!may_be_empty || covered || within || path.contains("status"), "{path}.{name} is not atomic");
        }
    });
}

#[test]
fn definitions_fit_the_annotation_of_kubectl() {
    for (kind, definition) in definitions() {
        assert!(definition.to_string().len() < 200 * 1024, "{kind} is too large for kubectl apply");
    }
}

#[test]
fn kinds_are_listed_once_with_distinct_short_names() {
    let mut names: Vec<String> = all()
        .into_iter()
        .flat_map(|definition| {
            let names = definition.spec.names;
            [names.plural].into_iter().chain(names.singular).chain(names.short_names.unwrap_or_default())
        })
        .collect();
    let total = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), total);
}

#[test]
fn instances_are_provisioned_services() {
    for (kind, definition) in definitions() {
        let label = &definition["metadata"]["labels"]["servicebinding.io/provisioned-service"];
        let publishes = kind.ends_with("Instance") || ["ObjectStore", "AccessGrant"].contains(&kind.as_str());
        assert_eq!(label == "true", publishes, "{kind}");
    }
}
