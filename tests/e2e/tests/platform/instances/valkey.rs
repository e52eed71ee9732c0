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
        life.goes_on_to_its_end(|user| {
            format!(
                "REDISCLI_AUTH=$(cat /etc/portico/credentials/admin-password) valkey-cli -e --tls --insecure \
                 -h 127.0.0.1 --user portico_admin acl setuser {user} resetpass '>changed'"
            )
        })
        .await
    })
    .await
}
