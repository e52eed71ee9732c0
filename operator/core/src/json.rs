//! Plain JSON work on Kubernetes objects: one canonical form, and the digest of it. Pure.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Takes out every `null`: in an apply it would claim the field for us. Empty maps and lists stay, they mean something
/// (`emptyDir: {}`, `ingress: []`).
pub(crate) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        plain => plain,
    }
}

/// The same value with the keys of every map in alphabetical order, whatever `serde_json` was built with.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain => plain,
    }
}

/// 128 bits of SHA-256 of the canonical form, in hexadecimal.
pub(crate) fn digest(value: &Value) -> String {
    use std::fmt::Write as _;
    let hash = Sha256::digest(sorted(value.clone()).to_string());
    hash.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_go_and_empty_things_stay() {
        let value = json!({"a": null, "b": {"c": null, "d": {}}, "e": [], "f": [{"g": null}]});
        assert_eq!(without_nulls(value), json!({"b": {"d": {}}, "e": [], "f": [{}]}));
    }

    #[test]
    fn digest_ignores_key_order_and_sees_every_change() {
        let left: Value = serde_json::from_str(r#"{"a":1,"b":{"c":2,"d":3}}"#).unwrap();
        let right: Value = serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).unwrap();
        assert_eq!(digest(&left), digest(&right));
        assert_ne!(digest(&left), digest(&json!({"a": 1, "b": {"c": 2, "d": 4}})));
        assert_eq!(digest(&left).len(), 32);
    }
}
