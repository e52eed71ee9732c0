//! Everything that an `AuthService`'s reconcile reads, by name. The only step of the pipeline that reads.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use portico_crds::AuthService;
use portico_crds::common::names::ServiceName;
use portico_operator_core::error::Failure;
use portico_operator_core::{ApiError, Context, ReconcileError, Retry};

use super::dependency::{Role, Wanted};
use super::probe::{DependencyProbe, FailingCheck};
use super::signing_keys::{KeyError, SigningKeys};
use super::status::is_available;
use super::validate::Invalid;
use crate::graph::observe::{self, Observed};
use crate::instance::inputs::Data;
use crate::pods;

/// The most pods that are asked what they lack.
const MOST_ASKED: usize = 5;

/// What was read.
#[derive(Debug)]
pub struct Inputs {
    /// The Secret with the signing keys, if it is there.
    pub signing_keys: Option<Data>,
    /// Its version.
    pub keys_version: Option<String>,
    /// A new key, for when one is wanted.
    pub fresh: SigningKeys,
    /// About the database.
    pub database: Observed,
    /// About the cache.
    pub cache: Observed,
    /// The workload.
    pub deployment: Option<Deployment>,
    /// Why a pod does not run, when one does not and something is known.
    pub trouble: Option<String>,
    /// What unready pods say they lack.
    pub failing: Vec<FailingCheck>,
}

impl Inputs {
    /// What was read about a dependency.
    pub fn observed(&self, role: Role) -> &Observed {
        match role {
            Role::Database => &self.database,
            Role::Cache => &self.cache,
        }
    }
}

impl ReconcileError for KeyError {
    fn reason(&self) -> &'static str {
        "NoSigningKey"
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

/// Reads what the service needs.
pub(crate) async fn fetch(cx: &Context, object: &AuthService, probe: &dyn DependencyProbe) -> Result<Inputs, Failure> {
    let namespace = object.namespace().unwrap_or_default();
    let name = ServiceName::new(&object.name_any()).map_err(Invalid::from)?;
    let wanted = |role| Wanted::of(object, role).map_err(Invalid::from);
    let (database, cache) = (wanted(Role::Database)?, wanted(Role::Cache)?);
    let keys = name.signing_keys();
    let (signing_keys, database, cache, deployment) = tokio::try_join!(
        observe::versioned(cx, &namespace, &keys),
        observe::observe(cx, &namespace, &database.edge),
        observe::observe(cx, &namespace, &cache.edge),
        cx.get::<Deployment>(&namespace, name.as_str()),
    )?;
    let (signing_keys, keys_version) = signing_keys.unzip();
    // Wanted when there are none, and when those that there are have to be replaced.
    let fresh = SigningKeys::generate(cx.rng.as_ref(), cx.clock.now())?;
    let pods = match &deployment {
        Some(deployment) if !is_available(deployment) => workload_pods(cx, &namespace, deployment).await?,
        _ => Vec::new(),
    };
    let failing = ask(probe, &pods).await;
    let trouble = pods::trouble(&pods);
    let keys_version = keys_version.flatten();
    Ok(Inputs { signing_keys, keys_version, fresh, database, cache, deployment, trouble, failing })
}

async fn workload_pods(cx: &Context, namespace: &str, deployment: &Deployment) -> Result<Vec<Pod>, ApiError> {
    let selector = deployment.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone());
    pods::list(cx, namespace, &selector.unwrap_or_default()).await
}

/// Asks the first few unready pods, all at once. Sorted and without repetition, so that the answer is the same while
/// the state is.
async fn ask(probe: &dyn DependencyProbe, pods: &[Pod]) -> Vec<FailingCheck> {
    let address = |pod: &Pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse::<IpAddr>().ok();
    let unready = pods.iter().filter(|pod| !pods::is_ready(pod) && pod.metadata.deletion_timestamp.is_none());
    let asked = unready.filter_map(address).take(MOST_ASKED).map(|address| probe.failing(address));
    let said: BTreeSet<FailingCheck> = join_all(asked).await.into_iter().flatten().collect();
    said.into_iter().collect()
}
