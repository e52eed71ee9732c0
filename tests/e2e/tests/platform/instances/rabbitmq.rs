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
        life.goes_on_to_its_end(|user| {
            format!(". /etc/portico/engine/env.sh; rabbitmqctl change_password '{user}' changed")
        })
        .await
    })
    .await
}
