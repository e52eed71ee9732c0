//! MariaDB.

use portico_crds::DatabaseInstance;
use portico_e2e::engine::MARIADB;
use portico_e2e::{Outcome, with_namespace_for};
use serde_json::json;

use super::life::{LIFE, Life};

#[tokio::test]
async fn mariadb_from_beginning_to_end() -> Outcome {
    with_namespace_for(LIFE, "mariadb", |ns| async move {
        let life: Life<DatabaseInstance> = Life::begin(&ns, MARIADB, json!({"readReplicas": 1})).await?;
        life.consumers_are_apart("database").await?;
        life.copies_follow().await?;
        life.credentials_rotate().await?;
        life.certificate_rotates().await?;
        life.login_is_changed(|user| {
            format!(
                "MYSQL_PWD=$(cat /etc/portico/credentials/admin-password) mariadb --no-defaults --protocol=TCP \
                 --host=127.0.0.1 --user=portico_admin --ssl --disable-ssl-verify-server-cert \
                 --execute=\"ALTER USER '{user}'@'%' IDENTIFIED BY 'changed'\""
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
