//! The binding Secret (servicebinding.io): the one shape in which every engine is published and every consumer reads,
//! whoever runs it.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::{labels::Identity, names::EngineName};
use std::collections::BTreeMap;
use std::fmt;

use crate::digest::digest;

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
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Database; only for databases.
    pub database: Option<String>,
    /// Certificates (PEM) that the server's certificate is checked against.
    pub ca: Option<String>,
    /// Whether and how TLS is used, as libpq has it.
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

const MISSING: &str = "is missing or empty";
const SSL_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

/// The value of the entry `type` (the names of Spring Cloud Bindings, which libraries recognise).
pub const fn binding_type(engine: EngineName) -> &'static str {
    match engine {
        EngineName::PostgreSql => "postgresql",
        EngineName::Valkey => "redis",
    }
}

impl Binding {
    /// Reads the data of a Secret.
    ///
    /// # Errors
    /// [`InvalidBinding`] names the first key whose value is missing or cannot be used. Values are never repeated.
    pub fn read(engine: EngineName, data: &BTreeMap<String, ByteString>) -> Result<Self, InvalidBinding> {
        let entries = Entries(data);
        entries.check_type(engine)?;
        let database = match engine {
            EngineName::PostgreSql => Some(entries.required("database")?),
            EngineName::Valkey => None,
        };
        Ok(Self {
            engine,
            provider: entries.optional("provider")?.unwrap_or_else(|| "external".to_owned()),
            host: entries.host()?,
            port: entries.port()?,
            username: entries.required("username")?,
            password: entries.required("password")?,
            database,
            ca: entries.certificates()?,
            sslmode: entries.ssl_mode()?,
        })
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> String {
        let host = &self.host;
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }

    /// The URI (RFC 3986) that clients of the engine take.
    pub fn uri(&self) -> String {
        let scheme = binding_type(self.engine);
        let (user, password) = (percent_encoded(&self.username), percent_encoded(&self.password));
        let mut uri = format!("{scheme}://{user}:{password}@{}", self.endpoint());
        if let Some(database) = &self.database {
            uri.push('/');
            uri.push_str(&percent_encoded(database));
        }
        if let Some(mode) = &self.sslmode {
            uri.push_str("?sslmode=");
            uri.push_str(mode);
        }
        uri
    }

    /// The entries of the Secret.
    pub fn entries(&self) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::new();
        let mut set = |key: &str, value: String| entries.insert(key.to_owned(), value);
        set("type", binding_type(self.engine).to_owned());
        set("provider", self.provider.clone());
        set("host", self.host.clone());
        set("port", self.port.to_string());
        set("username", self.username.clone());
        set("password", self.password.clone());
        set("uri", self.uri());
        for (key, value) in [("database", &self.database), ("ca.crt", &self.ca), ("sslmode", &self.sslmode)] {
            if let Some(value) = value {
                set(key, value.clone());
            }
        }
        entries
    }

    /// The Secret that publishes this binding.
    pub fn secret(&self, name: String, identity: Identity<'_>) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
            type_: Some(format!("servicebinding.io/{}", binding_type(self.engine))),
            string_data: Some(self.entries()),
            ..Secret::default()
        }
    }
}

impl fmt::Debug for Binding {
    /// Shows where, not with what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({} at {})", binding_type(self.engine), self.endpoint())
    }
}

/// The hash of a Secret's whole data: what a pod sees when it mounts it.
pub fn data_digest(data: &BTreeMap<String, ByteString>) -> String {
    digest(data.iter().map(|(key, value)| (key.as_str(), value.0.as_slice())))
}

/// The entries of a Secret, read with words for what is wrong.
struct Entries<'a>(&'a BTreeMap<String, ByteString>);

impl Entries<'_> {
    /// The text of a key without a trailing line break (files that became Secrets often have one).
    fn optional(&self, key: &'static str) -> Result<Option<String>, InvalidBinding> {
        let Some(bytes) = self.0.get(key) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| invalid(key, "is not UTF-8 text"))?;
        let text = text.trim_end_matches(['\r', '\n']);
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn required(&self, key: &'static str) -> Result<String, InvalidBinding> {
        let text = self.optional(key)?.ok_or_else(|| invalid(key, MISSING))?;
        if text.contains(char::is_control) { Err(invalid(key, "holds control characters")) } else { Ok(text) }
    }

    fn check_type(&self, engine: EngineName) -> Result<(), InvalidBinding> {
        let accepted: &[&str] = match engine {
            EngineName::PostgreSql => &["postgresql"],
            EngineName::Valkey => &["redis", "valkey"],
        };
        match self.optional("type")? {
            Some(given) if !accepted.contains(&given.as_str()) => {
                Err(invalid("type", format!("must be {} or left out", accepted.join(" or "))))
            }
            _ => Ok(()),
        }
    }

    fn host(&self) -> Result<String, InvalidBinding> {
        let host = self.required("host")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.len() <= 253 && host.chars().all(plain) {
            Ok(host)
        } else {
            Err(invalid("host", "must be a DNS name or an address, without scheme and port"))
        }
    }

    fn port(&self) -> Result<u16, InvalidBinding> {
        match self.required("port")?.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(invalid("port", "must be a number from 1 to 65535")),
        }
    }

    fn certificates(&self) -> Result<Option<String>, InvalidBinding> {
        match self.optional("ca.crt")? {
            Some(text) if !text.contains("-----BEGIN CERTIFICATE-----") => {
                Err(invalid("ca.crt", "must hold certificates in PEM form"))
            }
            other => Ok(other),
        }
    }

    fn ssl_mode(&self) -> Result<Option<String>, InvalidBinding> {
        match self.optional("sslmode")? {
            Some(mode) if !SSL_MODES.contains(&mode.as_str()) => {
                Err(invalid("sslmode", format!("must be one of {}", SSL_MODES.join(", "))))
            }
            other => Ok(other),
        }
    }
}

fn invalid(key: &'static str, problem: impl Into<String>) -> InvalidBinding {
    InvalidBinding { key, problem: problem.into() }
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
                username, password, database: Some(database), ca: None, sslmode: Some("disable".into()),
            };
            let data = binding.entries().into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect();
            prop_assert_eq!(Binding::read(EngineName::PostgreSql, &data).unwrap(), binding);
        }
    }
}
