//! What admin ports are told: where the engine is, and what is to be made in it.

use std::fmt;

use portico_crds::common::names::EngineName;
use zeroize::Zeroizing;

/// An engine and the user that administers it.
#[derive(Clone)]
pub struct Endpoint {
    /// The engine.
    pub engine: EngineName,
    /// DNS name or address.
    pub host: String,
    /// TCP port of the admin port: the engine's own, or the one of its management interface.
    pub port: u16,
    /// TCP port that consumers use.
    pub consumer_port: u16,
    /// The user; empty for engines that know only a token.
    pub username: String,
    /// Password or token.
    pub password: Zeroizing<String>,
    /// Certificates (PEM) that the engine's certificate is checked against; `None` connects without TLS.
    pub ca: Option<String>,
    /// Host names of copies for reading, where users are to be known or watched too.
    pub replicas: Vec<String>,
}

/// What one consumer has for itself inside an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// The name, as the engine spells it: see [`EngineName::space`].
    pub name: String,
    /// Whether it is the whole instance (only a cache has such: every key instead of a prefix).
    pub whole: bool,
    /// Tables to make (DynamoDB only).
    pub tables: Vec<Table>,
}

/// A table of DynamoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Name.
    pub name: String,
    /// Partition key.
    pub partition_key: TableKey,
    /// Sort key.
    pub sort_key: Option<TableKey>,
}

/// A key attribute of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableKey {
    /// Attribute name.
    pub name: String,
    /// `S`, `N` or `B`.
    pub kind: &'static str,
}

/// A user of one space.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name or access key.
    pub username: String,
    /// Password or secret key.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.username)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({} at {}:{})", self.engine.as_str(), self.host, self.port)
    }
}
