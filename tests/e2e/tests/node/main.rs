//! The node is stopped as by a power failure and started again with its data: `before` and `after`, one test each,
//! because whoever runs them restarts the node in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use portico_e2e::engine::{DYNAMODB, Engine, GARAGE, MARIADB, POSTGRESQL, RABBITMQ, VALKEY};
use portico_e2e::load::{LoadPod, mounted};
use portico_e2e::{Outcome, POD, TestNamespace};

/// All engines at once.
const LIMIT: Duration = Duration::from_mins(10);
const NAMESPACE: &str = "e2e-node";
/// The instances of the sample.
const SAMPLE: &str = "manifests/samples/instances.yaml";
const INSTANCES: [(Engine, &str); 6] = [
    (POSTGRESQL, "orders"),
    (MARIADB, "shop"),
    (DYNAMODB, "carts"),
    (VALKEY, "sessions"),
    (RABBITMQ, "events"),
    (GARAGE, "files"),
];
/// The table of the sample; the other engines have none.
const TABLE: [&str; 2] = ["--table", "carts"];
const VALUE: (&str, &str) = ("before-the-restart", "still there");

#[tokio::test]
async fn before() -> Outcome {
    TestNamespace::fixed(NAMESPACE, true, LIMIT, |ns| async move {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(SAMPLE);
        let sample = sample.to_str().context("the path of the sample is no text")?;
        let apply = ["apply", "--server-side", "--validate=strict", "--namespace", ns.name(), "-f", sample];
        ns.cluster().kubectl(apply).await?;
        all_ready(&ns).await?;
        let load = start_client(&ns).await?;
        for (engine, name) in INSTANCES {
            let binding = mounted(&engine.binding(name));
            let write = ["write", "--binding", &binding, "--key", VALUE.0, "--value", VALUE.1];
            load.exec(&[&write, TABLE.as_slice()].concat()).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn after() -> Outcome {
    TestNamespace::fixed(NAMESPACE, false, LIMIT, |ns| async move {
        all_ready(&ns).await?;
        // The first client's pod was of the old life of the node.
        ns.delete::<k8s_openapi::api::core::v1::Pod>("load").await?;
        ns.wait_gone::<k8s_openapi::api::core::v1::Pod>("load", POD).await?;
        let load = start_client(&ns).await?;
        for (engine, name) in INSTANCES {
            load.until_reads(POD, &engine.binding(name), VALUE, &TABLE).await?;
        }
        Ok(())
    })
    .await
}

async fn all_ready(ns: &TestNamespace) -> anyhow::Result<()> {
    for (engine, name) in INSTANCES {
        ns.kubectl_wait(&format!("{}/{name}", engine.kind)).await?;
    }
    Ok(())
}

async fn start_client(ns: &TestNamespace) -> anyhow::Result<LoadPod> {
    let bindings = INSTANCES.map(|(engine, name)| engine.binding(name));
    let labels = INSTANCES.map(|(engine, name)| engine.consumer_label(name));
    let others: Vec<&str> = bindings.iter().skip(1).map(String::as_str).collect();
    LoadPod::start(ns, &bindings[0], &others, &labels).await
}
