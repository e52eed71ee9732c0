//! Dependencies that are missing, refuse us, or go away: the condition names them, the service says 503, and all of it
//! mends itself.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use portico_crds::common::PorticoResource;
use portico_crds::{AuthService, CacheInstance, DatabaseInstance};
use portico_e2e::auth::{Auth, PASSWORD};
use portico_e2e::fixtures::{auth_service, cache, content, database, secret, start_auth};
use portico_e2e::operator::{is_ready, restarts};
use portico_e2e::{Outcome, PLATFORM, POD, REACTION, TestNamespace, with_namespace};
use serde_json::json;

const SERVICE: &str = "app.kubernetes.io/name=auth-service";

#[tokio::test]
async fn a_secret_that_is_missing_then_wrong_then_right() -> Outcome {
    with_namespace("secret_ref", |ns| async move {
        let dependencies =
            json!({"database": {"secretRef": {"name": "users"}}, "cache": {"instanceRef": {"name": "fast"}}});
        ns.apply(auth_service("auth", dependencies)).await?;
        for text in ["SecretNotFound", "users", "fast"] {
            ns.wait_condition::<AuthService>("auth", REACTION, "DependenciesReady", "False", text).await?;
        }

        ns.apply(database("store", json!({}))).await?;
        ns.apply(cache("fast", json!({}))).await?;
        ns.apply(admission_to_the_database()).await?;
        let store: DatabaseInstance = ns.wait_ready("store", PLATFORM).await?;
        let status = store.status.unwrap_or_default();
        assert_eq!(status.binding.map(|binding| binding.name).as_deref(), Some("store-postgresql-binding"));
        let good = content(&ns, "store-postgresql-binding").await?;
        let mut wrong = good.clone();
        wrong["password"] = "incorrect".into();
        if wrong["uri"].is_string() {
            // Says the same as the other keys.
            wrong["uri"] = good["uri"]
                .as_str()
                .unwrap_or_default()
                .replace(good["password"].as_str().unwrap(), "incorrect")
                .into();
        }
        ns.apply(secret("users", &wrong)).await?;
        let refused: AuthService =
            ns.wait_condition("auth", POD, "DependenciesReady", "False", "PasswordRefused").await?;
        let condition = refused.conditions().iter().find(|found| found.type_ == "DependenciesReady").unwrap();
        assert!(condition.message.contains("database"), "the message names no database: {}", condition.message);
        assert!(!condition.message.contains("incorrect"), "the message shows the password: {}", condition.message);

        ns.apply(secret("users", &good)).await?;
        ns.wait_ready::<AuthService>("auth", PLATFORM).await?;
        Auth::of_service(&ns, "auth").await?.register("ada@example.org").await?;
        Ok(())
    })
    .await
}

/// The operator knows no consumer of `store` here, since the service is given a Secret and not the instance.
fn admission_to_the_database() -> serde_json::Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "users-of-store"},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/instance": "store"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "auth"}}}]}],
        },
    })
}

#[tokio::test]
async fn a_database_that_goes_away_and_returns() -> Outcome {
    with_namespace("database_away", |ns| async move {
        drop(start_auth(&ns, json!({})).await?);
        let (pod, auth) = the_pod(&ns).await?;
        auth.register("ada@example.org").await?;
        take_away::<DatabaseInstance>(&ns, "auth-db", "auth-db-postgresql", &pod).await?;
        says_unready(&ns, &auth, "database").await?;
        let account = json!({"email": "ada@example.org", "password": PASSWORD});
        let login = auth.http().post("/api/v1/auth/login", None, &account).await?.expect(503)?;
        assert_eq!(login.media_type(), "application/problem+json");

        give_back::<DatabaseInstance>(&ns, "auth-db").await?;
        unharmed(&ns, &pod).await?;
        auth.login("ada@example.org").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cache_that_goes_away_and_returns() -> Outcome {
    with_namespace("cache_away", |ns| async move {
        drop(start_auth(&ns, json!({})).await?);
        let (pod, auth) = the_pod(&ns).await?;
        let tokens = auth.register("ada@example.org").await?;
        take_away::<CacheInstance>(&ns, "auth-cache", "auth-cache-valkey", &pod).await?;
        says_unready(&ns, &auth, "cache").await?;
        // Nobody can tell whether the token has been revoked.
        auth.me(&tokens.access).await?.expect(503)?;

        give_back::<CacheInstance>(&ns, "auth-cache").await?;
        unharmed(&ns, &pod).await?;
        auth.accepts(&tokens.access, "ada@example.org").await
    })
    .await
}

async fn the_pod(ns: &TestNamespace) -> anyhow::Result<(String, Auth)> {
    let pod = ns.api::<Pod>().list(&ListParams::default().labels(SERVICE)).await?.items.remove(0).name_any();
    let auth = Auth::of_pod(ns, &pod).await?;
    Ok((pod, auth))
}

/// Holds the engine down: the operator may not start it again while the instance is paused.
async fn take_away<K: PorticoResource>(ns: &TestNamespace, name: &str, set: &str, pod: &str) -> anyhow::Result<()> {
    ns.patch::<K>(name, json!({"metadata": {"annotations": {"portico.dev/paused": "true"}}})).await?;
    ns.wait_condition::<K>(name, REACTION, "Paused", "True", "").await?;
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    ns.api::<StatefulSet>().patch_scale(set, &PatchParams::default(), &none).await?;
    ns.wait_gone::<Pod>(&format!("{set}-0"), POD).await?;
    ns.wait(pod, POD, "unready", |pod: &Pod| !is_ready(pod)).await?;
    Ok(())
}

async fn says_unready(ns: &TestNamespace, auth: &Auth, name: &str) -> anyhow::Result<()> {
    let health = auth.http().get("/readyz", None).await?.expect(503)?;
    assert_eq!(health.media_type(), "application/problem+json");
    let body = health.json()?;
    let checks = body["checks"].as_array().cloned().unwrap_or_default();
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {body}"));
    assert_eq!(check["status"], "failing", "{body}");
    assert!(check["reason"].is_string() && check["detail"].is_string(), "{body}");
    auth.http().get("/livez", None).await?.expect(200)?;
    ns.wait_condition::<AuthService>("auth", POD, "DependenciesReady", "False", name).await?;
    ns.wait_condition::<AuthService>("auth", POD, "Ready", "False", "").await?;
    Ok(())
}

async fn give_back<K: PorticoResource>(ns: &TestNamespace, name: &str) -> anyhow::Result<()> {
    ns.patch::<K>(name, json!({"metadata": {"annotations": {"portico.dev/paused": null}}})).await?;
    ns.wait_ready::<K>(name, POD).await?;
    ns.wait_ready::<AuthService>("auth", POD).await?;
    Ok(())
}

/// The same pod serves on: nobody restarted it.
async fn unharmed(ns: &TestNamespace, pod: &str) -> anyhow::Result<()> {
    assert_eq!(restarts(&ns.get::<Pod>(pod).await?), 0, "the pod was restarted because a dependency was away");
    Ok(())
}
