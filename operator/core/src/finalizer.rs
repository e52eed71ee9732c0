//! Finalizers: what keeps a deleted resource until something outside of Kubernetes is undone or nobody needs it.
//!
//! A finalizer is set before the first thing is made that it stands for, and its removal is bound to the version of the
//! resource that was judged, so that a change in between is judged again.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use portico_crds::common::PorticoResource;
use serde_json::json;

use crate::context::Context;
use crate::error::{ApiError, Target};

/// Sets the finalizer if it is not set. Writes nothing while writing is paused.
///
/// # Errors
/// The API server's answer.
pub async fn ensure<K: PorticoResource>(cx: &Context, object: &K, finalizer: &str) -> Result<(), ApiError> {
    if object.finalizers().iter().any(|set| set == finalizer) || !cx.applier.writes() {
        return Ok(());
    }
    let all: Vec<_> = object.finalizers().iter().map(String::as_str).chain([finalizer]).collect();
    patch(cx, object, &all).await
}

/// Removes the finalizer if it is set.
///
/// # Errors
/// The API server's answer; a conflict when the resource has changed since it was read.
pub async fn remove<K: PorticoResource>(cx: &Context, object: &K, finalizer: &str) -> Result<(), ApiError> {
    if !object.finalizers().iter().any(|set| set == finalizer) || !cx.applier.writes() {
        return Ok(());
    }
    let rest: Vec<_> = object.finalizers().iter().map(String::as_str).filter(|set| *set != finalizer).collect();
    patch(cx, object, &rest).await
}

async fn patch<K: PorticoResource>(cx: &Context, object: &K, finalizers: &[&str]) -> Result<(), ApiError> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<K> = Api::namespaced(cx.client.clone(), &namespace);
    let version = object.meta().resource_version.clone();
    let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
    let answer = api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    match answer {
        Ok(_) => Ok(()),
        // Gone is what removing a finalizer is for.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(ApiError::new("patch", Target::new(&K::kind(&()), &namespace, &name), error)),
    }
}
