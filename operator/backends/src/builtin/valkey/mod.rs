//! Valkey as one pod: every write is logged to the volume, and one user `app` may do everything but administer.

use k8s_openapi::api::core::v1::ResourceRequirements;
use portico_crds::cache_instance::DEFAULT_VERSION;
use portico_crds::common::{labels, names::EngineName, quantities::Quantity};
use std::collections::BTreeMap;

use super::{Engine, Scratch, credentials::Credentials};
use crate::{binding::Binding, pods::DefaultResources};

/// The engine.
pub struct Valkey;

impl Engine for Valkey {
    fn name(&self) -> EngineName {
        EngineName::Valkey
    }

    fn component(&self) -> &'static str {
        "cache"
    }

    fn port(&self) -> u16 {
        6379
    }

    fn default_version(&self) -> &'static str {
        DEFAULT_VERSION
    }

    fn passwords(&self) -> &'static [&'static str] {
        &["password"]
    }

    fn default_resources(&self) -> DefaultResources {
        DefaultResources { cpu: "50m", memory: "64Mi", memory_limit: "256Mi" }
    }

    fn files(&self, resources: &ResourceRequirements) -> BTreeMap<String, String> {
        let configuration = format!("{}maxmemory {}\n", include_str!("valkey.conf"), memory(resources));
        [
            ("start.sh", include_str!("start.sh").to_owned()),
            ("ready.sh", include_str!("ready.sh").to_owned()),
            ("alive.sh", include_str!("alive.sh").to_owned()),
            ("valkey.conf", configuration),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        &[Scratch { name: "run", path: "/run/portico", size: "1Mi", memory: true }]
    }

    fn stop_command(&self) -> Option<&'static str> {
        None
    }

    fn grace_period(&self) -> i64 {
        30
    }

    fn binding(&self, host: String, credentials: &Credentials) -> Binding {
        Binding {
            engine: EngineName::Valkey,
            provider: labels::MANAGED_BY.to_owned(),
            host,
            port: self.port(),
            username: "app".to_owned(),
            password: credentials.get("password").to_owned(),
            database: None,
            ca: None,
            sslmode: None,
        }
    }

    fn consumer_label(&self, instance: &str) -> String {
        labels::cache_consumer(instance)
    }
}

/// Bytes for data: three quarters of the memory limit, so that rewriting the log and the clients' buffers have the
/// rest. When it is full, writes are refused; nothing is dropped silently.
fn memory(resources: &ResourceRequirements) -> String {
    let limit = resources.limits.as_ref().and_then(|limits| limits.get("memory"));
    let bytes = limit.and_then(|limit| Quantity::parse(&limit.0).ok()).map_or(0, |limit| limit.whole());
    (bytes / 4 * 3).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods;

    #[test]
    fn data_gets_three_quarters_of_the_memory() {
        let resources = pods::resources(None, Valkey.default_resources());
        assert_eq!(memory(&resources), (192 * 1024 * 1024).to_string());
        assert!(Valkey.files(&resources)["valkey.conf"].ends_with("\nmaxmemory 201326592\n"));
    }
}
