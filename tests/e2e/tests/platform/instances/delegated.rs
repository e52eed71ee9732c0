//! An engine that another operator should run, where there is none.

use portico_crds::{BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore};
use portico_e2e::engine::{GARAGE, MARIADB, POSTGRESQL, RABBITMQ, VALKEY};
use portico_e2e::{Outcome, REACTION, with_namespace};
use serde_json::json;

#[tokio::test]
async fn what_nobody_can_run_is_stalled_and_says_why() -> Outcome {
    with_namespace("delegated", |ns| async move {
        for engine in [POSTGRESQL, MARIADB, VALKEY, RABBITMQ, GARAGE] {
            ns.apply(engine.instance(engine.name, &json!({"backend": "Delegated"}))).await?;
        }
        let text = "BackendUnavailable";
        for name in [POSTGRESQL.name, MARIADB.name] {
            ns.wait_condition::<DatabaseInstance>(name, REACTION, "Stalled", "True", text).await?;
        }
        ns.wait_condition::<CacheInstance>(VALKEY.name, REACTION, "Stalled", "True", text).await?;
        ns.wait_condition::<BrokerInstance>(RABBITMQ.name, REACTION, "Stalled", "True", text).await?;
        ns.wait_condition::<ObjectStore>(GARAGE.name, REACTION, "Stalled", "True", text).await?;
        Ok(())
    })
    .await
}
