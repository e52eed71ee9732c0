//! S3, by Garage.

use portico_crds::ObjectStore;
use portico_e2e::engine::GARAGE;
use portico_e2e::{Outcome, with_namespace_for};
use serde_json::json;

use super::life::{LIFE, Life, TWO};

#[tokio::test]
async fn garage_from_beginning_to_end() -> Outcome {
    with_namespace_for(LIFE, "garage", |ns| async move {
        let life: Life<ObjectStore> = Life::begin(&ns, GARAGE, json!({})).await?;
        life.consumers_are_apart("bucket").await?;
        life.credentials_rotate().await?;
        // The secret of a key cannot be changed in Garage; what it may do can.
        life.goes_on_to_its_end(|key| {
            format!("garage -c /etc/portico/engine/garage.toml bucket deny --read --write {TWO} --key {key}")
        })
        .await
    })
    .await
}
