//! RabbitMQ as one node.

use portico_crds::broker_instance::DEFAULT_VERSION;
use portico_crds::common::{InstanceKindName, names::EngineName};
use std::collections::BTreeMap;

use super::{Administrator, Engine, Generated, Scratch, Settings, lines, password};
use crate::binding::{LoginStyle, Shape, SpaceEntry};
use crate::pods::DefaultResources;

/// The engine.
pub struct RabbitMq;

const SHAPE: Shape = Shape {
    type_: "rabbitmq",
    also: &["amqp"],
    schemes: ["amqp", "amqps"],
    space: Some(SpaceEntry { key: "virtual-host", required: true, in_uri: true }),
    identity: LoginStyle::Password,
    sslmode: false,
    public_host: None,
};

/// What a spec may set.
const PARAMETERS: &[&str] = &["channel_max", "consumer_timeout", "heartbeat", "max_message_size"];

impl Engine for RabbitMq {
    fn name(&self) -> EngineName {
        EngineName::RabbitMq
    }

    fn kind(&self) -> InstanceKindName {
        InstanceKindName::BrokerInstance
    }

    fn component(&self) -> &'static str {
        "broker"
    }

    fn port(&self) -> u16 {
        5671
    }

    fn admin_port(&self) -> u16 {
        15671
    }

    fn administrator(&self) -> Option<Administrator> {
        Some(Administrator { username: "portico_admin", password: "admin-password" })
    }

    fn default_version(&self) -> &'static str {
        DEFAULT_VERSION
    }

    fn passwords(&self) -> &'static [Generated] {
        const { &[password("admin-password"), password("erlang-cookie")] }
    }

    fn default_resources(&self) -> DefaultResources {
        DefaultResources { cpu: "100m", memory: "256Mi", memory_limit: "512Mi" }
    }

    fn parameters(&self) -> &'static [&'static str] {
        PARAMETERS
    }

    fn files(&self, settings: &Settings<'_>) -> BTreeMap<String, String> {
        [
            ("start.sh", include_str!("start.sh").to_owned()),
            ("ready.sh", include_str!("ready.sh").to_owned()),
            ("alive.sh", include_str!("alive.sh").to_owned()),
            ("parameters.conf", lines(settings.parameters, " = ")),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        &[Scratch { name: "run", path: "/run/portico", size: "16Mi", memory: true }]
    }

    fn grace_period(&self) -> i64 {
        60
    }

    fn shape(&self) -> &'static Shape {
        &SHAPE
    }
}
