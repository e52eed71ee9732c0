//! What the unit tests of all kinds share: an installation, fixtures through the real parser, Secrets.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use portico_crds::common::PorticoResource;
use portico_crds::common::names::EngineName;
use serde_json::{Value, json};

use crate::instance::inputs::Data;
use crate::{Images, Platform};

/// An installation whose every value differs from the defaults, so that a swapped one is seen.
pub(crate) fn platform() -> Platform {
    Platform {
        images: Images {
            auth_service: "registry.test/auth-service:1".into(),
            engines: EngineName::ALL.map(|engine| (engine, format!("registry.test/{}:1", engine.as_str()))).into(),
        },
        image_pull_policy: "Never".into(),
        cluster_domain: "cluster.test".into(),
        namespace: "operators".into(),
    }
}

/// A fixture as the API server would hand it out, in the namespace `shop`.
pub(crate) fn fixture<K: PorticoResource>(yaml: &str) -> K {
    let mut value: Value = serde_saphyr::from_str(yaml).unwrap();
    value["metadata"]["namespace"] = json!("shop");
    value["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000001");
    value["metadata"]["generation"] = json!(4);
    let object: K = serde_json::from_value(value.clone()).unwrap();
    let parsed = serde_json::to_value(&object).unwrap();
    assert_eq!(parsed["spec"], value["spec"], "the fixture has a field that does not exist");
    object
}

/// The entries of a Secret.
pub(crate) fn data(entries: &[(&str, &str)]) -> Data {
    entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
}

/// The binding of an engine at `host`.
pub(crate) fn binding(host: &str, port: &str, password: &str) -> Data {
    let all = [("host", host), ("port", port), ("username", "u"), ("password", password), ("database", "d")];
    data(&all)
}

/// The documents of a YAML stream by `kind/name`.
pub(crate) fn by_name(yaml: &str) -> BTreeMap<String, Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let key = |one: &Value| {
        format!("{}/{}", one["kind"].as_str().unwrap_or_default(), one["metadata"]["name"].as_str().unwrap_or_default())
    };
    documents.into_iter().map(|one| (key(&one), one)).collect()
}
