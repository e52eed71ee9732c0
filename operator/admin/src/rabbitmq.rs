//! RabbitMQ: virtual hosts and users through the HTTP API of its management plugin; logins are tried by AMQP.
//!
//! A space is a virtual host whose queues are quorum queues unless their declarer says otherwise. A login is a user
//! without tags, so the HTTP API itself is closed to it, and with all rights in its virtual host only. What is already
//! as it should be is not written again.

use async_trait::async_trait;
use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, Method};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::types::ShortString;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::bounded;
use crate::http::{Answer, HttpClient, Scheme, segment, transport};
use crate::{AdminError, AdminPort, Endpoint, Login, Space, tls};

/// Everything with this name.
const ALL: &str = ".*";
/// The bytes in front of a hash that it was salted with.
const SALT: usize = 4;
/// What the engine writes for "SHA-256, salted".
const SHA_256: &str = "rabbit_password_hashing_sha256";
/// Told to the clients whose connections are closed.
const REASON: (HeaderName, &str) = (HeaderName::from_static("x-reason"), "the user was removed");
/// The protocol's numbers for "access refused" and "not allowed": the login, and the virtual host.
const REFUSALS: [u16; 2] = [403, 530];

/// The admin port of one broker.
#[derive(Debug)]
pub struct RabbitMq {
    endpoint: Endpoint,
}

/// A user as the HTTP API tells it.
#[derive(Deserialize)]
struct User {
    #[serde(default)]
    password_hash: String,
    #[serde(default)]
    hashing_algorithm: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// A user's rights in one virtual host.
#[derive(Deserialize)]
struct Permissions {
    vhost: String,
    configure: String,
    write: String,
    read: String,
}

impl RabbitMq {
    /// The admin port at `endpoint`, whose port is the one of the HTTP API. Connects only when it is used.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    fn client(&self) -> Result<HttpClient, AdminError> {
        HttpClient::new(&self.endpoint, Scheme::Basic)
    }

    async fn make_space(&self, space: &Space) -> Result<(), AdminError> {
        let (client, path) = (self.client()?, vhost(&space.name));
        let there = client.get(&path).await?.found()?;
        let kind = there.map(|answer| answer.json::<Value>()).transpose()?;
        if kind.is_some_and(|kind| kind["default_queue_type"] == "quorum") {
            return Ok(());
        }
        put(&client, &path, &json!({ "default_queue_type": "quorum" })).await
    }

    async fn make_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        let (client, path) = (self.client()?, user(&login.username));
        let there: Option<User> = client.get(&path).await?.found()?.map(|answer| answer.json()).transpose()?;
        if !there.is_some_and(|user| user.tags.is_empty() && user.has(&login.password)) {
            put(&client, &path, &json!({ "password": *login.password, "tags": "" })).await?;
        }
        let held: Vec<Permissions> = client.get(&format!("{path}/permissions")).await?.success()?.json()?;
        for other in held.iter().filter(|one| one.vhost != space.name) {
            delete(&client, &permissions(&other.vhost, &login.username)).await?;
        }
        if held.iter().any(|one| one.vhost == space.name && one.everything()) {
            return Ok(());
        }
        let rights = json!({ "configure": ALL, "write": ALL, "read": ALL });
        put(&client, &permissions(&space.name, &login.username), &rights).await
    }

    async fn count(&self, username: &str) -> Result<u64, AdminError> {
        let answer = self.client()?.get(&connections(username)).await?.found()?;
        let open: Vec<Value> = answer.map(|answer| answer.json()).transpose()?.unwrap_or_default();
        Ok(open.len() as u64)
    }

    /// The user goes first: a client whose connection ends comes back at once.
    async fn remove_login(&self, username: &str) -> Result<(), AdminError> {
        let client = self.client()?;
        delete(&client, &user(username)).await?;
        delete(&client, &connections(username)).await
    }

    /// Opens the virtual host by AMQP, and nothing more.
    async fn log_in(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        let tls = self.endpoint.ca.as_deref().map(tls::client_config).transpose()?.map(RustlsConnector::from);
        let runtime = lapin::runtime::default_runtime().map_err(|error| amqp(&error))?;
        let properties = ConnectionProperties::default().with_connection_name("portico-operator".into());
        let connection = Connection::connector(
            self.uri(space, login),
            runtime,
            async move |uri, runtime| {
                let AMQPAuthority { host, port, .. } = uri.authority;
                let stream = AsyncTcpStream::connect(&runtime, runtime.to_socket_addrs((host.clone(), port))).await?;
                match &tls {
                    Some(tls) => Ok(stream.into_rustls(tls, &host).await?),
                    None => Ok(stream),
                }
            },
            properties,
        )
        .await
        .map_err(|error| amqp(&error))?;
        connection.close(200, ShortString::from("OK")).await.map_err(|error| amqp(&error))
    }

    fn uri(&self, space: &Space, login: &Login) -> AMQPUri {
        let userinfo = AMQPUserInfo { username: login.username.clone(), password: (*login.password).clone() };
        AMQPUri {
            scheme: if self.endpoint.ca.is_some() { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority { userinfo, host: self.endpoint.host.clone(), port: self.endpoint.consumer_port },
            vhost: space.name.clone(),
            query: AMQPQueryString::default(),
        }
    }
}

#[async_trait]
impl AdminPort for RabbitMq {
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(self.make_space(space)).await
    }

    async fn ensure_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.make_login(space, login)).await
    }

    async fn verify(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.log_in(space, login)).await
    }

    async fn sessions(&self, username: &str) -> Result<Option<u64>, AdminError> {
        bounded(self.count(username)).await.map(Some)
    }

    async fn revoke(&self, _space: &Space, username: &str) -> Result<(), AdminError> {
        bounded(self.remove_login(username)).await
    }

    async fn drop_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(async { delete(&self.client()?, &vhost(&space.name)).await }).await
    }

    /// The node reads the files for every new connection.
    async fn reload_certificate(&self) -> Result<(), AdminError> {
        Ok(())
    }
}

impl User {
    /// Whether the password is this one. The salt is in the hash, so there is no need to write it again to be sure.
    fn has(&self, password: &str) -> bool {
        let Ok(stored) = BASE64_STANDARD.decode(&self.password_hash) else { return false };
        let Some((salt, hash)) = stored.split_at_checked(SALT) else { return false };
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(salt);
        context.update(password.as_bytes());
        self.hashing_algorithm == SHA_256
            && constant_time::verify_slices_are_equal(context.finish().as_ref(), hash).is_ok()
    }
}

impl Permissions {
    fn everything(&self) -> bool {
        [&self.configure, &self.write, &self.read].into_iter().all(|right| right == ALL)
    }
}

fn vhost(name: &str) -> String {
    format!("/api/vhosts/{}", segment(name))
}

fn user(name: &str) -> String {
    format!("/api/users/{}", segment(name))
}

fn permissions(vhost: &str, user: &str) -> String {
    format!("/api/permissions/{}/{}", segment(vhost), segment(user))
}

/// From the node's own table of connections, not from the statistics, which lag.
fn connections(user: &str) -> String {
    format!("/api/connections/username/{}", segment(user))
}

async fn put(client: &HttpClient, path: &str, body: &Value) -> Result<(), AdminError> {
    client.send(Method::PUT, path, &[], Some(body)).await.and_then(Answer::success).map(drop)
}

async fn delete(client: &HttpClient, path: &str) -> Result<(), AdminError> {
    client.send(Method::DELETE, path, &[REASON], None::<&()>).await.and_then(Answer::found).map(drop)
}

/// What the AMQP client says, in our words. Its errors hold no password.
fn amqp(error: &lapin::Error) -> AdminError {
    match error.kind() {
        ErrorKind::ProtocolError(answer) if REFUSALS.contains(&answer.get_id()) => {
            AdminError::Refused(answer.get_message().to_string())
        }
        ErrorKind::ProtocolError(answer) => AdminError::Engine(answer.get_message().to_string()),
        _ => transport(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of RabbitMQ's manual: password `test12`, salt `908DC60A`.
    const EXAMPLE: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

    fn stored(hash: &str, algorithm: &str) -> User {
        User { password_hash: hash.to_owned(), hashing_algorithm: algorithm.to_owned(), tags: Vec::new() }
    }

    #[test]
    fn passwords_are_compared_by_their_salted_hash() {
        assert!(stored(EXAMPLE, SHA_256).has("test12"));
        assert!(!stored(EXAMPLE, SHA_256).has("test13"));
        assert!(!stored(EXAMPLE, "rabbit_password_hashing_md5").has("test12"));
        assert!(!stored("", SHA_256).has(""));
        assert!(!stored("not base64", SHA_256).has("test12"));
    }

    #[test]
    fn names_are_segments_of_paths() {
        assert_eq!(vhost("/"), "/api/vhosts/%2F");
        assert_eq!(permissions("a b", "../x"), "/api/permissions/a%20b/..%2Fx");
    }
}
