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
        life.goes_on_to_its_end(|user| {
            format!(
                "MYSQL_PWD=$(cat /etc/portico/credentials/admin-password) mariadb --no-defaults --protocol=TCP \
                 --host=127.0.0.1 --user=portico_admin --ssl --disable-ssl-verify-server-cert \
                 --execute=\"ALTER USER '{user}'@'%' IDENTIFIED BY 'changed'\""
            )
        })
        .await
    })
    .await
}
