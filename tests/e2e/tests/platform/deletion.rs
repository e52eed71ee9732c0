//! What stays and what goes when a resource is deleted.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt as _;
use portico_crds::AuthService;
use portico_e2e::auth::Auth;
use portico_e2e::fixtures::{auth_service, content, start_auth};
use portico_e2e::{Outcome, PLATFORM, POD, inventory, with_namespace};
use serde_json::json;

/// The authority is the namespace's: whoever comes next is signed by it, too.
const AUTHORITY: &str = "Secret/portico-ca";
/// What `Retain` keeps: the data, what opens it, and the keys that sign.
const KEPT: [&str; 8] = [
    "PersistentVolumeClaim/data-auth-cache-valkey-0",
    "PersistentVolumeClaim/data-auth-db-postgresql-0",
    "Secret/auth-cache-valkey-credentials",
    "Secret/auth-cache-valkey-logins",
    "Secret/auth-db-postgresql-credentials",
    "Secret/auth-db-postgresql-logins",
    "Secret/auth-signing-keys",
    AUTHORITY,
];

#[tokio::test]
async fn retained_data_is_taken_up_again() -> Outcome {
    with_namespace("retain", |ns| async move {
        let spec = json!({"deletionPolicy": "Retain"});
        let auth = start_auth(&ns, spec.clone()).await?;
        let tokens = auth.register("ada@example.org").await?;
        let revoked = auth.login("ada@example.org").await?;
        auth.logout(&revoked.access).await?;
        drop(auth);
        let volume: PersistentVolumeClaim = ns.get("data-auth-db-postgresql-0").await?;
        let keys = content(&ns, "auth-signing-keys").await?;

        ns.delete::<AuthService>("auth").await?;
        inventory::await_gone(&ns, POD, |key| KEPT.contains(&key)).await?;
        let mut left = inventory::names(&ns).await?;
        left.sort();
        assert_eq!(left, KEPT, "Retain keeps just this");

        ns.apply(auth_service("auth", spec)).await?;
        ns.wait_ready::<AuthService>("auth", PLATFORM).await?;
        let same: PersistentVolumeClaim = ns.get("data-auth-db-postgresql-0").await?;
        assert_eq!(same.uid(), volume.uid());
        assert_eq!(content(&ns, "auth-signing-keys").await?, keys);
        let auth = Auth::of_service(&ns, "auth").await?;
        auth.login("ada@example.org").await?;
        auth.accepts(&tokens.access, "ada@example.org").await?;
        auth.refuses(&revoked.access).await?;
        auth.refresh(&tokens.refresh).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn deleted_data_is_gone() -> Outcome {
    with_namespace("delete", |ns| async move {
        let auth = start_auth(&ns, json!({"deletionPolicy": "Delete"})).await?;
        auth.register("ada@example.org").await?;
        drop(auth);
        ns.get::<Secret>("auth-signing-keys").await?;
        ns.get::<PersistentVolumeClaim>("data-auth-db-postgresql-0").await?;
        ns.delete::<AuthService>("auth").await?;
        inventory::await_gone(&ns, POD, |key| key == AUTHORITY).await
    })
    .await
}
