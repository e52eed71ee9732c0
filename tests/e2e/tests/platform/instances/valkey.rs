//! Valkey.

use portico_crds::CacheInstance;
use portico_e2e::engine::VALKEY;
use portico_e2e::{Outcome, with_namespace_for};
use serde_json::json;

use super::life::{LIFE, Life};

#[tokio::test]
async fn valkey_from_beginning_to_end() -> Outcome {
    with_namespace_for(LIFE, "valkey", |ns| async move {
        let life: Life<CacheInstance> = Life::begin(&ns, VALKEY, json!({"readReplicas": 1})).await?;
        life.consumers_are_apart("prefix").await?;
        life.copies_follow().await?;
        life.credentials_rotate().await?;
        life.certificate_rotates().await?;
        life.login_is_changed(|user| {
            format!(
                "REDISCLI_AUTH=$(cat /etc/portico/credentials/admin-password) valkey-cli -e --tls --insecure \
                 -h 127.0.0.1 --user portico_admin acl setuser {user} resetpass '>changed'"
            )
        })
        .await?;
        life.serves_as_somebody_elses().await?;
        life.pod_is_killed().await?;
        life.bindings_come_back().await?;
        life.is_mended().await?;
        life.image_is_missing().await?;
        life.volume_is_full().await?;
        life.is_kept_and_taken_up_again().await?;
        life.grants_end().await?;
        life.is_deleted_with_everything().await
    })
    .await
}
