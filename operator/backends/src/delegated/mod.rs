//! Engines that an operator runs which is in the cluster already, such as `CloudNativePG`.
//!
//! An adapter is pure: it says which API has to be served, what to ask of it, when the engine counts as running and
//! how its Secret becomes a binding. Adding one means one module here and one line in [`adapters`]; nothing else knows
//! the names of other people's kinds.

use k8s_openapi::ByteString;
use kube::core::{DynamicObject, GroupVersionKind};
use portico_crds::common::Storage;
use portico_crds::common::names::{EngineName, InstanceName};
use portico_operator_core::Desired;
use std::collections::BTreeMap;

use crate::binding::{Binding, InvalidBinding};
use crate::builtin::readiness::Readiness;

/// What is asked of another operator.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The instance.
    pub name: &'a InstanceName,
    /// Its namespace.
    pub namespace: &'a str,
    /// The volume of each node.
    pub storage: Option<&'a Storage>,
    /// The version.
    pub version: Option<&'a str>,
    /// Number of copies for reading.
    pub read_replicas: i32,
    /// Whether the data outlives the resource: then the other operator's object gets no owner.
    pub retain: bool,
}

/// How one engine is had from one other operator.
pub trait Adapter: Send + Sync {
    /// The engine.
    fn engine(&self) -> EngineName;

    /// The kind that has to be served.
    fn api(&self) -> GroupVersionKind;

    /// The name of the object of that kind.
    fn object(&self, name: &InstanceName) -> String;

    /// What to apply, among it the object of that kind, and network policies that let the other operator in.
    fn objects(&self, order: &Order<'_>) -> Desired;

    /// Whether the engine runs, from the object as it was last read.
    fn readiness(&self, object: &DynamicObject) -> Readiness;

    /// The Secret with the administrator's credentials that the other operator made.
    fn secret(&self, name: &InstanceName) -> String;

    /// How the engine is reached, from that Secret.
    ///
    /// # Errors
    /// [`InvalidBinding`] names the key that is missing or cannot be used.
    fn binding(&self, order: &Order<'_>, secret: &BTreeMap<String, ByteString>) -> Result<Binding, InvalidBinding>;
}

/// The adapters, best first for each engine. None yet.
pub fn adapters() -> &'static [&'static dyn Adapter] {
    &[]
}

/// The adapters of an engine.
pub fn of(engine: EngineName) -> impl Iterator<Item = &'static dyn Adapter> {
    adapters().iter().copied().filter(move |adapter| adapter.engine() == engine)
}
