//! DynamoDB Local: for development, with the tables of its resource, and without users.

use portico_crds::{AccessGrant, DatabaseInstance};
use portico_e2e::engine::DYNAMODB;
use portico_e2e::{Outcome, REACTION, with_namespace_for};
use serde_json::json;

use super::life::{INSTANCE, LIFE, Life};

#[tokio::test]
async fn dynamodb_from_beginning_to_end() -> Outcome {
    with_namespace_for(LIFE, "dynamodb", |ns| async move {
        let tables = json!([{"name": "load", "partitionKey": {"name": "id"}}]);
        let life: Life<DatabaseInstance> = Life::begin(&ns, DYNAMODB, json!({"tables": tables})).await?;
        life.says(REACTION, "DevelopmentOnly", "True", "DynamoDB Local").await?;
        ns.apply(DYNAMODB.grant("orders", INSTANCE, &json!({}))).await?;
        ns.wait_condition::<AccessGrant>("orders", REACTION, "Stalled", "True", "GrantsNotSupported").await?;
        ns.delete::<AccessGrant>("orders").await?;
        // A table is added to those that are there.
        let more = json!([
            {"name": "load", "partitionKey": {"name": "id"}},
            {"name": "added", "partitionKey": {"name": "id"}, "sortKey": {"name": "at", "type": "Number"}},
        ]);
        life.edit(json!({"tables": more})).await?;
        life.serves_as_somebody_elses().await?;
        life.pod_is_killed().await?;
        life.bindings_come_back().await?;
        life.image_is_missing().await?;
        life.volume_is_full().await?;
        life.edit(json!({"storage": {"size": "2Gi"}})).await?;
        life.says(REACTION, "StorageResized", "False", "ExpansionNotSupported").await?;
        life.is_kept_and_taken_up_again().await?;
        life.is_deleted_with_everything().await
    })
    .await
}
