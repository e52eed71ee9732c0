//! Volumes that grow, and those that cannot: applying an instance must not fail because its storage class refuses.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use portico_crds::common::quantities::Quantity;
use portico_crds::common::reasons;
use portico_operator_backends::builtin::node::Node;
use portico_operator_core::error::Failure;
use portico_operator_core::{Applied, ApplyError, Context, Desired};

use super::validate::{Plan, ValidInstance};
use super::{InstanceKind, build};
use crate::verdict::Verdict;

/// How often growth is tried that was refused: a storage class is not watched.
pub(super) const TRY_AGAIN: Duration = Duration::from_mins(10);

/// Applies the instance; where its volume may not grow, all the rest of it. Says why the volume may not.
pub(super) async fn apply<K: InstanceKind>(
    cx: &Context,
    object: &K,
    valid: &ValidInstance,
) -> Result<(Desired<Applied>, Option<Verdict>), Failure> {
    let error = match cx.applier.apply(object, build::build(valid)).await {
        Ok(applied) => return Ok((applied, None)),
        Err(error) => error,
    };
    let Some((refusal, unchanged)) = refused(valid, &error) else { return Err(error.into()) };
    // The claim is the last of the set, so this finds everything else in shape already.
    Ok((cx.applier.apply(object, build::build(&unchanged)).await?, Some(refusal)))
}

/// Whether the API server refused nothing but the growth; with it, the instance without growth.
fn refused(valid: &ValidInstance, error: &ApplyError) -> Option<(Verdict, ValidInstance)> {
    let Plan::Builtin { node, .. } = &valid.plan else { return None };
    let claim = node.claim.as_it_is()?;
    let name = node.name.claim();
    let ours = |kind: &str, target: &str| kind == "PersistentVolumeClaim" && target == name;
    let verdict = match error {
        ApplyError::Api(error) if error.code() == Some(403) && ours(&error.target.kind, &error.target.name) => {
            let detail = error.source.to_string();
            // Quotas and access rights refuse by the same code.
            detail.contains("resize").then(|| unsupported(node, &detail))?
        }
        ApplyError::Immutable { target, detail, .. } | ApplyError::Invalid { target, detail }
            if ours(&target.kind, &target.name) =>
        {
            let text = format!("PersistentVolumeClaim {name} does not grow to {} yet: {detail}", node.claim.size);
            Verdict::bad(reasons::RESIZING, text)
        }
        _ => return None,
    };
    let mut unchanged = valid.clone();
    if let Plan::Builtin { node, .. } = &mut unchanged.plan {
        node.claim = claim;
    }
    Some((verdict, unchanged))
}

fn unsupported(node: &Node, detail: &str) -> Verdict {
    let text = format!(
        "PersistentVolumeClaim {} stays at {}: its StorageClass makes no volumes larger ({detail}); set \
         allowVolumeExpansion on the class if its driver can, or move the data to a new instance",
        node.name.claim(),
        node.claim.live.as_deref().unwrap_or_default()
    );
    Verdict::bad(reasons::EXPANSION_NOT_SUPPORTED, text)
}

/// Whether the volume is as large as asked; `None` before there is one.
pub(super) fn verdict(valid: &ValidInstance, applied: &Desired<Applied>, refusal: Option<&Verdict>) -> Option<Verdict> {
    let Plan::Builtin { node, .. } = &valid.plan else { return None };
    if let Some(refusal) = refusal {
        return Some(refusal.clone());
    }
    let claim: PersistentVolumeClaim = applied.get(&node.name.claim())?;
    let capacity = claim.status.as_ref()?.capacity.as_ref()?.get("storage")?;
    let (has, asked) = (Quantity::parse(&capacity.0).ok()?, Quantity::parse(&node.claim.size).ok()?);
    if has >= asked {
        return Some(Verdict::good(reasons::RESIZED));
    }
    let said = claim.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let said: Vec<_> = said.map(|one| format!("{}: {}", one.type_, one.message.as_deref().unwrap_or("yes"))).collect();
    let name = node.name.claim();
    let mut text = format!("PersistentVolumeClaim {name} has {} of {}", has.as_str(), asked.as_str());
    if !said.is_empty() {
        text = format!("{text} ({})", said.join("; "));
    }
    Some(Verdict::bad(reasons::RESIZING, text))
}
