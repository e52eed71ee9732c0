//! Enforces `NetworkPolicy` on the bundled node, for which no plugin is to be had: a development tool, with the
//! semantics of the API reference and nothing more. Pods are reached by routes (CNI `ptp`), so all traffic between them
//! is forwarded.
//!
//! Reads pods, namespaces and policies; writes one nftables table in the network namespace it runs in, and nothing to
//! the API server. IPv4 only. Connections that are open stay open when a policy changes.

mod compile;
mod convert;
mod model;
mod nft;
mod ranges;

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod test_network;

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::jiff;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::ui;

/// Changes come in bursts: the rules are made once none has come for this long,
const QUIET: Duration = Duration::from_millis(50);

/// but not later than this after the first.
const LONGEST_BURST: Duration = Duration::from_millis(500);

/// Until the next attempt when nft failed and nothing else changes.
const RETRY: Duration = Duration::from_secs(5);

/// Enforces the policies of the cluster behind `kubeconfig` until the process ends. Returns only when it cannot go on.
pub(crate) async fn run(kubeconfig: &Path) -> anyhow::Result<()> {
    answer_every_refusal()?;
    let client = client(kubeconfig).await?;
    let changed = Notify::new();
    let (pods, pod_writer) = reflector::store();
    let (namespaces, namespace_writer) = reflector::store();
    let (policies, policy_writer) = reflector::store();
    tokio::select! {
        outcome = enforce(&changed, &pods, &namespaces, &policies) => outcome,
        () = follow::<Pod>(&client, pod_writer, &changed) => anyhow::bail!("the watch of pods ended"),
        () = follow::<Namespace>(&client, namespace_writer, &changed) => anyhow::bail!("the watch of namespaces ended"),
        () = follow::<NetworkPolicy>(&client, policy_writer, &changed) => anyhow::bail!("the watch of policies ended"),
    }
}

/// Lifts the kernel's limit on ICMP errors in this network namespace: above it, refused UDP would wait for its timeout.
fn answer_every_refusal() -> anyhow::Result<()> {
    let setting = "/proc/sys/net/ipv4/icmp_ratelimit";
    fs::write(setting, "0").with_context(|| format!("cannot write {setting}"))
}

async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("cannot use {}", kubeconfig.display()))?;
    Ok(Client::try_from(config)?)
}

/// Keeps the store up to date and says when something changed. Comes back from a broken watch by itself.
async fn follow<K>(client: &Client, writer: Writer<K>, changed: &Notify)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer);
    events
        .for_each(async |event| match event {
            Ok(_) => changed.notify_one(),
            Err(error) => log(&format!("watch of {}: {error}; trying again", K::plural(&()))),
        })
        .await;
}

/// Applies the rules for what the stores hold, at first and after every change.
async fn enforce(
    changed: &Notify,
    pods: &Store<Pod>,
    namespaces: &Store<Namespace>,
    policies: &Store<NetworkPolicy>,
) -> anyhow::Result<()> {
    // Rules from half of the objects would refuse what is allowed.
    pods.wait_until_ready().await?;
    namespaces.wait_until_ready().await?;
    policies.wait_until_ready().await?;
    let mut applied = String::new();
    loop {
        let world = convert::world(&pods.state(), &namespaces.state(), &policies.state());
        let ruleset = compile::compile(&world);
        if ruleset != applied {
            let start = Instant::now();
            match nft::apply(&ruleset).await {
                Ok(()) => {
                    let (policies, pods) = (world.policies.len(), world.pods.len());
                    let (lines, took) = (ruleset.lines().count(), start.elapsed().as_millis());
                    log(&format!("applied {policies} policies to {pods} pods: {lines} lines, {took} ms"));
                    applied = ruleset;
                }
                Err(error) => {
                    log(&format!("{error:#}\nthe rules before stay in force"));
                    let _ = timeout(RETRY, changed.notified()).await;
                    settle(changed).await;
                    continue;
                }
            }
        }
        changed.notified().await;
        settle(changed).await;
    }
}

/// Waits for the end of a burst of changes.
async fn settle(changed: &Notify) {
    let end = Instant::now() + LONGEST_BURST;
    while Instant::now() < end && timeout(QUIET, changed.notified()).await.is_ok() {}
}

#[expect(clippy::disallowed_methods, reason = "a line of a log says when it was written")]
fn log(text: &str) {
    ui::say(format_args!("{} {text}", jiff::Timestamp::now()));
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_ends_when_nothing_comes_or_after_the_longest_time() {
        let changed = Notify::new();
        let start = Instant::now();
        settle(&changed).await;
        assert_eq!(start.elapsed(), QUIET);

        let endless = async {
            loop {
                sleep(QUIET / 2).await;
                changed.notify_one();
            }
        };
        let start = Instant::now();
        tokio::select! {
            () = settle(&changed) => {}
            () = endless => {}
        }
        assert!((LONGEST_BURST..LONGEST_BURST + QUIET).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}
