//! MariaDB as one pod.

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

/// What a spec may set.
const PARAMETERS: &[&str] = &[
    "max_connections",
    "wait_timeout",
    "innodb_lock_wait_timeout",
    "long_query_time",
    "slow_query_log",
    "lock_wait_timeout",
    "max_statement_time",
];

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
            ("mariadb.cnf", include_str!("mariadb.cnf").to_owned()),
            ("parameters.cnf", format!("[mariadbd]\n{}", lines(settings.parameters, " = "))),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        &[Scratch { name: "socket", path: "/run/mysqld", size: "16Mi", memory: true }]
    }

    fn grace_period(&self) -> i64 {
        60
    }

    fn shape(&self) -> &'static Shape {
        &SHAPE
    }
}
