//! Deleting owned objects that are no longer asked for, such as the autoscaler after autoscaling was switched off.
//!
//! An object is an orphan only by its owner's UID, never by its name or labels: labels only make the search short.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, PartialObjectMeta, Preconditions, PropagationPolicy,
};
use kube::{Api, Client, ResourceExt as _};
use portico_crds::common::labels::{INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL};

use crate::error::{ApiError, Target};

/// Whose orphans are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

/// The kind and name of an object.
pub(crate) type Key = (String, String);

/// How many kinds are listed at once.
const LISTS_AT_ONCE: usize = 4;

/// Deletes all objects of `kinds` that the owner controls and that are not in `keep`. Returns their names.
pub(crate) async fn sweep(
    client: &Client,
    owner: Owner<'_>,
    kinds: &[ApiResource],
    keep: &BTreeSet<Key>,
) -> Result<Vec<Target>, ApiError> {
    // Collected first: a closure that stays in the future would keep the caller's future from being `Send`.
    let searches: Vec<_> = kinds.iter().map(|kind| orphans(client, owner, kind, keep)).collect();
    let found: Vec<Vec<(ApiResource, PartialObjectMeta<DynamicObject>)>> =
        stream::iter(searches).buffered(LISTS_AT_ONCE).try_collect().await?;
    let mut deleted = Vec::new();
    for (kind, object) in found.into_iter().flatten() {
        deleted.push(delete(client, owner, &kind, &object).await?);
    }
    Ok(deleted)
}

async fn orphans(
    client: &Client,
    owner: Owner<'_>,
    kind: &ApiResource,
    keep: &BTreeSet<Key>,
) -> Result<Vec<(ApiResource, PartialObjectMeta<DynamicObject>)>, ApiError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), owner.namespace, kind);
    let labels = format!("{MANAGED_BY_LABEL}={MANAGED_BY},{INSTANCE_LABEL}={}", owner.name);
    let list = match api.list_metadata(&ListParams::default().labels(&labels)).await {
        Ok(list) => list,
        // The kind is not served by this cluster, so there is none of it.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
        Err(error) => return Err(ApiError::new("list", Target::new(&kind.kind, owner.namespace, "*"), error)),
    };
    let orphan = |object: &PartialObjectMeta<DynamicObject>| {
        object.metadata.deletion_timestamp.is_none()
            && object.owner_references().iter().any(|one| one.uid == owner.uid && one.controller == Some(true))
            && !keep.contains(&(kind.kind.clone(), object.name_any()))
    };
    Ok(list.items.into_iter().filter(orphan).map(|object| (kind.clone(), object)).collect())
}

async fn delete(
    client: &Client,
    owner: Owner<'_>,
    kind: &ApiResource,
    object: &PartialObjectMeta<DynamicObject>,
) -> Result<Target, ApiError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), owner.namespace, kind);
    let target = Target::new(&kind.kind, owner.namespace, &object.name_any());
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&target.name, &params).await {
        Ok(_) => Ok(target),
        // Gone already, or replaced by an object that has another owner.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(target),
        Err(error) => Err(ApiError::new("delete", target, error)),
    }
}
