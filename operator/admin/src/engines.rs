//! Finds the admin port of an engine.

use std::sync::Arc;

use portico_crds::common::names::EngineName;

use crate::dynamodb::DynamoDb;
use crate::garage::Garage;
use crate::mariadb::MariaDb;
use crate::postgresql::PostgreSql;
use crate::rabbitmq::RabbitMq;
use crate::sigv4::Clock;
use crate::valkey::Valkey;
use crate::{AdminPort, Administration, Endpoint};

/// The engines themselves, over the network.
#[derive(Clone)]
pub struct Engines {
    clock: Clock,
}

impl Engines {
    /// The clock is for requests that are signed with the time.
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl Administration for Engines {
    fn port(&self, mut endpoint: Endpoint) -> Box<dyn AdminPort> {
        let replicas = std::mem::take(&mut endpoint.replicas);
        match endpoint.engine {
            EngineName::PostgreSql => Box::new(PostgreSql::new(endpoint).with_replicas(replicas)),
            EngineName::MariaDb => Box::new(MariaDb::new(endpoint)),
            EngineName::DynamoDb => Box::new(DynamoDb::new(endpoint, Arc::clone(&self.clock))),
            EngineName::Valkey => Box::new(Valkey::new(endpoint).with_replicas(replicas)),
            EngineName::RabbitMq => Box::new(RabbitMq::new(endpoint)),
            EngineName::Garage => Box::new(Garage::new(endpoint, Arc::clone(&self.clock))),
        }
    }
}
