//! RabbitMQ.

use portico_crds::BrokerInstance;
use portico_e2e::engine::RABBITMQ;
use portico_e2e::{Outcome, with_namespace_for};
use serde_json::json;

use super::life::{LIFE, Life};

#[tokio::test]
async fn rabbitmq_from_beginning_to_end() -> Outcome {
    with_namespace_for(LIFE, "rabbitmq", |ns| async move {
        let life: Life<BrokerInstance> = Life::begin(&ns, RABBITMQ, json!({})).await?;
        life.consumers_are_apart("virtual-host").await?;
        life.credentials_rotate().await?;
        life.certificate_rotates().await?;
        life.login_is_changed(|user| {
            format!(". /etc/portico/engine/env.sh; rabbitmqctl change_password '{user}' changed")
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
