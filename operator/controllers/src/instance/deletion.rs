//! Who keeps an instance from being deleted.
//!
//! Every use of an instance is an `AccessGrant`, so the grants of the namespace are the whole list. The one behind the
//! instance's own binding does not count: it goes with the instance.

use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use portico_crds::AccessGrant;
use portico_crds::common::labels::FORCE_DELETION_ANNOTATION;
use portico_crds::common::{TypedInstanceRef, reasons};
use portico_operator_core::{ApiError, Context, Target};

use super::InstanceKind;
use crate::graph;
use crate::verdict::Verdict;

/// Every grant of the namespace.
pub(crate) async fn grants(cx: &Context, namespace: &str) -> Result<Vec<AccessGrant>, ApiError> {
    let api: Api<AccessGrant> = Api::namespaced(cx.client.clone(), namespace);
    let listed = api.list(&ListParams::default()).await;
    let failed = |error| ApiError::new("list", Target::new("AccessGrant", namespace, ""), error);
    listed.map(|list| list.items).map_err(failed)
}

/// Who uses the instance, in words.
pub(crate) async fn consumers<K: InstanceKind>(cx: &Context, object: &K) -> Result<Vec<String>, ApiError> {
    let grants = grants(cx, &object.namespace().unwrap_or_default()).await?;
    let instance = TypedInstanceRef { kind: K::NAME, name: object.name_any() };
    Ok(graph::consumers::of(&grants, &instance, &object.uid().unwrap_or_default()))
}

/// Whether the user wants it gone in spite of its consumers.
pub(crate) fn forced<K: InstanceKind>(object: &K) -> bool {
    object.annotations().get(FORCE_DELETION_ANNOTATION).is_some_and(|value| value == "true")
}

/// What is said of a deletion; `good` when nothing stands in its way.
pub(crate) fn verdict<K: InstanceKind>(object: &K, consumers: &[String]) -> Verdict {
    if object.meta().deletion_timestamp.is_none() || consumers.is_empty() {
        return Verdict::good(reasons::NOT_IN_USE);
    }
    Verdict::bad(
        reasons::IN_USE,
        format!(
            "it stays while it is used by {}; delete these first, or set the annotation {FORCE_DELETION_ANNOTATION} to \
             \"true\"",
            consumers.join(", ")
        ),
    )
}
