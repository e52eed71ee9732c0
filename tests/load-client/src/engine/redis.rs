//! Valkey and Redis: keys under the binding's prefix.

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncCommands as _, AsyncConnectionConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisError, TlsCertificates,
};

use super::{Client, Failure, Session};
use crate::binding::Binding;

/// What the server says to a login that may not do something.
const REFUSALS: [&str; 3] = ["WRONGPASS", "NOAUTH", "NOPERM"];

pub(super) struct Redis {
    connection: MultiplexedConnection,
    prefix: String,
    session: Session,
}

impl Redis {
    pub(super) async fn connect(binding: &Binding, session: &Session) -> Result<Self, Failure> {
        let client = client(binding).map_err(|error| failure(&error))?;
        // The whole request has its own time.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        let prefix = binding.space.clone().unwrap_or_default();
        Ok(Self { connection: connection.map_err(|error| failure(&error))?, prefix, session: session.clone() })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn client(binding: &Binding) -> Result<redis::Client, RedisError> {
    let (host, port) = (binding.host.clone(), binding.port);
    let address = match binding.ca {
        Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        None => ConnectionAddr::Tcp(host, port),
    };
    let login = RedisConnectionInfo::default().set_username(&binding.username).set_password(&binding.password);
    let info = address.into_connection_info()?.set_redis_settings(login);
    match &binding.ca {
        Some(ca) => {
            let root_cert = Some(ca.clone().into_bytes());
            redis::Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        }
        None => redis::Client::open(info),
    }
}

#[async_trait]
impl Client for Redis {
    async fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn request(&mut self, sequence: u64) -> Result<(), Failure> {
        let (name, value) = (self.session.entry(sequence), sequence.to_string());
        self.write(&name, &value).await?;
        Failure::unless_same(&value, self.read(&name).await?.as_deref())
    }

    async fn write(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let key = self.key(key);
        self.connection.set::<_, _, ()>(key, value).await.map_err(|error| failure(&error))
    }

    async fn read(&mut self, key: &str) -> Result<Option<String>, Failure> {
        let key = self.key(key);
        self.connection.get(key).await.map_err(|error| failure(&error))
    }

    async fn close(self: Box<Self>) {
        // The connection ends when its last handle is dropped; the protocol has no goodbye that must be waited for.
    }
}

fn failure(error: &RedisError) -> Failure {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) => Failure::Refused(error.to_string()),
        (_, Some(code)) if REFUSALS.contains(&code) => Failure::Refused(error.to_string()),
        (_, Some(_)) => Failure::Engine(error.to_string()),
        _ => Failure::Unreachable(super::causes(error)),
    }
}
