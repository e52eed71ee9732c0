//! Publishing a resource's status: only when it differs from what stands there, by server-side apply of the status
//! subresource, with an event when readiness changes.
//!
//! Every path that ends a reconcile comes through here, also the failing ones, so a resource always says why it is not
//! ready.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use portico_crds::common::{ConditionType, PorticoResource, ResourceStatus as _, reasons};
use serde_json::{Value, json};

use crate::FIELD_MANAGER;
use crate::conditions::{self, Status3, Summary};
use crate::context::Context;
use crate::error::{ApiError, Failure, Target};
use crate::events::Severity;
use crate::json::without_nulls;

/// Writes `status` when it differs from the object's. Sets `observedGeneration` and the condition `Paused` itself.
/// Returns whether it was written.
pub async fn publish<K>(cx: &Context, object: &K, mut status: K::Status) -> Result<bool, ApiError>
where
    K: PorticoResource,
{
    complete(object, &mut status, cx.clock.now());
    if object.status() == Some(&status) {
        return Ok(false);
    }
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let api: Api<K> = Api::namespaced(cx.client.clone(), &namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(body::<K>(&name, &status))).await {
        Ok(_) => {}
        // Deleted in the meantime: there is no status left to keep.
        Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(false),
        Err(error) => {
            let target = Target::new(&K::kind(&()), &namespace, &name);
            return Err(ApiError::new("write the status of", target, error));
        }
    }
    announce(cx, object, &status).await;
    Ok(true)
}

/// Publishes the standard conditions of a failed reconcile and keeps the rest of the status.
pub(crate) async fn publish_failure<K>(cx: &Context, object: &K, failure: &Failure) -> Result<bool, ApiError>
where
    K: PorticoResource,
{
    let mut status = object.status().cloned().unwrap_or_default();
    let (reason, message) = (failure.reason().to_owned(), failure.message());
    let summary =
        if failure.stalled() { Summary::Stalled { reason, message } } else { Summary::Progressing { reason, message } };
    conditions::summarise(status.conditions_mut(), &summary, object.meta().generation, cx.clock.now());
    publish(cx, object, status).await
}

/// Fills in what is the same for every kind.
fn complete<K: PorticoResource>(object: &K, status: &mut K::Status, now: Timestamp) {
    let generation = object.meta().generation;
    status.set_observed_generation(generation);
    let (reason, message) = if object.paused() {
        (reasons::PAUSED, "The annotation portico.dev/paused stops all writes; remove it to go on.")
    } else {
        (reasons::NOT_PAUSED, "")
    };
    let holds = Status3::from(object.paused());
    conditions::set(status.conditions_mut(), ConditionType::Paused, holds, reason, message, generation, now);
}

/// A server-side apply needs the type, and must not claim fields by `null`.
fn body<K: PorticoResource>(name: &str, status: &K::Status) -> Value {
    without_nulls(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": name },
        "status": status,
    }))
}

/// Publishes an event when the readiness or its reason is another than before.
async fn announce<K: PorticoResource>(cx: &Context, object: &K, status: &K::Status) {
    let Some(ready) = conditions::find(status.conditions(), ConditionType::Ready) else { return };
    let before = conditions::find(object.conditions(), ConditionType::Ready);
    if before.is_some_and(|before| before.status == ready.status && before.reason == ready.reason) {
        return;
    }
    let fell = before.is_some_and(|before| before.status == Status3::True.as_str());
    let bad = conditions::is_true(status.conditions(), ConditionType::Stalled) || fell;
    let severity = if bad { Severity::Warning } else { Severity::Normal };
    let note = if ready.message.is_empty() { &ready.reason } else { &ready.message };
    cx.events.publish(object, severity, &ready.reason, "Reconcile", note).await;
}
