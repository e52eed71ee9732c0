//! Connecting to Valkey, and what its errors mean.

use std::{path::Path, time::Duration};

use portico_service_kit::binding::RedisBinding;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, aio::MultiplexedConnection,
};
use secrecy::ExposeSecret as _;

use crate::tls;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take. Requests wait for it, so it is short.
const ANSWER: Duration = Duration::from_secs(1);

/// Why the cache cannot be used: a reason that programs read and a text for people, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        Self { reason: reason_of(&error), detail: error.to_string() }
    }
}

/// The binding in this folder, as it is now.
pub(super) fn binding(folder: &Path) -> Result<RedisBinding, Fault> {
    RedisBinding::read(folder).map_err(|error| Fault { reason: "Misconfigured", detail: error.to_string() })
}

/// A new connection.
pub(super) async fn connect(binding: &RedisBinding) -> Result<MultiplexedConnection, Fault> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
    Ok(client(binding)?.get_multiplexed_async_connection_with_config(&config).await?)
}

fn client(binding: &RedisBinding) -> Result<Client, RedisError> {
    let info = info(binding)?;
    match &binding.ca_certificate {
        Some(pem) if binding.tls => {
            let root_cert = Some(pem.clone().into_bytes());
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        }
        _ => Client::open(info),
    }
}

fn info(binding: &RedisBinding) -> Result<ConnectionInfo, RedisError> {
    let (host, port) = (binding.host.clone(), binding.port);
    let address = if binding.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    // RESP3 has the server's disconnection told at once, not at the next command.
    let mut settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    if let Some(username) = &binding.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &binding.password {
        settings = settings.set_password(password.expose_secret());
    }
    Ok(address.into_connection_info()?.set_redis_settings(settings))
}

fn reason_of(error: &RedisError) -> &'static str {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => "PasswordRefused",
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => "NotPermitted",
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => "Starting",
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => "ReadOnly",
        (ErrorKind::InvalidClientConfig, _) => "Misconfigured",
        (_, Some("OOM")) => "OutOfMemory",
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => "CacheError",
        _ if tls::failure(error).is_some() => "TlsFailed",
        _ => "Unreachable",
    }
}
