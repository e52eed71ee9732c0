//! Parts that every service's configuration shares.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The addresses that a service listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port of the API, `/livez` and `/readyz`. Default `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// Address and port of `/metrics`, apart from the API so that a network policy can tell them apart.
    /// Default `0.0.0.0:9090`.
    pub metrics_listen: SocketAddr,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let on = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self { listen: on(8080), metrics_listen: on(9090) }
    }
}

/// What a service writes to its log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogConfig {
    /// The least important level that is written. The environment variable `RUST_LOG` overrides it. Default `info`.
    pub level: LogLevel,
}

/// How important a log line is, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed and somebody should look.
    Error,
    /// Something is odd, but was dealt with.
    Warn,
    /// One line a request and a change of state.
    #[default]
    Info,
    /// What the program does, for those who develop it.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name as configuration files and `RUST_LOG` spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
