//! `AuthService`: the identity service with its database, its cache and its signing keys.

pub mod build;
pub mod dependency;
pub mod inputs;
pub mod probe;
pub mod signing_keys;
pub mod status;
pub mod validate;

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
use portico_crds::common::names::ServiceName;
use portico_crds::{AuthService, CacheInstance, DatabaseInstance};
use portico_operator_core::error::Failure;
use portico_operator_core::{Context, Controller, Outcome, OwnedKind, Referenced, status as core_status};

use crate::Platform;
use dependency::{Role, Wanted};
use probe::DependencyProbe;

/// How often a service that is not available is looked at: no watch tells what its pods say about their dependencies.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
        vec![
            // The bindings, whoever publishes them, and the signing keys, which may have no owner.
            Referenced::secrets(|object: &AuthService| {
                let bindings = Role::ALL.into_iter().filter_map(|role| wanted(object, role));
                let keys = ServiceName::new(&object.name_any()).ok().map(|name| name.signing_keys());
                bindings.map(|(role, wanted)| wanted.secret(role)).chain(keys).collect()
            }),
            Referenced::of::<DatabaseInstance>(|object: &AuthService| instance(object, Role::Database)),
            Referenced::of::<CacheInstance>(|object: &AuthService| instance(object, Role::Cache)),
        ]
    }

    async fn reconcile(&self, object: Arc<AuthService>, cx: &Context) -> Result<Outcome, Failure> {
        let inputs = inputs::fetch(cx, &object, self.probe.as_ref()).await?;
        let valid = validate::validate(&self.platform, &object, &inputs)?;
        let desired = build::build(&valid);
        let applied = cx.applier.apply(object.as_ref(), desired).await?;
        let (status, waits) = status::status(&object, &valid, &inputs, &applied, cx.clock.now());
        core_status::publish(cx, object.as_ref(), status).await?;
        Ok(if waits { Outcome::requeue(LOOK_AGAIN) } else { Outcome::await_change() })
    }
}

fn wanted(object: &AuthService, role: Role) -> Option<(Role, Wanted)> {
    Some((role, Wanted::of(object, role).ok()?))
}

fn instance(object: &AuthService, role: Role) -> Vec<String> {
    wanted(object, role).and_then(|(_, wanted)| wanted.instance().map(str::to_owned)).into_iter().collect()
}
