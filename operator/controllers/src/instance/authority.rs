//! The CA of a namespace: made by whichever instance comes first, and replaced by whichever sees that it is time.
//!
//! Every write is a create that cannot overwrite, or a replace of exactly the version that was read. So however many
//! instances want to write, one does, and the others read what it wrote.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, PostParams};
use portico_crds::common::labels::{MANAGED_BY, MANAGED_BY_LABEL, ROTATE_ANNOTATION};
use portico_crds::common::reasons;
use portico_operator_backends::certificates::authority::{Authority, DamagedAuthority};
use portico_operator_backends::certificates::{self, AUTHORITY, Facts, SigningError};
use portico_operator_core::error::Failure;
use portico_operator_core::{ApiError, Context, FIELD_MANAGER, ReconcileError, Retry, Target};

/// Tries until somebody else is let go first; each of them means that another one has written.
const TRIES: usize = 5;

/// Why there is no CA.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAuthority {
    /// The Secret is somebody else's.
    #[error(
        "Secret portico-ca exists and was not made by Portico; delete or rename it, or name an issuer in \
         spec.tls.issuerRef"
    )]
    Foreign,
    /// The Secret was damaged.
    #[error(transparent)]
    Damaged(#[from] DamagedAuthority),
    /// The crypto library refused.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Others write all the time.
    #[error("Secret portico-ca is being changed by others; looking again")]
    Contended,
}

impl ReconcileError for NoAuthority {
    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => reasons::NAME_CONFLICT,
            Self::Damaged(_) => reasons::SECRET_INVALID,
            Self::Signing(_) => "SigningFailed",
            Self::Contended => reasons::PROGRESSING,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Foreign | Self::Damaged(_) => Retry::OnChange,
            Self::Signing(_) => Retry::Backoff,
            Self::Contended => Retry::After(Duration::from_millis(500)),
        }
    }
}

/// The CA, and how long old and new are trusted side by side.
pub(super) async fn current(cx: &Context, namespace: &str) -> Result<(Authority, Duration), Failure> {
    let api: Api<Secret> = Api::namespaced(cx.client.clone(), namespace);
    for _ in 0..TRIES {
        let step = match cx.get::<Secret>(namespace, AUTHORITY).await? {
            Some(secret) => advance(cx, &api, namespace, secret).await?,
            None => make(cx, &api, namespace).await?,
        };
        if let Some(found) = step {
            return Ok(found);
        }
    }
    Err(NoAuthority::Contended.into())
}

type Step = Result<Option<(Authority, Duration)>, Failure>;

async fn make(cx: &Context, api: &Api<Secret>, namespace: &str) -> Step {
    let made = Authority::new(namespace, cx.clock.now()).map_err(NoAuthority::from)?;
    let found = Some((made.clone(), certificates::default_overlap()));
    if !cx.applier.writes() {
        return Ok(found);
    }
    let written = api.create(&params(), &made.secret()).await;
    Ok(first(written, "create", namespace)?.and(found))
}

async fn advance(cx: &Context, api: &Api<Secret>, namespace: &str, mut secret: Secret) -> Step {
    if secret.labels().get(MANAGED_BY_LABEL).is_none_or(|manager| manager != MANAGED_BY) {
        return Err(NoAuthority::Foreign.into());
    }
    let authority = Authority::read(&secret).map_err(NoAuthority::from)?;
    let overlap = certificates::overlap(&secret);
    let request = secret.annotations().get(ROTATE_ANNOTATION).map_or("", String::as_str);
    let facts = Facts { now: cx.clock.now(), request, overlap };
    let next = authority.advance(namespace, facts).map_err(NoAuthority::from)?;
    let Some(next) = next.filter(|_| cx.applier.writes()) else { return Ok(Some((authority, overlap))) };
    next.write(&mut secret);
    let written = api.replace(AUTHORITY, &params(), &secret).await;
    if first(written, "replace", namespace)?.is_none() {
        return Ok(None);
    }
    tracing::info!(namespace, "the replacement of the CA goes on");
    Ok(Some((next, overlap)))
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// `None` when somebody else came first.
fn first(
    written: Result<Secret, kube::Error>,
    operation: &'static str,
    namespace: &str,
) -> Result<Option<Secret>, ApiError> {
    match written {
        Ok(secret) => Ok(Some(secret)),
        // Made or changed by another one since, or gone.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 && operation == "replace" => Ok(None),
        Err(error) => Err(ApiError::new(operation, Target::new("Secret", namespace, AUTHORITY), error)),
    }
}
