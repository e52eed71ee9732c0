//! Everything that a grant's reconcile reads from the API server, by name. The engine is asked later.

use kube::ResourceExt;
use portico_crds::AccessGrant;
use portico_crds::common::Backend;
use portico_crds::common::names::GrantName;
use portico_operator_core::error::Failure;
use portico_operator_core::{ApiError, Context};

use crate::instance::deletion;
use crate::instance::inputs::{Data, data};
use crate::instance::view::View;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The instance.
    pub(crate) instance: Option<View>,
    /// The Secret with the administrator's password, or the user's Secret of an external engine.
    pub(crate) credentials: Option<Data>,
    /// The Secret with the engine's certificate.
    pub(crate) certificate: Option<Data>,
    /// The Secret with the logins.
    pub(crate) logins: Option<Data>,
    /// An older grant that has the same space in the same instance.
    pub(crate) rival: Option<String>,
}

/// Reads what the grant needs.
pub(crate) async fn fetch(cx: &Context, object: &AccessGrant, name: &GrantName) -> Result<Inputs, Failure> {
    let namespace = object.namespace().unwrap_or_default();
    let Some(instance) = View::get(cx, &namespace, &object.spec.instance_ref).await? else {
        return Ok(Inputs::default());
    };
    let Some(names) = instance.names() else { return Ok(Inputs::default()) };
    let credentials = match (instance.backend, &instance.external_secret) {
        (Backend::External, secret) => secret.clone(),
        _ => Some(names.credentials()),
    };
    let (credentials, certificate, logins, rival) = tokio::try_join!(
        optional(cx, &namespace, credentials),
        data(cx, &namespace, names.tls()),
        data(cx, &namespace, name.logins()),
        rival(cx, object),
    )?;
    Ok(Inputs { instance: Some(instance), credentials, certificate, logins, rival })
}

async fn optional(cx: &Context, namespace: &str, name: Option<String>) -> Result<Option<Data>, ApiError> {
    match name {
        Some(name) => data(cx, namespace, name).await,
        None => Ok(None),
    }
}

/// The name of the space that a grant asks for.
pub(crate) fn space_of(grant: &AccessGrant) -> String {
    grant.spec.space.clone().unwrap_or_else(|| grant.name_any())
}

/// Who came first has the space.
async fn rival(cx: &Context, object: &AccessGrant) -> Result<Option<String>, ApiError> {
    let grants = deletion::grants(cx, &object.namespace().unwrap_or_default()).await?;
    let age = |grant: &AccessGrant| (grant.creation_timestamp().map(|time| time.0), grant.name_any());
    Ok(grants
        .iter()
        .filter(|other| other.spec.instance_ref == object.spec.instance_ref && space_of(other) == space_of(object))
        .filter(|other| other.uid() != object.uid() && age(other) < age(object))
        .map(ResourceExt::name_any)
        .next())
}
