//! The binding Secret (servicebinding.io): the one shape in which every engine is published and every consumer reads,
//! whoever runs it.

mod read;
mod shape;

pub use shape::{Identity as LoginStyle, Shape, SpaceEntry};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::{labels::Identity, names::EngineName};
use std::collections::BTreeMap;
use std::fmt;

use crate::{builtin, digest::digest};

/// How an engine is reached and used.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    /// The engine.
    pub engine: EngineName,
    /// Who runs it.
    pub provider: String,
    /// DNS name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User, or access key id.
    pub username: String,
    /// Password, or secret key.
    pub password: String,
    /// Database, virtual host, key prefix or bucket.
    pub space: Option<String>,
    /// Region (object stores and DynamoDB).
    pub region: Option<String>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Certificates (PEM) that the server's certificate is checked against.
    pub ca: Option<String>,
    /// Whether and how TLS is used, as libpq has it; only where the engine's clients have such a mode.
    pub sslmode: Option<String>,
}

/// A Secret that is no binding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {key:?} {problem}")]
pub struct InvalidBinding {
    /// The key to mend.
    pub key: &'static str,
    /// What is wrong with its value.
    pub problem: String,
}

impl Binding {
    /// Reads the data of a Secret.
    ///
    /// # Errors
    /// [`InvalidBinding`] names the first key whose value is missing or cannot be used. Values are never repeated.
    pub fn read(engine: EngineName, data: &BTreeMap<String, ByteString>) -> Result<Self, InvalidBinding> {
        read::Entries(data).binding(engine)
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> String {
        let host = &self.host;
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }

    /// The URI (RFC 3986) that clients of the engine take.
    pub fn uri(&self) -> String {
        let shape = self.shape();
        let scheme = shape.schemes[usize::from(self.tls)];
        let mut uri = match shape.identity {
            LoginStyle::Password => {
                let (user, password) = (percent_encoded(&self.username), percent_encoded(&self.password));
                format!("{scheme}://{user}:{password}@{}", self.endpoint())
            }
            LoginStyle::AccessKey => format!("{scheme}://{}", self.endpoint()),
        };
        if let (Some(space), Some(true)) = (&self.space, shape.space.map(|entry| entry.in_uri)) {
            uri.push('/');
            uri.push_str(&percent_encoded(space));
        }
        if let Some(mode) = &self.sslmode {
            uri.push_str("?sslmode=");
            uri.push_str(mode);
        }
        uri
    }

    /// The entries of the Secret.
    pub fn entries(&self) -> BTreeMap<String, String> {
        let shape = self.shape();
        let mut entries = BTreeMap::new();
        let mut set = |key: &str, value: String| entries.insert(key.to_owned(), value);
        set("type", shape.type_.to_owned());
        set("provider", self.provider.clone());
        set("host", self.host.clone());
        set("port", self.port.to_string());
        // Nobody's name is no name: with a workload identity there are neither.
        if !self.username.is_empty() {
            set("username", self.username.clone());
            set("password", self.password.clone());
        }
        set("tls", self.tls.to_string());
        set("uri", self.uri());
        if shape.identity == LoginStyle::AccessKey {
            if !self.username.is_empty() {
                set("access-key-id", self.username.clone());
                set("secret-access-key", self.password.clone());
            }
            let scheme = if self.tls { "https" } else { "http" };
            set("endpoint", format!("{scheme}://{}", self.endpoint()));
        }
        let space = shape.space.map_or("", |entry| entry.key);
        let optional =
            [(space, &self.space), ("region", &self.region), ("ca.crt", &self.ca), ("sslmode", &self.sslmode)];
        for (key, value) in optional {
            if let Some(value) = value.as_ref().filter(|_| !key.is_empty()) {
                set(key, value.clone());
            }
        }
        entries
    }

    /// The Secret that publishes this binding.
    pub fn secret(&self, name: String, identity: Identity<'_>) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
            type_: Some(format!("servicebinding.io/{}", self.shape().type_)),
            string_data: Some(self.entries()),
            ..Secret::default()
        }
    }

    fn shape(&self) -> &'static Shape {
        builtin::engine(self.engine).shape()
    }
}

impl fmt::Debug for Binding {
    /// Shows where, not with what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({} at {})", self.shape().type_, self.endpoint())
    }
}

/// The hash of a Secret's whole data: what a pod sees when it mounts it.
pub fn data_digest(data: &BTreeMap<String, ByteString>) -> String {
    digest(data.iter().map(|(key, value)| (key.as_str(), value.0.as_slice())))
}

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    const GOOD: [(&str, &str); 5] =
        [("host", "db.example"), ("port", "5432"), ("username", "u"), ("password", "p@ss/w"), ("database", "d")];

    fn with(key: &str, value: &str) -> BTreeMap<String, ByteString> {
        let mut all = data(&GOOD);
        all.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        all
    }

    #[test]
    fn the_uri_is_quoted() {
        let binding = Binding::read(EngineName::PostgreSql, &with("sslmode", "require")).unwrap();
        assert_eq!(binding.uri(), "postgresql://u:p%40ss%2Fw@db.example:5432/d?sslmode=require");
        let binding = Binding::read(EngineName::Valkey, &with("host", "2001:db8::1")).unwrap();
        assert_eq!(binding.uri(), "redis://u:p%40ss%2Fw@[2001:db8::1]:5432");
    }

    #[test]
    fn a_problem_names_its_key_and_never_a_value() {
        for (missing, _) in GOOD {
            let mut all = data(&GOOD);
            all.remove(missing);
            assert_eq!(Binding::read(EngineName::PostgreSql, &all).unwrap_err().key, missing);
        }
        for (key, value) in [
            ("port", "0"),
            ("port", "65536"),
            ("port", "x"),
            ("host", "http://x"),
            ("password", "a\u{7}b"),
            ("type", "mysql"),
            ("ca.crt", "zzz"),
            ("sslmode", "maybe"),
        ] {
            let error = Binding::read(EngineName::PostgreSql, &with(key, value)).unwrap_err();
            assert_eq!(error.key, key);
            assert!(value.len() < 3 || !error.to_string().contains(value), "{error}");
        }
    }

    #[test]
    fn a_trailing_line_break_is_not_part_of_the_value() {
        let binding = Binding::read(EngineName::PostgreSql, &with("password", "secret\n")).unwrap();
        assert_eq!(binding.password, "secret");
    }

    #[test]
    fn debug_hides_the_password() {
        let binding = Binding::read(EngineName::PostgreSql, &data(&GOOD)).unwrap();
        assert_eq!(format!("{binding:?}"), "Binding(postgresql at db.example:5432)");
    }

    proptest! {
        #[test]
        fn what_is_published_is_read_again(
            password in "[ -~]{1,40}", username in "[a-z]{1,10}", port in 1u16.., database in "[a-z]{1,10}",
        ) {
            let binding = Binding {
                engine: EngineName::PostgreSql, provider: "portico".into(), host: "h.ns.svc".into(), port,
                username, password, space: Some(database), region: None, tls: false, ca: None,
                sslmode: Some("disable".into()),
            };
            let data = binding.entries().into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect();
            prop_assert_eq!(Binding::read(EngineName::PostgreSql, &data).unwrap(), binding);
        }
    }
}
