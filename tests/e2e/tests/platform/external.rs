//! Instances that somebody else runs: a Secret goes in, a binding comes out.

use portico_crds::{CacheInstance, DatabaseInstance};
use portico_e2e::fixtures::{cache, content, database, secret};
use portico_e2e::{Outcome, REACTION, with_namespace};
use serde_json::json;

#[tokio::test]
async fn an_external_instance_publishes_a_binding() -> Outcome {
    with_namespace("external", |ns| async move {
        let external = json!({"backend": "External", "external": {"secretRef": {"name": "theirs"}}});
        ns.apply(database("db", external.clone())).await?;
        ns.apply(cache("cache", external)).await?;
        for text in ["SecretNotFound", "theirs"] {
            ns.wait_condition::<DatabaseInstance>("db", REACTION, "DependenciesReady", "False", text).await?;
            ns.wait_condition::<CacheInstance>("cache", REACTION, "DependenciesReady", "False", text).await?;
        }

        let half = json!({"host": "db.example.org", "port": "5433", "username": "portico", "database": "users"});
        ns.apply(secret("theirs", &half)).await?;
        for text in ["SecretInvalid", "password"] {
            ns.wait_condition::<DatabaseInstance>("db", REACTION, "DependenciesReady", "False", text).await?;
        }

        let mut whole = half;
        whole["password"] = "p@ss/word".into();
        ns.apply(secret("theirs", &whole)).await?;
        let db: DatabaseInstance = ns.wait_ready("db", REACTION).await?;
        let status = db.status.unwrap_or_default();
        assert_eq!(status.endpoint.as_deref(), Some("db.example.org:5433"));
        assert_eq!(status.backend.as_deref(), Some("External"));
        let binding = content(&ns, &status.binding.map(|binding| binding.name).unwrap_or_default()).await?;
        for (key, value) in
            [("type", "postgresql"), ("host", "db.example.org"), ("port", "5433"), ("database", "users")]
        {
            assert_eq!(binding[key], value, "{key}");
        }
        assert_eq!(binding["uri"], "postgresql://portico:p%40ss%2Fword@db.example.org:5433/users");

        ns.wait_ready::<CacheInstance>("cache", REACTION).await?;
        assert_eq!(content(&ns, "cache-valkey-binding").await?["type"], "redis");
        Ok(())
    })
    .await
}
