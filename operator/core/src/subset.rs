//! Whether a live object already has every field that is desired. Pure.
//!
//! The API server adds defaults, drops empty values and rewrites quantities, so equality would find a difference in
//! every object and the operator would write for ever. What is compared is therefore: every desired field is there
//! with an equal value; fields that only the live object has are not ours to judge.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Lists that Kubernetes merges by a key: others may add elements of their own to them. All other lists belong to one
/// writer and are compared as a whole, so that an added rule or argument is seen.
const KEYED_LISTS: [&str; 11] = [
    "containers",
    "env",
    "hostAliases",
    "imagePullSecrets",
    "initContainers",
    "ownerReferences",
    "ports",
    "topologySpreadConstraints",
    "volumeDevices",
    "volumeMounts",
    "volumes",
];

/// Fields below which text is a quantity, which has many spellings.
const QUANTITIES: [&str; 6] = ["requests", "limits", "sizeLimit", "divisor", "averageValue", "hard"];

/// Where a comparison stands.
#[derive(Clone, Copy)]
struct Place {
    /// Below one of [`QUANTITIES`].
    quantity: bool,
    /// In a list that others may add to.
    keyed: bool,
    /// In a `NetworkPolicy`: its lists called `ports` belong to one writer.
    policy: bool,
}

/// The first desired field that `live` lacks or has with another value, as a path such as
/// `.spec.template.spec.containers[0].image`.
pub(crate) fn first_difference(kind: &str, desired: &Value, live: &Value) -> Option<String> {
    let mut path = String::new();
    let place = Place { quantity: false, keyed: false, policy: kind == "NetworkPolicy" };
    (!covers(desired, Some(live), place, &mut path)).then_some(path)
}

fn covers(desired: &Value, live: Option<&Value>, place: Place, path: &mut String) -> bool {
    let Some(live) = live.filter(|live| !live.is_null()) else { return is_empty(desired) };
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => covers_map(desired, live, place, path),
        (Value::Array(desired), Value::Array(live)) => covers_list(desired, live, place, path),
        (Value::Number(desired), Value::Number(live)) => desired == live || desired.as_f64() == live.as_f64(),
        (desired, live) if place.quantity => match (quantity(desired), quantity(live)) {
            (Some(desired), Some(live)) => (desired - live).abs() <= live.abs() * 1e-9,
            _ => desired == live,
        },
        (desired, live) => desired == live,
    }
}

fn covers_map(desired: &Map<String, Value>, live: &Map<String, Value>, place: Place, path: &mut String) -> bool {
    desired.iter().all(|(key, value)| {
        let length = path.len();
        path.push('.');
        path.push_str(key);
        let inner = Place {
            quantity: place.quantity || QUANTITIES.contains(&key.as_str()),
            keyed: KEYED_LISTS.contains(&key.as_str()) && !place.policy,
            policy: place.policy,
        };
        let covered = covers(value, live.get(key), inner, path);
        if covered {
            path.truncate(length);
        }
        covered
    })
}

fn covers_list(desired: &[Value], live: &[Value], place: Place, path: &mut String) -> bool {
    if !place.keyed && desired.len() != live.len() {
        return false;
    }
    // Elements of others may stand between ours; the order of ours stays.
    let mut rest = live.iter();
    desired.iter().enumerate().all(|(index, item)| {
        let length = path.len();
        path.push_str(&["[", &index.to_string(), "]"].concat());
        let covered = if place.keyed {
            rest.any(|live| covers(item, Some(live), place, &mut String::new()))
        } else {
            covers(item, rest.next(), place, path)
        };
        if covered {
            path.truncate(length);
        }
        covered
    })
}

/// Values that the API server leaves out when it writes an object.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}

/// Suffixes of quantities; those of two letters first, since `Ki` also ends in a letter.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The number that a Kubernetes quantity stands for.
fn quantity(value: &Value) -> Option<f64> {
    let text: Cow<'_, str> = match value {
        Value::String(text) => text.into(),
        Value::Number(number) => number.to_string().into(),
        _ => return None,
    };
    let scaled = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = scaled.unwrap_or((&text, 1.0));
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "short calls")]
    fn difference(desired: Value, live: Value) -> Option<String> {
        first_difference("Deployment", &desired, &live)
    }

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let desired = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i", "env": []}],
            "volumes": [{"name": "v", "emptyDir": {}}], "hostNetwork": false}}}});
        let live = json!({"metadata": {"uid": "u"}, "spec": {"replicas": 1, "template": {"spec": {
            "containers": [{"name": "a", "image": "i", "imagePullPolicy": "IfNotPresent"}],
            "volumes": [{"name": "v", "emptyDir": {}}], "dnsPolicy": "ClusterFirst"}}}});
        assert_eq!(difference(desired, live), None);
    }

    #[test]
    fn a_changed_or_missing_field_is_named() {
        let desired = json!({"spec": {"replicas": 3, "paused": true}});
        assert_eq!(
            difference(desired.clone(), json!({"spec": {"replicas": 2, "paused": true}})).unwrap(),
            ".spec.replicas"
        );
        assert_eq!(difference(desired, json!({"spec": {"replicas": 3}})).unwrap(), ".spec.paused");
        assert!(difference(json!({"a": 0}), json!({})).is_none());
        assert!(difference(json!({"a": 0}), json!({"a": 1})).is_some());
    }

    #[test]
    fn quantities_are_compared_by_value_and_other_text_is_not() {
        let with = |cpu: &str, memory: &str| json!({"resources": {"requests": {"cpu": cpu, "memory": memory}}});
        assert_eq!(difference(with("1000m", "1024Mi"), with("1", "1Gi")), None);
        assert!(difference(with("100m", "1Gi"), with("200m", "1Gi")).is_some());
        assert!(difference(json!({"data": {"a": "1000m"}}), json!({"data": {"a": "1"}})).is_some());
    }

    #[test]
    fn others_may_add_containers_but_not_arguments() {
        let ours = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        assert_eq!(
            difference(ours.clone(), json!({"containers": [{"name": "a"}, {"name": "x"}, {"name": "b"}]})),
            None
        );
        assert_eq!(difference(ours, json!({"containers": [{"name": "a"}]})).unwrap(), ".containers[1]");
        assert!(difference(json!({"args": ["serve"]}), json!({"args": ["serve", "--debug"]})).is_some());
    }

    #[test]
    fn an_added_rule_or_port_of_a_network_policy_is_seen() {
        let policy = |ports: Value| json!({"spec": {"ingress": [{"ports": ports}]}});
        let ours = policy(json!([{"port": 80}]));
        let more = policy(json!([{"port": 80}, {"port": 22}]));
        assert!(first_difference("NetworkPolicy", &ours, &more).is_some());
        let rules = json!({"spec": {"ingress": [{"ports": [{"port": 80}]}, {}]}});
        assert!(first_difference("NetworkPolicy", &ours, &rules).is_some());
        assert_eq!(first_difference("NetworkPolicy", &json!({"spec": {"egress": []}}), &json!({"spec": {}})), None);
    }
}
