//! MariaDB as one pod.
//!
//! The script makes the data folder on its first start, in a folder that is renamed when it is complete, and makes the
//! users' passwords equal to the Secret at every start. So a volume without its Secret is usable again, too.

use portico_crds::common::{InstanceKindName, names::EngineName};
use portico_crds::database_instance::MARIADB_VERSION;
use std::collections::BTreeMap;

use super::{Administrator, Engine, Generated, Scratch, Settings, lines, password};
use crate::binding::{LoginStyle, Shape, SpaceEntry};
use crate::pods::DefaultResources;

/// The engine.
pub struct MariaDb;

const SHAPE: Shape = Shape {
    type_: "mysql",
    also: &["mariadb"],
    schemes: ["mysql", "mysql"],
    space: Some(SpaceEntry { key: "database", required: true, in_uri: true, suffix: None }),
    identity: LoginStyle::Password,
    sslmode: false,
    builtin_region: None,
    public_host: None,
};

/// What a spec may set: memory, connections, time limits, and how SQL is understood; nothing that opens or breaks the
/// server. Not the log of slow statements either: its file would grow without end.
const PARAMETERS: &[&str] = &[
    "binlog_expire_logs_seconds",
    "character_set_server",
    "collation_server",
    "event_scheduler",
    "group_concat_max_len",
    "idle_transaction_timeout",
    "innodb_buffer_pool_size",
    "innodb_lock_wait_timeout",
    "innodb_log_file_size",
    "interactive_timeout",
    "join_buffer_size",
    "lock_wait_timeout",
    "max_allowed_packet",
    "max_binlog_total_size",
    "max_connections",
    "max_heap_table_size",
    "max_statement_time",
    "sort_buffer_size",
    "sql_mode",
    "table_open_cache",
    "tmp_table_size",
    "transaction_isolation",
    "wait_timeout",
];

const MIB: u64 = 1 << 20;
/// What the server takes beside its buffer pool, with every connection in use.
const BESIDE_POOL: u64 = 256 * MIB;
/// A pool below this makes the server read every page again and again.
const SMALLEST_POOL: u64 = 32 * MIB;

impl Engine for MariaDb {
    fn name(&self) -> EngineName {
        EngineName::MariaDb
    }

    fn kind(&self) -> InstanceKindName {
        InstanceKindName::DatabaseInstance
    }

    fn component(&self) -> &'static str {
        "database"
    }

    fn port(&self) -> u16 {
        3306
    }

    fn administrator(&self) -> Option<Administrator> {
        Some(Administrator { username: "portico_admin", password: "admin-password" })
    }

    fn default_version(&self) -> &'static str {
        MARIADB_VERSION
    }

    fn passwords(&self) -> &'static [Generated] {
        const { &[password("root-password"), password("admin-password"), password("replication-password")] }
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
            ("mariadb.cnf", format!("{}{}", include_str!("mariadb.cnf"), buffer_pool(settings.memory()))),
            ("replica.cnf", include_str!("replica.cnf").to_owned()),
            ("parameters.cnf", lines(settings.parameters, " = ")),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        // The statements of the start hold passwords.
        &[Scratch { name: "run", path: "/run/portico", size: "16Mi", memory: true }]
    }

    /// The server stops in order on SIGTERM, which ends what clients have open; pages that have to be written take the
    /// time.
    fn grace_period(&self) -> i64 {
        60
    }

    fn shape(&self) -> &'static Shape {
        &SHAPE
    }
}

/// The line for a memory limit in bytes; without a limit the file says what is enough for a laptop.
fn buffer_pool(limit: u64) -> String {
    if limit == 0 {
        return String::new();
    }
    let pool = (limit.saturating_sub(BESIDE_POOL) / 2).max(SMALLEST_POOL);
    format!("innodb_buffer_pool_size = {}M\n", pool / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods;

    fn files(parameters: &[(&str, &str)]) -> BTreeMap<String, String> {
        let resources = pods::resources(None, MariaDb.default_resources());
        let parameters = parameters.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        MariaDb.files(&Settings { resources: &resources, parameters: &parameters })
    }

    #[test]
    fn the_buffer_pool_follows_the_memory_limit() {
        assert!(files(&[])["mariadb.cnf"].ends_with("\ninnodb_buffer_pool_size = 128M\n"));
        assert_eq!(buffer_pool(2048 * MIB), "innodb_buffer_pool_size = 896M\n");
        assert_eq!(buffer_pool(64 * MIB), "innodb_buffer_pool_size = 32M\n");
        assert_eq!(buffer_pool(0), "");
    }

    #[test]
    fn parameters_come_in_the_group_that_the_file_before_them_began() {
        let files = files(&[("max_connections", "20"), ("sql_mode", "ANSI,TRADITIONAL")]);
        assert_eq!(files["parameters.cnf"], "max_connections = 20\nsql_mode = ANSI,TRADITIONAL\n");
        assert_eq!(files["mariadb.cnf"].matches("\n[").count(), 1);
    }

    #[test]
    fn the_allowed_parameters_are_sorted_and_open_nothing() {
        assert!(PARAMETERS.is_sorted());
        for closed in ["bind_address", "datadir", "init_file", "require_secure_transport", "secure_file_priv"] {
            assert!(!PARAMETERS.contains(&closed), "{closed}");
        }
    }
}
