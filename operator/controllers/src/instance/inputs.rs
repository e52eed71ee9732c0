//! Everything that an instance's reconcile reads, by name. The only step of the pipeline that reads.

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt as _;
use portico_crds::common::Backend;
use portico_crds::common::names::InstanceName;
use portico_operator_backends::builtin::{self, Form, readiness, replicas};
use portico_operator_core::error::Failure;
use portico_operator_core::rng::RngError;
use portico_operator_core::secret::Password;
use portico_operator_core::{ApiError, Context, ReconcileError, Retry};
use std::collections::BTreeMap;

use super::certificate::{self, Certificate};
use super::{InstanceKind, backend, deletion};
use crate::pods;

/// The entries of a Secret.
pub(crate) type Data = BTreeMap<String, ByteString>;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The Secret with the generated passwords, if it is there.
    pub credentials: Option<Data>,
    /// New passwords, when it is not.
    pub fresh: BTreeMap<&'static str, String>,
    /// The certificate that it should have; drawn anew where that is due.
    pub certificate: Certificate,
    /// The volume claim.
    pub claim: Option<PersistentVolumeClaim>,
    /// The size of the volumes of its copies, when there are copies.
    pub copy_size: Option<String>,
    /// Who uses the instance, in words.
    pub consumers: Vec<String>,
    /// Why the pod does not run, when it does not and something is known.
    pub trouble: Option<String>,
    /// The user's Secret of an external engine.
    pub external: Option<Data>,
    /// The binding as it is published now (external engines).
    pub published: Option<Data>,
}

/// New passwords could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NoRandomness(#[from] RngError);

impl ReconcileError for NoRandomness {
    fn reason(&self) -> &'static str {
        "NoRandomness"
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

/// Reads what the instance needs.
pub(crate) async fn fetch<K: InstanceKind>(cx: &Context, object: &K, name: &InstanceName) -> Result<Inputs, Failure> {
    let namespace = object.namespace().unwrap_or_default();
    let read = match backend::resolve(object.request().backend) {
        Backend::External => external(cx, &namespace, name, object.request().external_secret()).await?,
        Backend::Delegated => Inputs::default(),
        Backend::Auto | Backend::Builtin => Box::pin(builtin(cx, object, &namespace, name)).await?,
    };
    Ok(Inputs { consumers: deletion::consumers(cx, object).await?, ..read })
}

async fn builtin<K: InstanceKind>(
    cx: &Context,
    object: &K,
    namespace: &str,
    name: &InstanceName,
) -> Result<Inputs, Failure> {
    let (claim, set, copies) = (name.claim(), name.workload(), name.read());
    let (credentials, claim, set, copies) = tokio::try_join!(
        data(cx, namespace, name.credentials()),
        cx.get::<PersistentVolumeClaim>(namespace, &claim),
        cx.get::<StatefulSet>(namespace, &set),
        cx.get::<StatefulSet>(namespace, &copies),
    )?;
    let fresh = if credentials.is_some() { BTreeMap::new() } else { draw(cx, name)? };
    let certificate = certificate::fetch(cx, object, namespace, name).await?;
    let copy_size = copies.as_ref().and_then(replicas::size);
    let mut trouble = None;
    for set in set.into_iter().chain(copies) {
        trouble = match trouble {
            None => trouble_of(cx, namespace, set).await?,
            found => found,
        };
    }
    Ok(Inputs { credentials, fresh, certificate, claim, copy_size, trouble, ..Inputs::default() })
}

/// Why the pods of a set do not run, when they do not and something is known.
async fn trouble_of(cx: &Context, namespace: &str, set: StatefulSet) -> Result<Option<String>, ApiError> {
    if readiness::of(&set) == readiness::Readiness::Available {
        return Ok(None);
    }
    let selector = set.spec.and_then(|spec| spec.selector.match_labels).unwrap_or_default();
    Ok(pods::trouble(&pods::list(cx, namespace, &selector).await?))
}

async fn external(cx: &Context, namespace: &str, name: &InstanceName, secret: Option<&str>) -> Result<Inputs, Failure> {
    let external = match secret {
        Some(secret) => data(cx, namespace, secret.to_owned()).await?,
        None => None,
    };
    let published = data(cx, namespace, name.binding()).await?;
    Ok(Inputs { external, published, ..Inputs::default() })
}

/// The entries of a Secret; `None` when there is no such Secret.
pub(crate) async fn data(cx: &Context, namespace: &str, name: String) -> Result<Option<Data>, ApiError> {
    let secret: Option<Secret> = cx.get(namespace, &name).await?;
    Ok(secret.map(|secret| secret.data.unwrap_or_default()))
}

fn draw(cx: &Context, name: &InstanceName) -> Result<BTreeMap<&'static str, String>, NoRandomness> {
    let keys = builtin::engine(name.engine()).passwords().iter();
    let draw = |form| match form {
        Form::Text => Password::generate(cx.rng.as_ref()),
        Form::Hex => Password::generate_hex(cx.rng.as_ref()),
    };
    keys.map(|one| Ok((one.key, draw(one.form)?.expose().to_owned()))).collect()
}
