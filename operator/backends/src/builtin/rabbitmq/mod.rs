//! RabbitMQ as one node: quorum queues, so that what was confirmed is on disk, and TLS on both of its ports.

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
    space: Some(SpaceEntry { key: "virtual-host", required: true, in_uri: true, suffix: None }),
    identity: LoginStyle::Password,
    sslmode: false,
    builtin_region: None,
    public_host: None,
};

/// What a spec may set. Ports, users, the type of queues and where data lies are promises of the platform.
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
        let (memory, parameters) = (settings.memory(), lines(settings.parameters, " = "));
        // Of two lines with one name the last counts.
        let configuration = format!("{}{}{parameters}", include_str!("rabbitmq.conf"), memory_lines(memory));
        [
            ("start.sh", include_str!("start.sh").to_owned()),
            ("ready.sh", include_str!("ready.sh").to_owned()),
            ("alive.sh", include_str!("alive.sh").to_owned()),
            ("env.sh", include_str!("env.sh").to_owned()),
            ("names.escript", include_str!("names.escript").to_owned()),
            ("enabled_plugins", include_str!("enabled_plugins").to_owned()),
            ("rabbitmq.conf", configuration),
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

/// The node sees the memory of the machine, not the container's. Above six tenths of the limit, in bytes, publishers
/// wait; collecting garbage needs the rest. Without a limit the node goes by the machine.
fn memory_lines(limit: u64) -> String {
    if limit == 0 {
        return String::new();
    }
    let watermark = limit / 10 * 6;
    format!("total_memory_available_override_value = {limit}\nvm_memory_high_watermark.absolute = {watermark}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods;

    fn configuration(parameters: &BTreeMap<String, String>) -> String {
        let resources = pods::resources(None, RabbitMq.default_resources());
        RabbitMq.files(&Settings { resources: &resources, parameters })["rabbitmq.conf"].clone()
    }

    #[test]
    fn publishers_wait_before_the_container_is_out_of_memory() {
        let text = configuration(&BTreeMap::new());
        assert!(text.contains("\ntotal_memory_available_override_value = 536870912\n"));
        assert!(text.ends_with("\nvm_memory_high_watermark.absolute = 322122546\n"));
        assert_eq!(memory_lines(0), "");
    }

    #[test]
    fn parameters_come_last() {
        let text = configuration(&[("heartbeat".to_owned(), "10".to_owned())].into());
        assert!(text.contains("\nheartbeat = 30\n") && text.ends_with("\nheartbeat = 10\n"));
    }

    #[test]
    fn only_ports_with_tls_are_open() {
        let text = configuration(&BTreeMap::new());
        assert!(text.contains("\nlisteners.tcp = none\n") && !text.contains("management.tcp"));
    }
}
