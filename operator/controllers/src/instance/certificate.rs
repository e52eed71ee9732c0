//! The certificate that an instance should have: ours, or one that cert-manager is asked for.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Preconditions};
use portico_crds::common::instance::IssuerRef;
use portico_crds::common::labels::ROTATE_CERTIFICATE_ANNOTATION;
use portico_crds::common::names::InstanceName;
use portico_crds::common::reasons;
use portico_operator_backends::builtin::{self, node};
use portico_operator_backends::certificates::cert_manager::{API_VERSION, CertificateOrder, NAME_ANNOTATION};
use portico_operator_backends::certificates::leaf::{Found, Leaf};
use portico_operator_backends::certificates::{
    BUNDLE_KEY, CERTIFICATE_KEY, Certificate as Read, Facts, SINCE_ANNOTATION,
};
use portico_operator_core::error::Failure;
use portico_operator_core::{ApiError, Context, Target};

use super::InstanceKind;
use super::authority::{self, NoAuthority};
use crate::verdict::Verdict;

/// How often it is looked whether cert-manager has been installed: an API that is not served cannot be watched.
const LOOK_FOR_API: Duration = Duration::from_mins(1);

/// The certificate that an instance should have.
#[derive(Clone, Debug, Default)]
pub enum Certificate {
    /// The engine has no TLS, or somebody else runs it.
    #[default]
    None,
    /// Signed by the namespace's CA.
    Own {
        /// What the Secret should hold.
        leaf: Box<Leaf>,
        /// When there is something to do with the CA.
        authority_due: Timestamp,
    },
    /// Issued by cert-manager.
    Ordered(Ordered),
}

/// A certificate of cert-manager.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// By whom.
    pub issuer: IssuerRef,
    /// Whether the cluster serves cert-manager's API.
    pub served: bool,
    /// The certificate in the Secret, if there is one.
    pub certificate: Option<Read>,
    /// What it is checked against.
    pub bundle: Option<String>,
}

/// What a client should be shown.
#[derive(Clone, Debug)]
pub(super) struct Shown<'a> {
    pub(super) certificate: &'a Read,
    pub(super) bundle: String,
}

impl Certificate {
    /// What a client should be shown; `None` while there is nothing.
    pub(super) fn shown(&self) -> Option<Shown<'_>> {
        match self {
            Self::None => None,
            Self::Own { leaf, .. } => Some(Shown { certificate: leaf.certificate(), bundle: leaf.bundle() }),
            Self::Ordered(ordered) => {
                Some(Shown { certificate: ordered.certificate.as_ref()?, bundle: ordered.bundle.clone()? })
            }
        }
    }

    /// What is waited for before the pod can start.
    pub(super) fn waits(&self, secret: &str) -> Option<Verdict> {
        let Self::Ordered(ordered) = self else { return None };
        let (kind, name) = (ordered.issuer.kind.unwrap_or_default().as_str(), &ordered.issuer.name);
        let text = if !ordered.served {
            format!("spec.tls.issuerRef: the cluster does not serve {API_VERSION}; install cert-manager, or remove it")
        } else if ordered.certificate.is_none() {
            format!("cert-manager has not made Secret {secret} yet; see Certificate {secret} and {kind} {name}")
        } else if ordered.bundle.is_none() {
            format!("Secret {secret} has no ca.crt; {kind} {name} has to be one that says its CA, such as CA or Vault")
        } else {
            return None;
        };
        Some(Verdict::bad(reasons::ISSUER_NOT_READY, text))
    }

    /// When there is something to do though nothing changed.
    pub(super) fn due(&self, now: Timestamp) -> Option<Duration> {
        let due = match self {
            Self::Own { leaf, authority_due } => leaf.due().min(*authority_due),
            Self::Ordered(ordered) if !ordered.served => return Some(LOOK_FOR_API),
            _ => return None,
        };
        Some(Duration::try_from(due.duration_since(now)).unwrap_or_default().max(Duration::from_secs(1)))
    }
}

/// Reads what there is, and draws a new certificate where one is due. Nothing is written but the Secret of the CA.
pub(super) async fn fetch<K: InstanceKind>(
    cx: &Context,
    object: &K,
    namespace: &str,
    name: &InstanceName,
) -> Result<Certificate, Failure> {
    if !builtin::engine(name.engine()).tls() {
        return Ok(Certificate::None);
    }
    let secret: Option<Secret> = cx.get(namespace, &name.tls()).await?;
    if let Some(issuer) = object.request().tls.and_then(|tls| tls.issuer_ref.as_ref()) {
        return Ok(Certificate::Ordered(ordered(cx, issuer, secret.as_ref()).await?));
    }
    take_back(cx, object, namespace, secret.as_ref()).await?;
    own(cx, object, namespace, name, secret.as_ref()).await
}

async fn own<K: InstanceKind>(
    cx: &Context,
    object: &K,
    namespace: &str,
    name: &InstanceName,
    secret: Option<&Secret>,
) -> Result<Certificate, Failure> {
    let (authority, overlap) = authority::current(cx, namespace).await?;
    let request = object.annotations().get(ROTATE_CERTIFICATE_ANNOTATION).map_or("", String::as_str);
    let facts = Facts { now: cx.clock.now(), request, overlap };
    let names = node::certificate_names(name, namespace);
    let leaf = Leaf::plan(&Found::read(secret), &authority, &names, facts).map_err(NoAuthority::from)?;
    Ok(Certificate::Own { leaf: Box::new(leaf), authority_due: authority.due(overlap) })
}

async fn ordered(cx: &Context, issuer: &IssuerRef, secret: Option<&Secret>) -> Result<Ordered, ApiError> {
    let served = match cx.client.list_api_group_resources(API_VERSION).await {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.code == 404 => false,
        Err(error) => return Err(ApiError::new("look for", Target::new("API", "", API_VERSION), error)),
    };
    // What we signed before the issuer was named is not what was ordered.
    let theirs = secret.filter(|secret| secret.annotations().contains_key(NAME_ANNOTATION));
    let text = |key| {
        let bytes = theirs.and_then(|secret| secret.data.as_ref()?.get(key))?;
        std::str::from_utf8(&bytes.0).ok().filter(|text| !text.trim().is_empty()).map(str::to_owned)
    };
    let certificate = text(CERTIFICATE_KEY).and_then(|pem| Read::first(&pem));
    Ok(Ordered { issuer: issuer.clone(), served, certificate, bundle: text(BUNDLE_KEY) })
}

/// Ends the order when the issuer was taken out of the spec: else cert-manager and we would write the same Secret.
async fn take_back<K: InstanceKind>(
    cx: &Context,
    object: &K,
    namespace: &str,
    secret: Option<&Secret>,
) -> Result<(), ApiError> {
    let ordered = |secret: &&Secret| {
        let annotations = secret.annotations();
        annotations.contains_key(NAME_ANNOTATION) && !annotations.contains_key(SINCE_ANNOTATION)
    };
    let Some(secret) = secret.filter(ordered).filter(|_| cx.applier.writes()) else { return Ok(()) };
    let name = secret.name_any();
    let Some(order) = cx.get::<CertificateOrder>(namespace, &name).await? else { return Ok(()) };
    let ours = order.owner_references().iter().any(|owner| Some(&owner.uid) == object.uid().as_ref());
    if !ours {
        return Ok(());
    }
    let api: Api<CertificateOrder> = Api::namespaced(cx.client.clone(), namespace);
    let this = Preconditions { uid: order.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
    match api.delete(&name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(ApiError::new("delete", Target::new("Certificate", namespace, &name), error)),
    }
}
