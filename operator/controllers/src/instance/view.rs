//! An instance of any kind, as those see it who use it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use portico_crds::common::names::{EngineName, InstanceName};
use portico_crds::common::{Backend, ConditionType, InstanceKindName, InstanceStatus, TypedInstanceRef, reasons};
use portico_crds::database_instance::Table;
use portico_crds::{BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore};
use portico_operator_core::{ApiError, Context, conditions};

use super::{InstanceKind, backend};
use crate::verdict::Verdict;

/// What a user of an instance has to know about it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) kind: InstanceKindName,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) engine: EngineName,
    /// Who runs it, `Auto` resolved.
    pub(crate) backend: Backend,
    /// Number of copies for reading.
    pub(crate) read_replicas: i32,
    /// The Secret of an engine that somebody else runs.
    pub(crate) external_secret: Option<String>,
    /// Tables that it should have.
    pub(crate) tables: Vec<Table>,
    pub(crate) status: Option<InstanceStatus>,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
}

impl View {
    /// The instance, or `None` when there is none of that kind and name.
    pub(crate) async fn get(
        cx: &Context,
        namespace: &str,
        reference: &TypedInstanceRef,
    ) -> Result<Option<Self>, ApiError> {
        let name = &reference.name;
        Ok(match reference.kind {
            InstanceKindName::DatabaseInstance => {
                let instance = cx.get::<DatabaseInstance>(namespace, name).await?;
                instance.map(|instance| Self { tables: instance.spec.tables.clone(), ..Self::of(&instance) })
            }
            InstanceKindName::CacheInstance => cx.get::<CacheInstance>(namespace, name).await?.as_ref().map(Self::of),
            InstanceKindName::BrokerInstance => cx.get::<BrokerInstance>(namespace, name).await?.as_ref().map(Self::of),
            InstanceKindName::ObjectStore => cx.get::<ObjectStore>(namespace, name).await?.as_ref().map(Self::of),
        })
    }

    fn of<K: InstanceKind>(instance: &K) -> Self {
        let request = instance.request();
        Self {
            kind: K::NAME,
            name: instance.name_any(),
            uid: instance.uid().unwrap_or_default(),
            engine: instance.engine(),
            backend: backend::resolve(request.backend),
            read_replicas: request.read_replicas.unwrap_or(0),
            external_secret: request.external_secret().map(str::to_owned),
            tables: Vec::new(),
            status: instance.status().cloned(),
            deleting: instance.meta().deletion_timestamp.is_some(),
        }
    }

    /// Its names; `None` when the API server let a name through that it should not have.
    pub(crate) fn names(&self) -> Option<InstanceName> {
        InstanceName::new(&self.name, self.engine).ok()
    }

    /// Why its engine cannot be used now, in the instance's own words; `None` when its pods are ready.
    pub(crate) fn unavailable(&self) -> Option<Verdict> {
        let conditions: &[Condition] = self.status.as_ref().map_or(&[], |status| &status.conditions);
        let (kind, name) = (self.kind.as_str(), &self.name);
        match conditions::find(conditions, ConditionType::WorkloadAvailable) {
            Some(available) if available.status == "True" => None,
            Some(available) => {
                let text = format!("{kind} {name} is not ready: {} ({})", available.message, available.reason);
                Some(Verdict::bad(not_ready(self.kind), text))
            }
            None => Some(Verdict::bad(not_ready(self.kind), format!("{kind} {name} has not been looked at yet"))),
        }
    }
}

/// The reason that names the kind that is waited for.
pub(crate) const fn not_ready(kind: InstanceKindName) -> &'static str {
    match kind {
        InstanceKindName::DatabaseInstance => reasons::DATABASE_NOT_READY,
        InstanceKindName::CacheInstance => reasons::CACHE_NOT_READY,
        InstanceKindName::BrokerInstance => reasons::BROKER_NOT_READY,
        InstanceKindName::ObjectStore => reasons::OBJECT_STORE_NOT_READY,
    }
}
