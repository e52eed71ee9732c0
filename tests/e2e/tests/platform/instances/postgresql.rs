//! PostgreSQL.

use portico_crds::DatabaseInstance;
use portico_e2e::engine::POSTGRESQL;
use portico_e2e::{Outcome, with_namespace_for};
use serde_json::json;

use super::life::{LIFE, Life};

#[tokio::test]
async fn postgresql_from_beginning_to_end() -> Outcome {
    with_namespace_for(LIFE, "postgresql", |ns| async move {
        let life: Life<DatabaseInstance> = Life::begin(&ns, POSTGRESQL, json!({"readReplicas": 1})).await?;
        life.consumers_are_apart("database").await?;
        life.copies_follow().await?;
        life.credentials_rotate().await?;
        life.certificate_rotates().await?;
        life.goes_on_to_its_end(|user| {
            format!(
                "PGPASSWORD=$(cat /etc/portico/credentials/admin-password) psql --no-psqlrc -Atq \
                 -c \"ALTER ROLE \\\"{user}\\\" PASSWORD 'changed'\" \
                 'host=127.0.0.1 user=portico_admin dbname=postgres sslmode=require'"
            )
        })
        .await
    })
    .await
}
