//! `BrokerInstance`: what its spec means to the shared pipeline of instances.

use portico_crds::BrokerInstance;
use portico_crds::broker_instance::BrokerEngine;
use portico_crds::common::InstanceKindName;
use portico_crds::common::names::EngineName;

use crate::instance::{InstanceController, InstanceKind, Request, request};

/// The controller of `BrokerInstance`s.
pub type BrokerInstanceController = InstanceController<BrokerInstance>;

impl InstanceKind for BrokerInstance {
    const CONTROLLER: &'static str = "broker-instance";
    const NAME: InstanceKindName = InstanceKindName::BrokerInstance;

    fn engine(&self) -> EngineName {
        match self.spec.engine {
            BrokerEngine::RabbitMQ => EngineName::RabbitMq,
        }
    }

    fn request(&self) -> Request<'_> {
        request!(self.spec)
    }
}

#[cfg(test)]
mod tests;
