//! Reads what is at the ends of an edge, by name. The only part of the graph that reads.

use k8s_openapi::api::core::v1::Secret;
use portico_crds::access_grant::AccessGrantStatus;
use portico_crds::common::names::EngineName;
use portico_crds::common::{InstanceKindName, InstanceStatus, PorticoResource, TypedInstanceRef};
use portico_crds::{AccessGrant, BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore};
use portico_operator_core::{ApiError, Context};

use super::{Edge, Target};
use crate::instance::InstanceKind;
use crate::instance::inputs::{Data, data};

/// A resource as it was seen.
#[derive(Clone, Debug)]
pub struct Seen<S> {
    /// What it says of itself; `None` before anybody looked at it.
    pub status: Option<S>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl<S> Seen<S> {
    fn of<K: PorticoResource<Status = S>>(object: &K) -> Self
    where
        S: Clone,
    {
        Self { status: object.status().cloned(), deleting: object.meta().deletion_timestamp.is_some() }
    }
}

/// What was read about one edge.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The instance and its engine.
    pub instance: Option<(EngineName, Seen<InstanceStatus>)>,
    /// The grant.
    pub grant: Option<Seen<AccessGrantStatus>>,
    /// The entries of the binding Secret.
    pub secret: Option<Data>,
}

/// Reads.
pub(crate) async fn observe(cx: &Context, namespace: &str, edge: &Edge) -> Result<Observed, ApiError> {
    let grant = async {
        match &edge.target {
            Target::Grant { name, .. } => cx.get::<AccessGrant>(namespace, name).await,
            Target::Instance(_) | Target::Secret(_) => Ok(None),
        }
    };
    let instance = async {
        match edge.instance() {
            Some(reference) => instance(cx, namespace, reference).await,
            None => Ok(None),
        }
    };
    let secret = async {
        match edge.secret() {
            Some(name) => data(cx, namespace, name).await,
            None => Ok(None),
        }
    };
    let (grant, instance, secret) = tokio::try_join!(grant, instance, secret)?;
    Ok(Observed { instance, grant: grant.as_ref().map(Seen::of), secret })
}

async fn instance(
    cx: &Context,
    namespace: &str,
    reference: &TypedInstanceRef,
) -> Result<Option<(EngineName, Seen<InstanceStatus>)>, ApiError> {
    let name = &reference.name;
    Ok(match reference.kind {
        InstanceKindName::DatabaseInstance => cx.get::<DatabaseInstance>(namespace, name).await?.as_ref().map(seen),
        InstanceKindName::CacheInstance => cx.get::<CacheInstance>(namespace, name).await?.as_ref().map(seen),
        InstanceKindName::BrokerInstance => cx.get::<BrokerInstance>(namespace, name).await?.as_ref().map(seen),
        InstanceKindName::ObjectStore => cx.get::<ObjectStore>(namespace, name).await?.as_ref().map(seen),
    })
}

fn seen<K: InstanceKind>(instance: &K) -> (EngineName, Seen<InstanceStatus>) {
    (instance.engine(), Seen::of(instance))
}

/// A Secret with its version, so that a change of it can be bound to what was judged.
pub(crate) async fn versioned(
    cx: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<(Data, Option<String>)>, ApiError> {
    let secret: Option<Secret> = cx.get(namespace, name).await?;
    Ok(secret.map(|secret| (secret.data.unwrap_or_default(), secret.metadata.resource_version)))
}
