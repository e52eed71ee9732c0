//! The samples are what they say: resources of our kinds that parse without a field left over and break no rule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use kube::core::cel::Validator;
use portico_crds::{AccessGrant, AuthService, BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore, all};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Every document of every sample, with its file name.
fn documents() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/samples");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(file).unwrap();
            let documents = serde_saphyr::from_multiple::<Value>(&text).unwrap();
            documents.into_iter().map(move |document| (name.clone(), document)).collect::<Vec<_>>()
        })
        .collect()
}

/// Reads and writes the document; what is lost is a field that does not exist.
fn round_trip<K: Serialize + DeserializeOwned>(document: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(document.clone()).unwrap()).unwrap()
}

#[test]
fn samples_parse_without_a_field_left_over() {
    let mut kinds = Vec::new();
    for (file, document) in documents() {
        let kind = document["kind"].as_str().unwrap().to_owned();
        let read = match kind.as_str() {
            "AuthService" => round_trip::<AuthService>(&document),
            "DatabaseInstance" => round_trip::<DatabaseInstance>(&document),
            "CacheInstance" => round_trip::<CacheInstance>(&document),
            "BrokerInstance" => round_trip::<BrokerInstance>(&document),
            "ObjectStore" => round_trip::<ObjectStore>(&document),
            "AccessGrant" => round_trip::<AccessGrant>(&document),
            _ => continue,
        };
        assert_eq!(read["spec"], document["spec"], "{file}: {kind}");
        kinds.push(kind);
    }
    for definition in all() {
        assert!(kinds.contains(&definition.spec.names.kind), "{} has no sample", definition.spec.names.kind);
    }
}

#[test]
fn samples_break_no_rule() {
    for (file, document) in documents() {
        let Some(definition) = all().into_iter().find(|one| document["kind"] == one.spec.names.kind.as_str()) else {
            continue;
        };
        let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        let schema = serde_json::to_value(schema).unwrap();
        Validator::new().validate(&schema, &document, None).unwrap_or_else(|errors| panic!("{file}: {errors:?}"));
    }
}
