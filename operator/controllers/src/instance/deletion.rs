//! Who keeps an instance from being deleted.
//!
//! Every use of an instance is an `AccessGrant`, so the grants of the namespace are the whole list. The one behind the
//! instance's own binding does not count: it goes with the instance.

use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use portico_crds::AccessGrant;
use portico_crds::common::labels::FORCE_DELETION_ANNOTATION;
use portico_crds::common::reasons;
use portico_operator_core::{ApiError, Context, Target};

use super::InstanceKind;
use crate::verdict::Verdict;

/// Who uses the instance, in words: the owner of a grant where it has one, else the grant; sorted.
pub(crate) async fn consumers<K: InstanceKind>(cx: &Context, object: &K) -> Result<Vec<String>, ApiError> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<AccessGrant> = Api::namespaced(cx.client.clone(), &namespace);
    let grants = api.list(&ListParams::default()).await;
    let grants = grants.map_err(|error| ApiError::new("list", Target::new("AccessGrant", &namespace, ""), error))?;
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    let mut consumers: Vec<_> = grants
        .items
        .iter()
        .filter(|grant| grant.spec.instance_ref.kind == K::NAME && grant.spec.instance_ref.name == name)
        .filter(|grant| !grant.owner_references().iter().any(|owner| owner.uid == uid))
        .map(holder)
        .collect();
    consumers.sort();
    consumers.dedup();
    Ok(consumers)
}

fn holder(grant: &AccessGrant) -> String {
    let controller = grant.owner_references().iter().find(|owner| owner.controller == Some(true));
    controller
        .map_or_else(|| format!("AccessGrant {}", grant.name_any()), |owner| format!("{} {}", owner.kind, owner.name))
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
