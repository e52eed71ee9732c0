//! Valkey and Redis: each consumer has the keys and channels that begin with its name, and users that may touch only
//! those. The list of users lies on the volume of each server; it is not replicated, so copies are told as well.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo as _, RedisError,
    TlsCertificates, cmd,
};

use crate::error::bounded;
use crate::{AdminError, AdminPort, DEADLINE, Endpoint, Login, Space};

/// Shorter than the deadline of a call, so that it can say so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Keys of one step of a search.
const BATCH: u32 = 1000;
const CERTIFICATE: [(&str, &str); 3] = [
    ("tls-cert-file", "/etc/portico/tls/tls.crt"),
    ("tls-key-file", "/etc/portico/tls/tls.key"),
    ("tls-ca-cert-file", "/etc/portico/tls/ca.crt"),
];

/// The admin port of one server.
pub struct Valkey {
    endpoint: Endpoint,
    replicas: Vec<String>,
}

impl Valkey {
    /// The port at `endpoint`. Connects only when it is used.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, replicas: Vec::new() }
    }

    /// Makes and ends users on these copies, too. One that cannot be reached is left out: its readiness probe takes over
    /// the users of the primary.
    #[must_use]
    pub fn with_replicas(mut self, hosts: Vec<String>) -> Self {
        self.replicas = hosts;
        self
    }

    async fn connect(&self, host: &str, username: &str, password: &str) -> Result<MultiplexedConnection, RedisError> {
        let (host, port) = (host.to_owned(), self.endpoint.port);
        let addr = match &self.endpoint.ca {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        };
        let info = addr.into_connection_info()?;
        let settings = info.redis_settings().clone().set_username(username).set_password(password);
        let info = info.set_redis_settings(settings.set_skip_set_lib_name());
        let client = match &self.endpoint.ca {
            Some(ca) => {
                let root_cert = Some(ca.clone().into_bytes());
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })?
            }
            None => Client::open(info)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(DEADLINE));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn administer(&self, host: &str) -> Result<MultiplexedConnection, RedisError> {
        self.connect(host, &self.endpoint.username, &self.endpoint.password).await
    }

    async fn primary(&self) -> Result<MultiplexedConnection, AdminError> {
        self.administer(&self.endpoint.host).await.map_err(|error| failed(&error))
    }

    /// The primary, and the copies that can be reached.
    async fn servers(&self) -> Result<Vec<MultiplexedConnection>, AdminError> {
        let mut servers = vec![self.primary().await?];
        for host in &self.replicas {
            servers.extend(self.administer(host).await.ok());
        }
        Ok(servers)
    }

    async fn make_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        let mut command = cmd("ACL");
        command.arg("SETUSER").arg(checked(&login.username)?).arg(&["reset", "on"]).arg(digest_of(&login.password));
        command.arg(&[format!("~{}", pattern(space)?), format!("&{}", pattern(space)?)]);
        command.arg(&["+@all", "-@admin", "-@dangerous", "+info"]);
        for mut server in self.servers().await? {
            ask::<()>(&mut server, &command).await?;
            save(&mut server).await?;
        }
        Ok(())
    }

    async fn try_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        let key = if space.whole { "portico".to_owned() } else { format!("{}:portico", checked(&space.name)?) };
        let session = self.connect(&self.endpoint.host, &login.username, &login.password).await;
        let mut session = session.map_err(|error| failed(&error))?;
        ask::<u64>(&mut session, cmd("EXISTS").arg(key)).await.map(drop)
    }

    async fn count_sessions(&self, username: &str) -> Result<u64, AdminError> {
        let field = format!("user={username}");
        let mut total = 0;
        for mut server in self.servers().await? {
            let list: String = ask(&mut server, cmd("CLIENT").arg("LIST")).await?;
            let theirs = list.lines().filter(|line| line.split(' ').any(|word| word == field)).count();
            total += u64::try_from(theirs).unwrap_or(u64::MAX);
        }
        Ok(total)
    }

    /// The server ends the connections of a user that it forgets.
    async fn remove_logins(&self, usernames: &[&str]) -> Result<(), AdminError> {
        for mut server in self.servers().await? {
            ask::<u64>(&mut server, cmd("ACL").arg("DELUSER").arg(usernames)).await?;
            save(&mut server).await?;
        }
        Ok(())
    }

    async fn remove_space(&self, space: &Space) -> Result<(), AdminError> {
        let pattern = pattern(space)?;
        let mut primary = self.primary().await?;
        let list: Vec<String> = ask(&mut primary, cmd("ACL").arg("LIST")).await?;
        let logins: Vec<&str> = list.iter().filter_map(|line| user_of(line, &pattern)).collect();
        if !logins.is_empty() {
            self.remove_logins(&logins).await?;
        }
        if space.whole {
            return ask(&mut primary, cmd("FLUSHALL").arg("ASYNC")).await;
        }
        let keyspace: String = ask(&mut primary, cmd("INFO").arg("keyspace")).await?;
        for database in databases(&keyspace) {
            ask::<()>(&mut primary, cmd("SELECT").arg(database)).await?;
            remove_keys(&mut primary, &pattern).await?;
        }
        Ok(())
    }

    async fn reload(&self) -> Result<(), AdminError> {
        let mut command = cmd("CONFIG");
        command.arg("SET");
        // Together: a new certificate does not fit the old key.
        for (setting, path) in CERTIFICATE {
            command.arg(setting).arg(path);
        }
        for mut server in self.servers().await? {
            ask::<()>(&mut server, &command).await?;
        }
        Ok(())
    }
}

async fn ask<T: FromRedisValue>(server: &mut MultiplexedConnection, command: &Cmd) -> Result<T, AdminError> {
    command.query_async(server).await.map_err(|error| failed(&error))
}

/// Writes the list of users to the volume. That the server cannot is almost always a full one.
async fn save(server: &mut MultiplexedConnection) -> Result<(), AdminError> {
    ask(server, cmd("ACL").arg("SAVE")).await.map_err(|error| match error {
        AdminError::Engine(text) => AdminError::Full(format!("the list of users cannot be saved: {text}")),
        other => other,
    })
}

/// Ends after the deadline of the call at the latest; what is removed by then stays removed.
async fn remove_keys(server: &mut MultiplexedConnection, pattern: &str) -> Result<(), AdminError> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(BATCH);
        let (next, keys): (u64, Vec<Vec<u8>>) = ask(server, &scan).await?;
        if !keys.is_empty() {
            ask::<u64>(server, cmd("UNLINK").arg(keys)).await?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// The numbers of the databases that hold keys: lines like `db0:keys=1,expires=0`.
fn databases(keyspace: &str) -> impl Iterator<Item = u32> {
    keyspace.lines().filter_map(|line| line.strip_prefix("db")?.split(':').next()?.parse().ok())
}

/// The user of a line of the list, if its keys are exactly those of `pattern` and it is not one of the server's own.
fn user_of<'a>(line: &'a str, pattern: &str) -> Option<&'a str> {
    let mut words = line.strip_prefix("user ")?.split(' ');
    let name = words.next().filter(|name| *name != "default" && !name.starts_with("portico_"))?;
    let mut keys = words.filter_map(|word| word.strip_prefix('~'));
    (keys.next() == Some(pattern) && keys.next().is_none()).then_some(name)
}

/// Keys and channels of a space.
fn pattern(space: &Space) -> Result<String, AdminError> {
    if space.whole { Ok("*".to_owned()) } else { Ok(format!("{}:*", checked(&space.name)?)) }
}

/// A name without anything that has a meaning in patterns or lists of users.
fn checked(name: &str) -> Result<&str, AdminError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) || name == "default" || name.starts_with("portico_") {
        let problem = "is not made of lower-case letters, digits and -_. or belongs to the server";
        return Err(AdminError::Engine(format!("the name {name:?} {problem}: choose another one")));
    }
    Ok(name)
}

/// The password as the list of users has it, so that it is never sent.
fn digest_of(password: &str) -> String {
    digest::digest(&digest::SHA256, password.as_bytes()).as_ref().iter().fold("#".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The error as the controllers know it. The server's texts hold names, never passwords.
fn failed(error: &RedisError) -> AdminError {
    let text = error.to_string();
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH" | "NOPERM")) => {
            AdminError::Refused(text)
        }
        (_, Some("OOM" | "MISCONF")) => AdminError::Full(text),
        (_, Some("LOADING" | "MASTERDOWN")) => AdminError::Unreachable(text),
        (ErrorKind::Io, _) if is_tls(error) => AdminError::Tls(text),
        (ErrorKind::Io, _) => AdminError::Unreachable(text),
        _ => AdminError::Engine(text),
    }
}

/// Whether the error is one of TLS, which the client wraps in one of input and output.
fn is_tls(error: &RedisError) -> bool {
    error
        .source()
        .and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>())
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some()
}

#[async_trait]
impl AdminPort for Valkey {
    /// A prefix is there as soon as a key has it.
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError> {
        pattern(space).map(drop)
    }

    async fn ensure_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.make_login(space, login)).await
    }

    async fn verify(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.try_login(space, login)).await
    }

    async fn sessions(&self, username: &str) -> Result<Option<u64>, AdminError> {
        bounded(self.count_sessions(username)).await.map(Some)
    }

    async fn revoke(&self, _: &Space, username: &str) -> Result<(), AdminError> {
        let username = checked(username)?;
        bounded(self.remove_logins(&[username])).await
    }

    async fn drop_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(self.remove_space(space)).await
    }

    async fn reload_certificate(&self) -> Result<(), AdminError> {
        bounded(self.reload()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_users_of_exactly_the_space_are_its_users() {
        let line = "user shop_a on sanitize-payload #00 ~shop:* resetchannels &shop:* +@all -@admin";
        assert_eq!(user_of(line, "shop:*"), Some("shop_a"));
        assert_eq!(user_of(line, "*"), None);
        assert_eq!(user_of("user both on ~shop:* ~other:*", "shop:*"), None);
        assert_eq!(user_of("user portico_admin on ~* &* +@all", "*"), None);
    }

    #[test]
    fn names_have_no_patterns() {
        assert!(checked("shop-orders").is_ok());
        for bad in ["", "*", "a*", "a b", "a:b", "default", "portico_admin", "a\nuser"] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn databases_with_keys_are_listed() {
        let info = "# Keyspace\r\ndb0:keys=1,expires=0\r\ndb12:keys=3,expires=0\r\n";
        assert_eq!(databases(info).collect::<Vec<_>>(), [0, 12]);
    }

    #[test]
    fn passwords_are_sent_as_digests() {
        assert_eq!(digest_of("abc"), "#ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
