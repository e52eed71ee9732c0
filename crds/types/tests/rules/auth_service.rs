//! The rules of `AuthService` alone.

use serde_json::json;

use crate::{AUTH, accepts, refuses, verdict};

#[test]
fn services_are_not_named_like_objects_of_instances() {
    for name in ["shop-postgresql", "shop-mariadb", "shop-dynamodb", "shop-valkey", "shop-rabbitmq", "shop-garage"] {
        assert!(verdict(AUTH, name, None, &json!({})).contains("metadata.name"), "{name}");
    }
    assert_eq!(verdict(AUTH, "postgresql", None, &json!({})), "");
}

#[test]
fn a_dependency_has_exactly_one_source() {
    for field in ["database", "cache"] {
        accepts(
            AUTH,
            &[
                json!({ field: { "managed": {} } }),
                json!({ field: { "instanceRef": { "name": "a" } } }),
                json!({ field: { "secretRef": { "name": "a" } } }),
            ],
        );
        refuses(
            AUTH,
            &format!("spec.{field}: set exactly one of"),
            &[
                json!({ field: {} }),
                json!({ field: { "managed": {}, "secretRef": { "name": "a" } } }),
                json!({ field: { "instanceRef": { "name": "a" }, "secretRef": { "name": "a" } } }),
            ],
        );
    }
}

#[test]
fn replicas_and_autoscaling_exclude_each_other() {
    accepts(AUTH, &[json!({"replicas": 0}), json!({"autoscaling": {"maxReplicas": 3}})]);
    refuses(AUTH, "spec.replicas and spec.autoscaling", &[json!({"replicas": 1, "autoscaling": {"maxReplicas": 3}})]);
}

#[test]
fn autoscaling_has_an_ordered_range() {
    accepts(AUTH, &[json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 3}})]);
    refuses(AUTH, "autoscaling.minReplicas", &[json!({"autoscaling": {"minReplicas": 4, "maxReplicas": 3}})]);
}

#[test]
fn lifetimes_are_durations_in_range() {
    let with = |field: &str, text: &str| json!({ "tokens": { field: text } });
    accepts(AUTH, &["1m", "15m", "1h30m", "24h"].map(|text| with("accessTokenLifetime", text)));
    refuses(
        AUTH,
        "tokens.accessTokenLifetime",
        &["59s", "25h", "15", "15 m", "1d", "-1m", "1.5h"].map(|text| with("accessTokenLifetime", text)),
    );
    accepts(AUTH, &["1h", "168h", "8760h"].map(|text| with("refreshTokenLifetime", text)));
    refuses(
        AUTH,
        "tokens.refreshTokenLifetime",
        &["59m", "8761h", "week"].map(|text| with("refreshTokenLifetime", text)),
    );
}

#[test]
fn signing_keys_are_replaced_in_bounds() {
    let with = |field: &str, text: &str| json!({ "tokens": { "signingKeyRotation": { field: text } } });
    accepts(AUTH, &["24h", "2160h", "8760h"].map(|text| with("interval", text)));
    refuses(AUTH, "signingKeyRotation.interval", &["23h", "8761h", "1d"].map(|text| with("interval", text)));
    accepts(AUTH, &["10s", "10m", "24h"].map(|text| with("overlap", text)));
    refuses(AUTH, "signingKeyRotation.overlap", &["9s", "25h", "0"].map(|text| with("overlap", text)));
}

#[test]
fn refresh_tokens_outlive_access_tokens() {
    accepts(AUTH, &[json!({"tokens": {"accessTokenLifetime": "1h", "refreshTokenLifetime": "2h"}})]);
    refuses(
        AUTH,
        "must be longer",
        &[
            json!({"tokens": {"accessTokenLifetime": "2h", "refreshTokenLifetime": "2h"}}),
            json!({"tokens": {"accessTokenLifetime": "10h", "refreshTokenLifetime": "1h"}}),
        ],
    );
}

#[test]
fn the_issuer_is_a_url() {
    let with = |issuer: &str| json!({ "tokens": { "issuer": issuer } });
    accepts(
        AUTH,
        &["https://auth.example.org", "http://auth.shop.svc.cluster.local", "https://a.example:8443/x"].map(with),
    );
    refuses(
        AUTH,
        "tokens.issuer",
        &["auth", "ftp://a.example", "https://a.example?x=1", "https://a.example#x"].map(with),
    );
}
