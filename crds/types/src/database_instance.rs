//! `DatabaseInstance`: a database.

use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::instance_kind::instance_kind;

instance_kind! {
    kind: DatabaseInstance, spec: DatabaseInstanceSpec, name: "DatabaseInstance", plural: "databaseinstances",
    shortname: "dbi",
    about: "A database server with a database and a user of its own. Consumers read the binding Secret that is named in \
            status.binding; further ones ask for an AccessGrant.",
    engine: DatabaseEngine,
    version: "Version of the engine. It cannot be changed: a new major version needs a dump and a restore. Default: 17 of \
              PostgreSQL, 11.8 of MariaDB; DynamoDB has none.",
    resources: "Computing resources of each pod. Default: requests of 100m CPU and 128Mi memory (MariaDB 256Mi, DynamoDB \
                256Mi), a limit of 512Mi memory.",
    external: "How the engine is reached when somebody else runs it (`backend: External`).",
    rules: [
        version_has_an_image(),
        version_stays(),
        only_sql_is_replicated(),
        tables_belong_to_dynamodb(),
    ],
    fields: {
        /// Tables to make (DynamoDB only). A table that is taken out of the list stays.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 64))]
        #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
        tables: Vec<Table>,
    }
}

/// The engines of a `DatabaseInstance`.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DatabaseEngine {
    /// PostgreSQL.
    PostgreSQL,
    /// MariaDB.
    MariaDB,
    /// DynamoDB. Builtin runs DynamoDB Local, which is for development only.
    DynamoDB,
}

/// A table of DynamoDB, billed on demand.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Name of the table.
    #[schemars(length(min = 3, max = 255), regex(pattern = r"^[a-zA-Z0-9_.-]+$"))]
    pub name: String,
    /// The attribute that items are spread by. It cannot be changed.
    pub partition_key: TableKey,
    /// The attribute that items of one partition are sorted by. It cannot be changed. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_key: Option<TableKey>,
}

/// A key attribute.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableKey {
    /// Name of the attribute.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Type of the attribute. Default: String.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<KeyType>,
}

/// The types of key attributes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyType {
    /// Text.
    #[default]
    String,
    /// A number.
    Number,
    /// Bytes.
    Binary,
}

impl KeyType {
    /// The letter of DynamoDB's API.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::String => "S",
            Self::Number => "N",
            Self::Binary => "B",
        }
    }
}

/// The PostgreSQL version that runs when the spec names none.
pub const POSTGRESQL_VERSION: &str = "17";
/// The MariaDB version that runs when the spec names none.
pub const MARIADB_VERSION: &str = "11.8";

fn version_has_an_image() -> Rule {
    Rule::new(concat!(
        "!has(self.version) || has(self.image) || (self.engine == 'PostgreSQL' && self.version == '17') || ",
        "(self.engine == 'MariaDB' && self.version == '11.8')"
    ))
    .message(
        "spec.version other than 17 (PostgreSQL) or 11.8 (MariaDB) needs spec.image: the operator has no image of it",
    )
}

fn version_stays() -> Rule {
    Rule::new(concat!(
        "(has(self.version) ? self.version : (self.engine == 'MariaDB' ? '11.8' : '17')) == ",
        "(has(oldSelf.version) ? oldSelf.version : (oldSelf.engine == 'MariaDB' ? '11.8' : '17'))"
    ))
    .message("spec.version cannot be changed in place: restore a dump into a new instance")
}

fn only_sql_is_replicated() -> Rule {
    Rule::new("self.engine != 'DynamoDB' || !has(self.readReplicas) || self.readReplicas == 0")
        .message("spec.readReplicas: DynamoDB has none; remove it")
}

fn tables_belong_to_dynamodb() -> Rule {
    Rule::new("self.engine == 'DynamoDB' || !has(self.tables) || self.tables.size() == 0")
        .message("spec.tables belongs to spec.engine DynamoDB; make tables of SQL databases by migrations")
}
