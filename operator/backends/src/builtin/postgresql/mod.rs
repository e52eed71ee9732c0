//! PostgreSQL as one pod.
//!
//! The script makes the data folder on its first start, in a folder that is renamed when it is complete, and makes the
//! roles' passwords equal to the Secret at every start. So a volume without its Secret is usable again, too.

use portico_crds::common::{InstanceKindName, names::EngineName};
use portico_crds::database_instance::POSTGRESQL_VERSION;
use std::collections::BTreeMap;

use super::{Administrator, Engine, Generated, Scratch, Settings, lines, password};
use crate::binding::{LoginStyle, Shape, SpaceEntry};
use crate::pods::DefaultResources;

/// The engine.
pub struct PostgreSql;

const SHAPE: Shape = Shape {
    type_: "postgresql",
    also: &[],
    schemes: ["postgresql", "postgresql"],
    space: Some(SpaceEntry { key: "database", required: true, in_uri: true, suffix: None }),
    identity: LoginStyle::Password,
    sslmode: true,
    builtin_region: None,
    public_host: None,
};

/// What a spec may set: memory, connections, time limits and what is logged; nothing that opens or breaks the server.
const PARAMETERS: &[&str] = &[
    "checkpoint_timeout",
    "deadlock_timeout",
    "default_statistics_target",
    "effective_cache_size",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "log_min_duration_statement",
    "maintenance_work_mem",
    "max_connections",
    "max_wal_size",
    "min_wal_size",
    "random_page_cost",
    "shared_buffers",
    "statement_timeout",
    "timezone",
    "work_mem",
];

impl Engine for PostgreSql {
    fn name(&self) -> EngineName {
        EngineName::PostgreSql
    }

    fn kind(&self) -> InstanceKindName {
        InstanceKindName::DatabaseInstance
    }

    fn component(&self) -> &'static str {
        "database"
    }

    fn port(&self) -> u16 {
        5432
    }

    fn administrator(&self) -> Option<Administrator> {
        Some(Administrator { username: "portico_admin", password: "admin-password" })
    }

    fn default_version(&self) -> &'static str {
        POSTGRESQL_VERSION
    }

    fn passwords(&self) -> &'static [Generated] {
        const { &[password("superuser-password"), password("admin-password"), password("replication-password")] }
    }

    fn default_resources(&self) -> DefaultResources {
        DefaultResources { cpu: "100m", memory: "128Mi", memory_limit: "512Mi" }
    }

    fn parameters(&self) -> &'static [&'static str] {
        PARAMETERS
    }

    fn files(&self, settings: &Settings<'_>) -> BTreeMap<String, String> {
        let quoted =
            settings.parameters.iter().map(|(key, value)| (key.clone(), format!("'{}'", value.replace('\'', "''"))));
        [
            ("start.sh", include_str!("start.sh")),
            ("ready.sh", include_str!("ready.sh")),
            ("alive.sh", include_str!("alive.sh")),
            ("shared.sh", include_str!("shared.sh")),
            ("postgresql.conf", include_str!("postgresql.conf")),
            ("pg_hba.conf", include_str!("pg_hba.conf")),
            ("parameters.conf", &lines(&quoted.collect(), " = ")),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        &[
            Scratch { name: "socket", path: "/run/postgresql", size: "16Mi", memory: true },
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

    fn shape(&self) -> &'static Shape {
        &SHAPE
    }
}
