//! What this service counts beside requests.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// How many operations ended how.
#[derive(Debug, Clone, Default)]
pub struct Operations(Family<Labels, Counter>);

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    operation: &'static str,
    result: &'static str,
}

impl Operations {
    /// Adds the counter to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("portico_auth_operations", "Registrations, logins, refreshes, logouts", self.0.clone());
    }

    /// Counts one.
    pub fn count(&self, operation: &'static str, result: &'static str) {
        self.0.get_or_create(&Labels { operation, result }).inc();
    }
}
