//! What is deleted by hand comes back.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use portico_crds::AuthService;
use portico_e2e::auth::Auth;
use portico_e2e::fixtures::{content, start_auth};
use portico_e2e::inventory::{self, Item};
use portico_e2e::{Outcome, PLATFORM, POD, REACTION, TestNamespace, with_namespace};
use serde_json::json;

/// The least that there is to delete.
const CHILDREN: [&str; 16] = [
    "ServiceAccount/auth",
    "ConfigMap/auth-config",
    "NetworkPolicy/auth",
    "Service/auth",
    "Deployment/auth",
    "DatabaseInstance/auth-db",
    "CacheInstance/auth-cache",
    "ConfigMap/auth-db-postgresql",
    "NetworkPolicy/auth-db-postgresql",
    "Secret/auth-db-postgresql-binding",
    "Service/auth-db-postgresql",
    "StatefulSet/auth-db-postgresql",
    "NetworkPolicy/auth-cache-valkey",
    "Secret/auth-cache-valkey-binding",
    "Service/auth-cache-valkey",
    "StatefulSet/auth-cache-valkey",
];

/// What holds data or takes its objects with it: deleted last.
fn is_instance(item: &Item) -> bool {
    item.key().starts_with("DatabaseInstance/") || item.key().starts_with("CacheInstance/")
}

/// Generated once and never again; a copy of them would not open what the first one locked.
fn is_generated(item: &Item) -> bool {
    ["-credentials", "-logins", "-signing-keys"].iter().any(|end| item.key().ends_with(end))
        || item.key().starts_with("Persistent")
}

#[tokio::test]
async fn a_deleted_child_comes_back() -> Outcome {
    with_namespace("repair", |ns| async move {
        // The data outlives the instances, which are deleted too.
        let auth = start_auth(&ns, json!({"deletionPolicy": "Retain"})).await?;
        auth.register("ada@example.org").await?;
        let bindings = bindings(&ns).await?;

        let owned = inventory::owned(&ns).await?;
        let keys: Vec<String> = owned.iter().map(Item::key).collect();
        for child in CHILDREN {
            assert!(keys.contains(&child.to_owned()), "{child} is not among the owned objects {keys:?}");
        }
        let children: Vec<&Item> = owned.iter().filter(|item| !is_generated(item)).collect();
        for child in children.iter().filter(|item| !is_instance(item)) {
            child.delete_and_await_return(&ns, REACTION).await?;
        }
        assert_eq!(self::bindings(&ns).await?, bindings, "a binding that was made again has other content");

        for instance in children.iter().filter(|item| is_instance(item)) {
            // The service uses it, so it would stay.
            instance.insist(&ns).await?;
            // Kubernetes collects what the instance owned before its successor is up.
            instance.delete_and_await_return(&ns, REACTION).await?;
        }
        await_up(&ns).await?;
        assert_eq!(self::bindings(&ns).await?, bindings, "a binding that was made again has other content");
        let auth = Auth::of_service(&ns, "auth").await?;
        auth.await_ready().await?;
        auth.login("ada@example.org").await?;
        Ok(())
    })
    .await
}

async fn bindings(ns: &TestNamespace) -> anyhow::Result<[serde_json::Value; 2]> {
    Ok([content(ns, "auth-db-postgresql-binding").await?, content(ns, "auth-cache-valkey-binding").await?])
}

async fn await_up(ns: &TestNamespace) -> anyhow::Result<()> {
    for name in ["auth-db-postgresql", "auth-cache-valkey"] {
        ns.wait(name, PLATFORM, "ready", |set: &StatefulSet| {
            set.metadata.deletion_timestamp.is_none()
                && set.status.as_ref().is_some_and(|status| status.ready_replicas == Some(1))
        })
        .await?;
    }
    ns.wait("auth", POD, "available", |deployment: &Deployment| {
        deployment.status.as_ref().is_some_and(|status| status.available_replicas == Some(1))
    })
    .await?;
    ns.wait_ready::<AuthService>("auth", POD).await?;
    Ok(())
}
