//! `AuthService`: the identity service with its database, its cache and its signing keys.

pub mod build;
pub mod dependency;
pub mod inputs;
pub mod key_rotation;
pub mod probe;
pub mod signing_keys;
pub mod status;
pub mod validate;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use portico_crds::{AccessGrant, AuthService, CacheInstance, DatabaseInstance};
use portico_operator_core::error::Failure;
use portico_operator_core::{
    ApiError, Context, Controller, FIELD_MANAGER, Outcome, OwnedKind, Referenced, Target, status as core_status,
};
use serde_json::json;

use crate::{Platform, graph};
use probe::DependencyProbe;
use signing_keys::SigningKeys;
use validate::ValidAuthService;

/// How often a service that is not available is looked at: no watch tells what its pods say about their dependencies.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The next step follows at once.
const NOW: Duration = Duration::from_millis(50);
/// A key that is almost due is not looked at more often than this.
const SOON: Duration = Duration::from_secs(1);
/// What is due later than this is seen by the look at everything that comes in between.
const FAR: Duration = Duration::from_hours(5);

/// The controller of `AuthService`s.
pub struct AuthServiceController {
    platform: Arc<Platform>,
    probe: Arc<dyn DependencyProbe>,
}

impl AuthServiceController {
    /// A controller that asks unready pods through `probe`.
    pub fn new(platform: Arc<Platform>, probe: Arc<dyn DependencyProbe>) -> Self {
        Self { platform, probe }
    }
}

impl Controller for AuthServiceController {
    type Kind = AuthService;
    const NAME: &'static str = "auth-service";

    fn owns(&self) -> Vec<OwnedKind> {
        vec![
            // First, so that what is no longer wanted is let go before it goes.
            OwnedKind::of::<AccessGrant>(),
            OwnedKind::of::<DatabaseInstance>(),
            OwnedKind::of::<CacheInstance>(),
            OwnedKind::of::<ServiceAccount>(),
            OwnedKind::of::<Secret>(),
            OwnedKind::of::<ConfigMap>(),
            OwnedKind::of::<NetworkPolicy>(),
            OwnedKind::of::<Service>(),
            OwnedKind::of::<Deployment>(),
            OwnedKind::of::<HorizontalPodAutoscaler>(),
            OwnedKind::of::<PodDisruptionBudget>(),
        ]
    }

    fn references(&self) -> Vec<Referenced<AuthService>> {
        graph::references()
    }

    async fn reconcile(&self, object: Arc<AuthService>, cx: &Context) -> Result<Outcome, Failure> {
        let inputs = Box::pin(inputs::fetch(cx, &object, self.probe.as_ref())).await?;
        let valid = validate::validate(&self.platform, &object, &inputs)?;
        let now = cx.clock.now();
        let step = key_rotation::next(&valid.keys, &valid.key_terms, now);
        let due = match &step {
            key_rotation::Step::Wait(due) => *due,
            _ if !valid.keys.exist() || !cx.applier.writes() => None,
            step => {
                let keys = key_rotation::done(&valid.keys, step, &valid.key_terms, &inputs.fresh, now);
                write_keys(cx, &object, &valid, &keys, inputs.keys_version.as_deref()).await?;
                return Ok(Outcome::requeue(NOW));
            }
        };
        let desired = build::build(&valid);
        let applied = cx.applier.apply(object.as_ref(), desired).await?;
        let (status, waits) = status::status(&object, &valid, &inputs, &applied, now);
        core_status::publish(cx, object.as_ref(), status).await?;
        let due = due.filter(|due| *due < FAR).map(|due| due.max(SOON));
        Ok(Outcome { requeue: waits.then_some(LOOK_AGAIN).into_iter().chain(due).min() })
    }
}

/// Writes the entries that differ, and only if nobody has changed the Secret since it was read: whoever comes second
/// must judge again, or a key that signs would be lost. That, and entries that have to go, is why it is not applied.
async fn write_keys(
    cx: &Context,
    object: &AuthService,
    valid: &ValidAuthService,
    keys: &SigningKeys,
    version: Option<&str>,
) -> Result<(), ApiError> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), valid.name.signing_keys());
    let api: Api<Secret> = Api::namespaced(cx.client.clone(), &namespace);
    let data = key_rotation::changes(&valid.keys, keys);
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": data}));
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let answer = api.patch(&name, &params, &patch).await;
    answer.map_err(|error| ApiError::new("patch", Target::new("Secret", &namespace, &name), error))?;
    let (active, next) = (&keys.active, keys.next.as_ref().map(|(kid, _)| kid));
    tracing::info!(namespace, secret = name, active, next, "the signing keys have changed");
    Ok(())
}
