//! Waiting by watches, each with a deadline, and failing with everything that is known.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, ResourceExt as _};
use portico_crds::common::PorticoResource;
use tokio::time::Instant;

use crate::{Object, diagnosis};

/// Between two questions where nothing tells of a change.
const AGAIN: Duration = Duration::from_millis(250);

/// A wait that has failed.
#[derive(Debug, thiserror::Error)]
#[error("{subject} {problem}\n{object}\n{surroundings}")]
struct WaitFailed {
    subject: String,
    problem: String,
    object: String,
    surroundings: String,
}

/// Waits until `done` holds for an object; it is given `None` while there is none.
///
/// # Errors
/// The deadline passes; the error holds the object, its conditions, and the events, pods and logs of its namespace.
pub async fn until<K: Object>(
    api: Api<K>,
    name: &str,
    deadline: Duration,
    what: &str,
    mut done: impl FnMut(Option<&K>) -> bool,
) -> anyhow::Result<Option<K>> {
    let mut last = None;
    let mut trouble = None;
    let awaited = async {
        let mut changes = pin!(watcher::watch_object(api.clone(), name).default_backoff());
        while let Some(change) = changes.next().await {
            match change {
                Ok(object) if done(object.as_ref()) => return Some(object),
                Ok(object) => last = object,
                Err(error) => trouble = Some(error),
            }
        }
        None
    };
    if let Ok(Some(found)) = tokio::time::timeout(deadline, awaited).await {
        return Ok(found);
    }
    let problem = format!("did not become {what} within {} s{}", deadline.as_secs(), because(trouble));
    Err(failed(&api, name, problem, last.as_ref()).await)
}

fn because(trouble: Option<impl Display>) -> String {
    trouble.map(|error| format!("; the watch said: {error}")).unwrap_or_default()
}

async fn failed<K: Object>(api: &Api<K>, name: &str, problem: String, object: Option<&K>) -> anyhow::Error {
    let namespace = api.namespace().unwrap_or_default();
    let object = match object {
        Some(object) => diagnosis::yaml(object),
        None => "it was not there".to_owned(),
    };
    let surroundings = diagnosis::of(&api.clone().into_client(), namespace).await;
    let subject = format!("{}/{name}", api.resource_url());
    WaitFailed { subject, problem, object, surroundings }.into()
}

/// Waits until `done` holds for all objects that the label selector finds.
///
/// # Errors
/// The deadline passes; the error holds the events, pods and logs of the namespace.
pub async fn until_all<K: Object>(
    api: Api<K>,
    selector: &str,
    deadline: Duration,
    what: &str,
    done: impl Fn(&[&K]) -> bool,
) -> anyhow::Result<Vec<K>> {
    let mut found: BTreeMap<String, K> = BTreeMap::new();
    let awaited = async {
        let mut changes = pin!(watch(api.clone(), watcher::Config::default().labels(selector)).default_backoff());
        let mut complete = false;
        while let Some(change) = changes.next().await {
            match change {
                Ok(Event::Init) => {
                    found.clear();
                    complete = false;
                }
                Ok(Event::InitDone) => complete = true,
                Ok(Event::InitApply(object) | Event::Apply(object)) => drop(found.insert(object.name_any(), object)),
                Ok(Event::Delete(object)) => drop(found.remove(&object.name_any())),
                Err(_) => {}
            }
            if complete && done(&found.values().collect::<Vec<_>>()) {
                return true;
            }
        }
        false
    };
    if tokio::time::timeout(deadline, awaited).await.unwrap_or_default() {
        return Ok(found.into_values().collect());
    }
    let names: Vec<&String> = found.keys().collect();
    let problem = format!("did not become {what} within {} s; there were {names:?}", deadline.as_secs());
    Err(failed(&api, &format!("({selector})"), problem, None).await)
}

/// Watches that something stays as it is for a bounded time. `reason` says why it must.
///
/// # Errors
/// `holds` is false, now or for any change within `window`.
pub async fn stays<K: Object>(
    api: Api<K>,
    name: &str,
    window: Duration,
    reason: &str,
    holds: impl Fn(Option<&K>) -> bool,
) -> anyhow::Result<()> {
    let url = api.resource_url().to_owned();
    let broken = async {
        let mut changes = pin!(watcher::watch_object(api.clone(), name).default_backoff());
        while let Some(change) = changes.next().await {
            let object = change.with_context(|| format!("watching {url}/{name}"))?;
            if !holds(object.as_ref()) {
                return Ok::<_, anyhow::Error>(object);
            }
        }
        bail!("the watch of {url}/{name} ended");
    };
    match tokio::time::timeout(window, broken).await {
        Err(_) => Ok(()),
        Ok(Ok(object)) => {
            let problem = format!("changed within {} s although {reason}", window.as_secs());
            Err(failed(&api, name, problem, object.as_ref()).await)
        }
        Ok(Err(error)) => Err(error),
    }
}

/// Asks again until the answer is `Ok(Ok(_))`, for things that tell nobody when they change. The inner error says what
/// is still wrong.
///
/// # Errors
/// The deadline passes, with the last inner error; or the question itself fails.
pub async fn ask_until<T, Q>(deadline: Duration, what: &str, mut question: impl FnMut() -> Q) -> anyhow::Result<T>
where
    Q: Future<Output = anyhow::Result<Result<T, String>>>,
{
    let end = Instant::now() + deadline;
    loop {
        match question().await? {
            Ok(answer) => return Ok(answer),
            Err(wrong) if Instant::now() + AGAIN >= end => {
                bail!("not {what} within {} s: {wrong}", deadline.as_secs())
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Whether a condition that judges the current spec has this status, and `text` in its reason or message.
pub fn has_condition<K: PorticoResource>(object: &K, condition: &str, status: &str, text: &str) -> bool {
    let generation = object.meta().generation;
    object.conditions().iter().any(|found| {
        found.type_ == condition
            && found.status == status
            && found.observed_generation == generation
            && (found.reason.contains(text) || found.message.contains(text))
    })
}
