//! Valkey as one pod: every write is logged to the volume. An image of Redis 7 runs as well.

use portico_crds::cache_instance::DEFAULT_VERSION;
use portico_crds::common::{InstanceKindName, names::EngineName};
use std::collections::BTreeMap;

use super::{Administrator, Engine, Generated, Scratch, Settings, lines, password};
use crate::binding::{LoginStyle, Shape, SpaceEntry};
use crate::pods::DefaultResources;

/// The engine.
pub struct Valkey;

const SHAPE: Shape = Shape {
    type_: "redis",
    also: &["valkey"],
    schemes: ["redis", "rediss"],
    space: Some(SpaceEntry { key: "prefix", required: false, in_uri: false, suffix: Some(":") }),
    identity: LoginStyle::Password,
    sslmode: false,
    builtin_region: None,
    public_host: None,
};

/// What a spec may set. Durability and the memory limit are not among them: they are promises of the platform.
const PARAMETERS: &[&str] =
    &["hz", "latency-monitor-threshold", "maxclients", "notify-keyspace-events", "slowlog-log-slower-than", "timeout"];

impl Engine for Valkey {
    fn name(&self) -> EngineName {
        EngineName::Valkey
    }

    fn kind(&self) -> InstanceKindName {
        InstanceKindName::CacheInstance
    }

    fn component(&self) -> &'static str {
        "cache"
    }

    fn port(&self) -> u16 {
        6379
    }

    fn administrator(&self) -> Option<Administrator> {
        Some(Administrator { username: "portico_admin", password: "admin-password" })
    }

    fn default_version(&self) -> &'static str {
        DEFAULT_VERSION
    }

    fn passwords(&self) -> &'static [Generated] {
        const { &[password("admin-password"), password("replication-password")] }
    }

    fn default_resources(&self) -> DefaultResources {
        DefaultResources { cpu: "50m", memory: "64Mi", memory_limit: "256Mi" }
    }

    fn parameters(&self) -> &'static [&'static str] {
        PARAMETERS
    }

    fn files(&self, settings: &Settings<'_>) -> BTreeMap<String, String> {
        let parameters = lines(settings.parameters, " ");
        let configuration =
            format!("{}maxmemory {}\n{parameters}", include_str!("valkey.conf"), data_memory(settings.memory()));
        [
            ("start.sh", include_str!("start.sh").to_owned()),
            ("ready.sh", include_str!("ready.sh").to_owned()),
            ("alive.sh", include_str!("alive.sh").to_owned()),
            ("shared.sh", include_str!("shared.sh").to_owned()),
            ("valkey.conf", configuration),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        &[Scratch { name: "run", path: "/run/portico", size: "1Mi", memory: true }]
    }

    fn grace_period(&self) -> i64 {
        30
    }

    fn shape(&self) -> &'static Shape {
        &SHAPE
    }
}

/// Bytes for data: three quarters of the memory limit, so that rewriting the log and the clients' buffers have the
/// rest. When it is full, writes are refused; nothing is dropped silently.
fn data_memory(limit: u64) -> u64 {
    limit / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods;

    #[test]
    fn data_gets_three_quarters_of_the_memory_and_parameters_come_last() {
        let resources = pods::resources(None, Valkey.default_resources());
        let parameters = [("hz".to_owned(), "20".to_owned())].into();
        let files = Valkey.files(&Settings { resources: &resources, parameters: &parameters });
        assert!(files["valkey.conf"].ends_with("\nmaxmemory 201326592\nhz 20\n"));
    }
}
