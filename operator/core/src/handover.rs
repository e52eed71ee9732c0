//! Handing `spec.replicas` over to an autoscaler without a fall to one replica.
//!
//! When we stop rendering a field that we alone own, server-side apply deletes it, and the API server's default for
//! `replicas` is 1: the workload would shrink before its autoscaler wakes. So a second field manager takes the live
//! value first; the autoscaler's own write takes it from there.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::FIELD_MANAGER;

/// Holds `spec.replicas` between us and the autoscaler.
const HANDOVER_MANAGER: &str = "portico-handover";

/// The replicas to hand over: we own them on the live object and no longer ask for any.
pub(crate) fn needed(desired: &Value, live: &DynamicObject) -> Option<i64> {
    let replicas = live.data.pointer("/spec/replicas").and_then(Value::as_i64)?;
    let asked = desired.pointer("/spec/replicas").is_some();
    let ours = live.metadata.managed_fields.iter().flatten().any(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
            && entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    });
    (ours && !asked).then_some(replicas)
}

/// Lets the second manager hold the live number of replicas.
pub(crate) async fn hold(
    api: &Api<DynamicObject>,
    live: &DynamicObject,
    name: &str,
    replicas: i64,
) -> Result<(), kube::Error> {
    let types = live.types.clone().unwrap_or_default();
    let body = json!({
        "apiVersion": types.api_version, "kind": types.kind,
        "metadata": { "name": name }, "spec": { "replicas": replicas },
    });
    api.patch(name, &PatchParams::apply(HANDOVER_MANAGER).force(), &Patch::Apply(&body)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(manager: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "a", "managedFields": [{
                "manager": manager, "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
                "fieldsV1": { "f:spec": { "f:replicas": {} } },
            }] },
            "spec": { "replicas": 4 },
        }))
        .unwrap()
    }

    #[test]
    fn hands_over_only_what_is_ours_and_no_longer_asked_for() {
        assert_eq!(needed(&json!({"spec": {}}), &live("portico")), Some(4));
        assert_eq!(needed(&json!({"spec": {"replicas": 2}}), &live("portico")), None);
        assert_eq!(needed(&json!({"spec": {}}), &live("someone")), None);
    }
}
