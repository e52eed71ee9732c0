//! What cannot be meant is refused at once, by the API server, with a message that names the field.

use portico_e2e::fixtures::{auth_service, cache, database};
use portico_e2e::{Outcome, with_namespace};
use serde_json::{Value, json};

/// A manifest, and what the refusal must contain.
type Case = (Value, &'static [&'static str]);

fn cases() -> Vec<Case> {
    let long = "a".repeat(33);
    let bad_quantity = json!({"managed": {"storage": {"size": "10 gigabytes"}}});
    let two_sources = json!({"managed": {}, "secretRef": {"name": "users"}});
    vec![
        (auth_service("auth", json!({"replica": 2})), &["spec.replica"]),
        (auth_service("auth", json!({"tokens": {"accessTokenLifespan": "5m"}})), &["spec.tokens.accessTokenLifespan"]),
        (auth_service("auth", json!({"database": bad_quantity})), &["spec.database.managed.storage.size", "quantity"]),
        (
            auth_service("auth", json!({"resources": {"limits": {"memory": "lots"}}})),
            &["spec.resources.limits.memory", "quantity"],
        ),
        (
            auth_service("auth", json!({"replicas": 2, "autoscaling": {"maxReplicas": 3}})),
            &["spec.replicas", "spec.autoscaling", "contradict"],
        ),
        (
            auth_service("auth", json!({"autoscaling": {"minReplicas": 4, "maxReplicas": 3}})),
            &["spec.autoscaling", "minReplicas"],
        ),
        (auth_service("auth", json!({"database": two_sources})), &["spec.database", "exactly one"]),
        (auth_service("auth", json!({"cache": {}})), &["spec.cache", "exactly one"]),
        (auth_service("auth", json!({"replicas": 101})), &["spec.replicas", "100"]),
        (auth_service("auth", json!({"replicas": "two"})), &["spec.replicas", "integer"]),
        (auth_service("auth", json!({"passwords": {"bcryptCost": 4}})), &["spec.passwords.bcryptCost", "10"]),
        (
            auth_service("auth", json!({"tokens": {"accessTokenLifetime": "a while"}})),
            &["spec.tokens.accessTokenLifetime", "duration"],
        ),
        (
            auth_service("auth", json!({"tokens": {"accessTokenLifetime": "1s"}})),
            &["spec.tokens.accessTokenLifetime", "1m"],
        ),
        (auth_service("auth", json!({"tokens": {"issuer": "portico"}})), &["spec.tokens.issuer", "URL"]),
        (auth_service("auth", json!({"logLevel": "verbose"})), &["spec.logLevel", "verbose"]),
        (auth_service(&long, json!({})), &["metadata.name", "32"]),
        (auth_service("0auth", json!({})), &["metadata.name"]),
        (database("db", json!({"engine": "Oracle"})), &["spec.engine", "Oracle"]),
        (database("db", json!({"backend": "External"})), &["spec.external", "spec.backend"]),
        (database(&"a".repeat(41), json!({})), &["metadata.name", "40"]),
        (cache("cache", json!({"storage": {"size": "-1Gi"}})), &["spec.storage.size"]),
    ]
}

#[tokio::test]
async fn bad_resources_are_refused_by_name() -> Outcome {
    with_namespace("invalid", |ns| async move {
        for (manifest, wanted) in cases() {
            let arguments = ["create", "--namespace", ns.name(), "--dry-run=server", "--filename=-"];
            let refused = ns.cluster().kubectl_with(arguments, &manifest).await;
            let message = refused.map_err(|error| format!("{error:#}")).expect_err(&format!("accepted: {manifest}"));
            for part in wanted {
                assert!(message.contains(part), "{part:?} is not in the refusal of {manifest}: {message}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn good_resources_are_not_refused() -> Outcome {
    with_namespace("valid", |ns| async move {
        let full = json!({
            "autoscaling": {"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilizationPercentage": 70},
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "0.5Gi"}},
            "database": {"managed": {"storage": {"size": "10Gi", "storageClassName": "fast"}}},
            "cache": {"instanceRef": {"name": "shared"}},
            "tokens": {"issuer": "https://auth.example.org", "accessTokenLifetime": "1h30m"},
            "logLevel": "debug",
            "allowedNamespaces": ["shop"],
        });
        for manifest in
            [auth_service(&"a".repeat(32), json!({})), auth_service("auth", full), database("db", json!({}))]
        {
            let arguments = ["create", "--namespace", ns.name(), "--dry-run=server", "--filename=-"];
            ns.cluster().kubectl_with(arguments, &manifest).await?;
        }
        Ok(())
    })
    .await
}
