//! PostgreSQL as one pod: a database `app` that belongs to the role `app`.
//!
//! The script makes the data folder on its first start, in a folder that is renamed when it is complete, and makes the
//! roles' passwords equal to the Secret at every start. So a volume without its Secret is usable again, too.

use k8s_openapi::api::core::v1::ResourceRequirements;
use portico_crds::common::{labels, names::EngineName};
use portico_crds::database_instance::DEFAULT_VERSION;
use std::collections::BTreeMap;

use super::{Engine, Scratch, credentials::Credentials};
use crate::{binding::Binding, pods::DefaultResources};

/// The engine.
pub struct PostgreSql;

/// The role and the database that consumers use.
const APP: &str = "app";

impl Engine for PostgreSql {
    fn name(&self) -> EngineName {
        EngineName::PostgreSql
    }

    fn component(&self) -> &'static str {
        "database"
    }

    fn port(&self) -> u16 {
        5432
    }

    fn default_version(&self) -> &'static str {
        DEFAULT_VERSION
    }

    fn passwords(&self) -> &'static [&'static str] {
        &["password", "superuser-password"]
    }

    fn default_resources(&self) -> DefaultResources {
        DefaultResources { cpu: "100m", memory: "128Mi", memory_limit: "512Mi" }
    }

    fn files(&self, _: &ResourceRequirements) -> BTreeMap<String, String> {
        [
            ("start.sh", include_str!("start.sh")),
            ("ready.sh", include_str!("ready.sh")),
            ("alive.sh", include_str!("alive.sh")),
            ("postgresql.conf", include_str!("postgresql.conf")),
            ("pg_hba.conf", include_str!("pg_hba.conf")),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        &[
            Scratch { name: "socket", path: "/run/postgresql", size: "16Mi", memory: false },
            Scratch { name: "shm", path: "/dev/shm", size: "128Mi", memory: true },
        ]
    }

    /// SIGTERM would wait for every client to leave; SIGINT rolls their transactions back and stops in order. The
    /// script ends in an `exec`, so the server is process 1.
    fn stop_command(&self) -> Option<&'static str> {
        Some("kill -INT 1")
    }

    fn grace_period(&self) -> i64 {
        60
    }

    fn binding(&self, host: String, credentials: &Credentials) -> Binding {
        Binding {
            engine: EngineName::PostgreSql,
            provider: labels::MANAGED_BY.to_owned(),
            host,
            port: self.port(),
            username: APP.to_owned(),
            password: credentials.get("password").to_owned(),
            database: Some(APP.to_owned()),
            ca: None,
            // The server has no certificate: asking for TLS would cost a round trip and change nothing.
            sslmode: Some("disable".to_owned()),
        }
    }

    fn consumer_label(&self, instance: &str) -> String {
        labels::database_consumer(instance)
    }
}
