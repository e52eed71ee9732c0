//! `AccessGrant`: one consumer's access to an instance, from the first login to the last.

pub mod build;
mod finalize;
pub mod inputs;
pub mod logins;
mod perform;
pub mod rotation;
pub mod status;
pub mod validate;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use portico_crds::AccessGrant;
use portico_crds::common::labels::{ACCESS_FINALIZER, ROTATE_ANNOTATION};
use portico_crds::common::names::GrantName;
use portico_crds::common::{DeletionPolicy, durations, instance, reasons};
use portico_operator_admin::{AdminError, Administration};
use portico_operator_backends::binding::Binding;
use portico_operator_core::error::Failure;
use portico_operator_core::{Context, Controller, Outcome, OwnedKind, Referenced, finalizer, status as core_status};

use self::inputs::Inputs;
use self::logins::Logins;
use self::perform::Performed;
use self::rotation::Facts;
use self::status::Findings;
use self::validate::{Managed, Plan};
use crate::graph;
use crate::instance::inputs::NoRandomness;
use crate::instance::view::View;
use crate::verdict::Verdict;

/// How long a grant waits before it asks an engine again that did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// The controller of `AccessGrant`s.
pub struct AccessGrantController {
    administration: Arc<dyn Administration>,
}

impl AccessGrantController {
    /// A controller that reaches engines through `administration`.
    pub fn new(administration: Arc<dyn Administration>) -> Self {
        Self { administration }
    }
}

impl Controller for AccessGrantController {
    type Kind = AccessGrant;
    const NAME: &'static str = "access-grant";

    fn owns(&self) -> Vec<OwnedKind> {
        vec![OwnedKind::of::<Secret>()]
    }

    fn references(&self) -> Vec<Referenced<AccessGrant>> {
        graph::references()
    }

    async fn reconcile(&self, object: Arc<AccessGrant>, cx: &Context) -> Result<Outcome, Failure> {
        let name = GrantName::new(&object.name_any()).map_err(validate::Invalid::from)?;
        let inputs = inputs::fetch(cx, &object, &name).await?;
        match validate::validate(&object, &name, &inputs)? {
            Plan::Wait(verdict) => self.wait(&object, &name, &inputs, verdict, cx).await,
            Plan::Shared(binding) => share(&object, &name, &binding, cx).await,
            Plan::Managed(grant) => self.manage(&object, &grant, &inputs, cx).await,
        }
    }

    async fn delete(&self, object: Arc<AccessGrant>, cx: &Context) -> Result<Outcome, Failure> {
        finalize::finalize(self.administration.as_ref(), &object, cx).await
    }
}

impl AccessGrantController {
    /// Says what is waited for. What is published stays.
    async fn wait(
        &self,
        object: &AccessGrant,
        name: &GrantName,
        inputs: &Inputs,
        dependencies: Verdict,
        cx: &Context,
    ) -> Result<Outcome, Failure> {
        let logins = inputs.logins.as_ref().and_then(|data| Logins::read(data).ok());
        let rotation = logins.as_ref().map_or_else(|| Verdict::good(reasons::CURRENT), perform::verdict);
        let published = object.status.as_ref().is_some_and(|status| status.binding.is_some());
        let findings = Findings { dependencies, endpoint: None, published, logins: None, rotation };
        core_status::publish(cx, object, status::status(object, name, &findings, cx.clock.now())).await?;
        Ok(Outcome::await_change())
    }

    async fn manage(
        &self,
        object: &AccessGrant,
        grant: &Managed,
        inputs: &Inputs,
        cx: &Context,
    ) -> Result<Outcome, Failure> {
        if !grant.own {
            finalizer::ensure(cx, object, ACCESS_FINALIZER).await?;
        }
        let facts = facts(object, cx);
        let retain = grant.own && object.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain;
        let Some(logins) = grant.logins.clone() else {
            let logins = perform::begin(grant, facts, cx.rng.as_ref()).map_err(NoRandomness::from)?;
            cx.applier.apply(object, build::first(grant, &logins, retain)).await?;
            return Ok(Outcome::requeue(perform::NOW));
        };
        let unavailable = inputs.instance.as_ref().and_then(View::unavailable);
        let performed = match &unavailable {
            None if cx.applier.writes() => self.step(grant, logins, facts, cx).await?,
            _ => resting(logins),
        };
        cx.applier.apply(object, build::build(grant, &performed.logins, retain)).await?;
        let dependencies = unavailable.unwrap_or_else(|| judge(inputs, &performed.engine));
        let findings = Findings {
            endpoint: Some(grant.outline.endpoint()),
            published: performed.logins.published(),
            logins: Some(&performed.logins),
            rotation: performed.rotation,
            dependencies,
        };
        let status = status::status(object, &grant.name, &findings, cx.clock.now());
        core_status::publish(cx, object, status).await?;
        Ok(Outcome::requeue(if performed.engine.is_err() { RETRY } else { performed.again }))
    }

    async fn step(
        &self,
        grant: &Managed,
        logins: Logins,
        facts: Facts<'_>,
        cx: &Context,
    ) -> Result<Performed, Failure> {
        let port = self.administration.port(grant.endpoint.clone());
        let performed = perform::perform(port.as_ref(), grant, logins, facts, cx.rng.as_ref()).await;
        Ok(performed.map_err(NoRandomness::from)?)
    }
}

/// While the engine is away, or nothing may be written, everything stays as it is.
fn resting(logins: Logins) -> Performed {
    let rotation = perform::verdict(&logins);
    Performed { logins, engine: Ok(()), rotation, again: Duration::from_mins(1) }
}

fn judge(inputs: &Inputs, engine: &Result<(), AdminError>) -> Verdict {
    match (engine, &inputs.instance) {
        (Ok(()), _) => Verdict::good(reasons::HEALTHY),
        (Err(error), Some(view)) => {
            Verdict::bad(error.reason(), format!("{} {}: {error}", view.kind.as_str(), view.name))
        }
        (Err(error), None) => Verdict::bad(error.reason(), error.to_string()),
    }
}

async fn share(object: &AccessGrant, name: &GrantName, binding: &Binding, cx: &Context) -> Result<Outcome, Failure> {
    cx.applier.apply(object, build::shared(name, binding)).await?;
    let findings = Findings {
        dependencies: Verdict::good(reasons::HEALTHY),
        endpoint: Some(binding.endpoint()),
        published: true,
        logins: None,
        rotation: Verdict::good(reasons::EXTERNAL),
    };
    core_status::publish(cx, object, status::status(object, name, &findings, cx.clock.now())).await?;
    Ok(Outcome::await_change())
}

/// What the replacement of the login depends on. Durations are checked by the API server.
fn facts<'a>(object: &'a AccessGrant, cx: &Context) -> Facts<'a> {
    let rotation = object.spec.rotation.as_ref();
    let duration = |text: Option<&String>| text.and_then(|text| durations::parse(text).ok());
    let annotation = object.metadata.annotations.as_ref().and_then(|all| all.get(ROTATE_ANNOTATION));
    Facts {
        now: cx.clock.now(),
        request: annotation.map_or("", String::as_str),
        interval: duration(rotation.and_then(|rotation| rotation.interval.as_ref())),
        overlap: duration(rotation.and_then(|rotation| rotation.overlap.as_ref()))
            .unwrap_or(Duration::from_secs(instance::DEFAULT_OVERLAP_SECONDS)),
    }
}
