//! What every reconcile gets: the client, the applier, and the injected clock and randomness.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::apply::Applier;
use crate::clock::Clock;
use crate::error::{ApiError, Target};
use crate::events::EventRecorder;
use crate::metrics::Metrics;
use crate::rng::Rng;

/// Handed to every reconcile. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// For reading. Writing goes through [`Self::applier`] and [`crate::status::publish`].
    pub client: Client,
    /// Brings the desired objects into shape.
    pub applier: Applier,
    /// Publishes events.
    pub events: EventRecorder,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The operator's own metrics.
    pub metrics: Metrics,
}

impl Context {
    /// A context with this client.
    pub fn new(client: Client, pod_name: &str, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, metrics: Metrics) -> Self {
        Self {
            applier: Applier::new(client.clone()),
            events: EventRecorder::new(client.clone(), pod_name),
            client,
            clock,
            rng,
            metrics,
        }
    }

    /// The same context with an applier that looks and does not write.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { applier: self.applier.read_only(), ..self.clone() }
    }

    /// Reads one object by name; `None` when it does not exist.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, ApiError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let target = || Target::new(&K::kind(&()), namespace, name);
        api.get_opt(name).await.map_err(|error| ApiError::new("get", target(), error))
    }
}
