//! Restarting anything loses nothing.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use portico_e2e::auth::{Auth, Tokens};
use portico_e2e::fixtures::start_auth;
use portico_e2e::operator::is_ready;
use portico_e2e::{Outcome, POD, TestNamespace, wait, with_namespace};
use serde_json::json;

const SERVICE: &str = "app.kubernetes.io/name=auth-service";

#[tokio::test]
async fn restarts_lose_no_user_token_or_revocation() -> Outcome {
    with_namespace("restart", |ns| async move {
        let auth = start_auth(&ns, json!({})).await?;
        let facts = Facts::new(&auth).await?;
        drop(auth);
        for victim in ["auth", "auth-cache-valkey-0", "auth-db-postgresql-0"] {
            let auth = if victim == "auth" { restart_service(&ns).await? } else { restart_engine(&ns, victim).await? };
            facts.hold(&auth).await?;
        }
        Ok(())
    })
    .await
}

/// What was true before the restart.
struct Facts {
    valid: Tokens,
    revoked: Tokens,
    spent: String,
}

impl Facts {
    async fn new(auth: &Auth) -> anyhow::Result<Self> {
        let valid = auth.register("ada@example.org").await?;
        let revoked = auth.login("ada@example.org").await?;
        auth.logout(&revoked.access).await?;
        let spent = auth.login("ada@example.org").await?;
        auth.refresh(&spent.refresh).await?;
        Ok(Self { valid, revoked, spent: spent.refresh })
    }

    async fn hold(&self, auth: &Auth) -> anyhow::Result<()> {
        auth.login("ada@example.org").await?;
        auth.accepts(&self.valid.access, "ada@example.org").await?;
        auth.refuses(&self.revoked.access).await?;
        auth.try_refresh(&self.revoked.refresh).await?.expect(401)?;
        auth.try_refresh(&self.spent).await?.expect(401)?;
        Ok(())
    }
}

async fn restart_service(ns: &TestNamespace) -> anyhow::Result<Auth> {
    let old = ns.api::<Pod>().list(&ListParams::default().labels(SERVICE)).await?.items.remove(0).name_any();
    ns.delete::<Pod>(&old).await?;
    let pods = wait::until_all(ns.api(), SERVICE, POD, "one new ready pod", |pods: &[&Pod]| {
        pods.len() == 1 && pods.iter().all(|pod| is_ready(pod) && pod.name_any() != old)
    })
    .await?;
    Auth::of_pod(ns, &pods[0].name_any()).await
}

async fn restart_engine(ns: &TestNamespace, name: &str) -> anyhow::Result<Auth> {
    let old = ns.get::<Pod>(name).await?.uid();
    ns.delete::<Pod>(name).await?;
    ns.wait(name, POD, "ready again", |pod: &Pod| is_ready(pod) && pod.uid() != old).await?;
    let auth = Auth::of_service(ns, "auth").await?;
    auth.await_ready().await?;
    let service = ns.api::<Pod>().list(&ListParams::default().labels(SERVICE)).await?;
    let restarts: i32 = service.iter().map(portico_e2e::operator::restarts).sum();
    assert_eq!(restarts, 0, "the service was restarted because {name} was away");
    Ok(auth)
}
