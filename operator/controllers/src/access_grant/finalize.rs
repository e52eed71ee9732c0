//! Takes away what a deleted grant had in the engine. It always comes to an end: an instance that is gone, or stays
//! away for long, does not keep a grant.

use std::time::Duration;

use kube::ResourceExt as _;
use portico_crds::AccessGrant;
use portico_crds::common::DeletionPolicy;
use portico_crds::common::labels::ACCESS_FINALIZER;
use portico_crds::common::names::GrantName;
use portico_operator_admin::{AdminError, Administration};
use portico_operator_core::error::Failure;
use portico_operator_core::{Context, Outcome, finalizer};

use super::inputs;
use super::validate::{self, Managed, Plan};

/// How long an engine that does not answer is waited for.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long one is waited for that is being deleted itself: with foreground deletion its pods go first.
const LAST_PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const RETRY: Duration = Duration::from_secs(5);

pub(super) async fn finalize(
    administration: &dyn Administration,
    object: &AccessGrant,
    cx: &Context,
) -> Result<Outcome, Failure> {
    if !object.finalizers().iter().any(|set| set == ACCESS_FINALIZER) {
        return Ok(Outcome::await_change());
    }
    if let Some((grant, patience)) = managed(object, cx).await?
        && let Err(error) = undo(administration, object, &grant).await
    {
        if waited(object, cx) < patience {
            let (namespace, name) = (object.namespace(), object.name_any());
            tracing::warn!(namespace, name, %error, "the login cannot be taken away yet, trying again");
            return Ok(Outcome::requeue(RETRY));
        }
        tracing::warn!(name = object.name_any(), %error, "the login was left in the engine, which does not answer");
    }
    finalizer::remove(cx, object, ACCESS_FINALIZER).await?;
    Ok(Outcome::await_change())
}

/// The grant, if there is an engine to take it away from, and how long that is waited for.
async fn managed(object: &AccessGrant, cx: &Context) -> Result<Option<(Managed, Duration)>, Failure> {
    let Ok(name) = GrantName::new(&object.name_any()) else { return Ok(None) };
    let inputs = inputs::fetch(cx, object, &name).await?;
    let going = inputs.instance.as_ref().is_some_and(|instance| instance.deleting);
    let patience = if going { LAST_PATIENCE } else { PATIENCE };
    Ok(match validate::validate(object, &name, &inputs) {
        Ok(Plan::Managed(grant)) => Some((*grant, patience)),
        _ => None,
    })
}

async fn undo(administration: &dyn Administration, object: &AccessGrant, grant: &Managed) -> Result<(), AdminError> {
    let port = administration.port(grant.endpoint.clone());
    if let Some(logins) = &grant.logins {
        for credential in std::iter::once(&logins.credential).chain(logins.other()) {
            port.revoke(&grant.space, &credential.username).await?;
        }
    }
    if object.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Delete {
        port.drop_space(&grant.space).await?;
    }
    Ok(())
}

fn waited(object: &AccessGrant, cx: &Context) -> Duration {
    let since = object.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    since.and_then(|since| Duration::try_from(cx.clock.now().duration_since(since)).ok()).unwrap_or_default()
}
