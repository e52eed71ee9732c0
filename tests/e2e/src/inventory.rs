//! Everything that is in a namespace, of every kind that the cluster serves.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt as _};
use portico_crds::common::labels::FORCE_DELETION_ANNOTATION;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{TestNamespace, wait};

/// Lists at once.
const AT_ONCE: usize = 8;
/// What controllers of Kubernetes make from objects of ours.
const DERIVED: [&str; 5] = ["Pod", "ReplicaSet", "ControllerRevision", "EndpointSlice", "Endpoints"];

/// An object and the kind by which it is reached.
#[derive(Clone)]
pub struct Item {
    resource: ApiResource,
    object: DynamicObject,
}

impl Item {
    /// `Kind/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.resource.kind, self.object.name_any())
    }

    fn api(&self, namespace: &TestNamespace) -> Api<DynamicObject> {
        Api::namespaced_with(namespace.client(), namespace.name(), &self.resource)
    }

    /// Whether the operator made it and one of our resources controls it.
    fn is_owned(&self) -> bool {
        let owners = self.object.owner_references();
        let ours = |api_version: &str| api_version.starts_with("portico.dev/");
        owners.iter().any(|owner| owner.controller == Some(true) && ours(&owner.api_version))
    }

    /// Says that the object may be deleted although others use it.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn insist(&self, namespace: &TestNamespace) -> anyhow::Result<()> {
        let annotation = json!({"metadata": {"annotations": {FORCE_DELETION_ANNOTATION: "true"}}});
        let (api, name) = (self.api(namespace), self.object.name_any());
        let patched = api.patch(&name, &PatchParams::default(), &Patch::Merge(annotation)).await;
        patched.map(drop).with_context(|| format!("annotating {}", self.key()))
    }

    /// Deletes the object and waits until another one is there in its place.
    ///
    /// # Errors
    /// It does not come back before the deadline.
    pub async fn delete_and_await_return(&self, namespace: &TestNamespace, deadline: Duration) -> anyhow::Result<()> {
        let name = self.object.name_any();
        let api = self.api(namespace);
        api.delete(&name, &DeleteParams::background()).await.with_context(|| format!("deleting {}", self.key()))?;
        let old = self.object.uid();
        let returned = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| object.uid() != old && object.metadata.deletion_timestamp.is_none())
        };
        wait::until(api, &name, deadline, "made again", returned).await?;
        Ok(())
    }
}

/// All objects of a namespace but those that every namespace has, and events.
///
/// # Errors
/// The API server does not answer.
pub async fn all(namespace: &TestNamespace) -> anyhow::Result<Vec<Item>> {
    let client = namespace.client();
    let kinds = namespaced_kinds(&client).await?;
    let lists: Vec<Vec<Item>> =
        stream::iter(kinds).map(|kind| list(&client, namespace.name(), kind)).buffered(AT_ONCE).try_collect().await?;
    let common = ["ConfigMap/kube-root-ca.crt", "ServiceAccount/default"];
    Ok(lists.into_iter().flatten().filter(|item| !common.contains(&item.key().as_str())).collect())
}

async fn namespaced_kinds(client: &Client) -> anyhow::Result<Vec<ApiResource>> {
    let served = Discovery::new(client.clone()).exclude(&["metrics.k8s.io"]).run_aggregated().await?;
    let kinds = served.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let wanted = kinds.filter(|(kind, can)| {
        can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST) && kind.kind != "Event"
    });
    Ok(wanted.map(|(kind, _)| kind).collect())
}

async fn list(client: &Client, namespace: &str, resource: ApiResource) -> anyhow::Result<Vec<Item>> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let found = api.list(&ListParams::default()).await.with_context(|| format!("listing {}", resource.plural))?;
    Ok(found.items.into_iter().map(|object| Item { resource: resource.clone(), object }).collect())
}

/// The objects that the operator made and that our resources control.
///
/// # Errors
/// As [`all`].
pub async fn owned(namespace: &TestNamespace) -> anyhow::Result<Vec<Item>> {
    Ok(all(namespace).await?.into_iter().filter(Item::is_owned).collect())
}

/// The names, as `Kind/name`, without what Kubernetes itself derives.
///
/// # Errors
/// As [`all`].
pub async fn names(namespace: &TestNamespace) -> anyhow::Result<Vec<String>> {
    let items = all(namespace).await?;
    Ok(items.iter().filter(|item| !DERIVED.contains(&item.resource.kind.as_str())).map(Item::key).collect())
}

/// Waits until nothing is left in the namespace but what `kept` holds for.
///
/// # Errors
/// Something is left at the deadline; the error names it.
pub async fn await_gone(
    namespace: &TestNamespace,
    deadline: Duration,
    kept: impl Fn(&str) -> bool,
) -> anyhow::Result<()> {
    let end = Instant::now() + deadline;
    loop {
        // What appears while we wait is found by the next round.
        let left: Vec<Item> = all(namespace).await?.into_iter().filter(|item| !kept(&item.key())).collect();
        if left.is_empty() {
            return Ok(());
        }
        for item in left {
            let uid = item.object.uid();
            let gone = |object: Option<&DynamicObject>| object.is_none_or(|object| object.uid() != uid);
            let time = end.saturating_duration_since(Instant::now());
            wait::until(item.api(namespace), &item.object.name_any(), time, "deleted", gone).await?;
        }
    }
}

/// What the operator made, by `Kind/name`, without what differs between two namespaces in the same state: identities,
/// addresses, random secrets and the digests of them.
///
/// # Errors
/// As [`all`].
pub async fn normalised(namespace: &TestNamespace) -> anyhow::Result<BTreeMap<String, Value>> {
    let made = all(namespace).await?.into_iter().filter(|item| {
        let labels = item.object.labels();
        labels.get("app.kubernetes.io/managed-by").is_some_and(|value| value == "portico")
            && !DERIVED.contains(&item.resource.kind.as_str())
    });
    made.map(|item| Ok((item.key(), normal_form(&item, namespace.name())?))).collect()
}

fn normal_form(item: &Item, namespace: &str) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(&item.object)?;
    let labels = value["metadata"]["labels"].take();
    let owners: Vec<String> =
        item.object.owner_references().iter().map(|owner| format!("{}/{}", owner.kind, owner.name)).collect();
    value["metadata"] = json!({"labels": labels, "owners": owners});
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
        if item.resource.kind == "Secret" {
            // The names of keys are random where they name a key pair.
            let count = fields.get("data").and_then(Value::as_object).map(serde_json::Map::len);
            fields.insert("data".to_owned(), json!(count));
        }
    }
    scrub(&mut value, namespace);
    Ok(value)
}

/// Fields that the API server fills in differently each time, and digests.
fn is_volatile(field: &str) -> bool {
    ["clusterIP", "clusterIPs", "volumeName", "nodePort"].contains(&field)
        || (field.starts_with("portico.dev/") && (field.ends_with("hash") || field.ends_with("digest")))
        || field.starts_with("volume.kubernetes.io/")
}

fn scrub(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) => *text = text.replace(namespace, "NAMESPACE"),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, namespace)),
        Value::Object(fields) => {
            fields.retain(|field, _| !is_volatile(field));
            fields.values_mut().for_each(|field| scrub(field, namespace));
        }
        _ => {}
    }
}
