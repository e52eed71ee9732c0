//! The binding (servicebinding.io) as it is mounted: a folder with one file a key. Only reads; never shows a secret.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The link that the kubelet turns to the newest content of a mounted Secret.
pub(crate) const NEWEST: &str = "..data";

/// The engines that it speaks to, by the entry `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    PostgreSql,
    MySql,
    Redis,
    RabbitMq,
    S3,
    DynamoDb,
}

/// How an engine is reached and used.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) kind: Kind,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// User, or access key id.
    pub(crate) username: String,
    /// Password, or secret key.
    pub(crate) password: String,
    /// Database, virtual host, key prefix or bucket.
    pub(crate) space: Option<String>,
    pub(crate) region: Option<String>,
    /// Certificates (PEM) that the server's is checked against; without them it speaks no TLS.
    pub(crate) ca: Option<String>,
}

/// A folder that is no binding.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindingError {
    #[error("the binding {} has no file {key:?}", folder.display())]
    Missing { folder: PathBuf, key: &'static str },
    #[error("the file {key:?} of the binding {} {problem}", folder.display())]
    Value { folder: PathBuf, key: &'static str, problem: &'static str },
    #[error("the binding {} cannot be read: {source}", folder.display())]
    Unreadable { folder: PathBuf, source: io::Error },
}

impl Binding {
    /// Reads the folder: all files of one moment, even if another content comes in between.
    pub(crate) fn read(folder: &Path) -> Result<Self, BindingError> {
        let newest = folder.join(NEWEST);
        let moment = if newest.exists() { newest } else { folder.to_owned() };
        let moment = fs::canonicalize(moment)
            .map_err(|source| BindingError::Unreadable { folder: folder.to_owned(), source })?;
        Folder { name: folder, moment }.binding()
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({:?} at {}:{} as {})", self.kind, self.host, self.port, self.username)
    }
}

struct Folder<'a> {
    name: &'a Path,
    moment: PathBuf,
}

impl Folder<'_> {
    fn binding(&self) -> Result<Binding, BindingError> {
        let kind = match self.required("type")?.as_str() {
            "postgresql" => Kind::PostgreSql,
            "mysql" | "mariadb" => Kind::MySql,
            "redis" | "valkey" => Kind::Redis,
            "rabbitmq" | "amqp" => Kind::RabbitMq,
            "s3" => Kind::S3,
            "dynamodb" => Kind::DynamoDb,
            _ => return Err(self.value("type", "names an engine that this program does not know")),
        };
        let (user, secret) = match kind {
            Kind::S3 | Kind::DynamoDb => ("access-key-id", "secret-access-key"),
            _ => ("username", "password"),
        };
        let space = match kind {
            Kind::PostgreSql | Kind::MySql => Some(self.required("database")?),
            Kind::RabbitMq => Some(self.required("virtual-host")?),
            Kind::S3 => Some(self.required("bucket")?),
            Kind::Redis => self.optional("prefix")?,
            Kind::DynamoDb => None,
        };
        let port = self.required("port")?.parse().map_err(|_| self.value("port", "holds no port number"))?;
        Ok(Binding {
            kind,
            host: self.required("host")?,
            port,
            username: self.required(user)?,
            password: self.required(secret)?,
            space,
            region: self.optional("region")?,
            ca: self.authorities()?,
        })
    }

    fn authorities(&self) -> Result<Option<String>, BindingError> {
        let ca = self.optional("ca.crt")?;
        match self.optional("tls")?.as_deref() {
            Some("true") if ca.is_none() => Err(BindingError::Missing { folder: self.name.to_owned(), key: "ca.crt" }),
            Some("true") | None => Ok(ca),
            Some("false") => Ok(None),
            Some(_) => Err(self.value("tls", "is neither true nor false")),
        }
    }

    fn optional(&self, key: &'static str) -> Result<Option<String>, BindingError> {
        match fs::read_to_string(self.moment.join(key)) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BindingError::Unreadable { folder: self.name.to_owned(), source }),
        }
    }

    fn required(&self, key: &'static str) -> Result<String, BindingError> {
        self.optional(key)?.ok_or_else(|| BindingError::Missing { folder: self.name.to_owned(), key })
    }

    fn value(&self, key: &'static str, problem: &'static str) -> BindingError {
        BindingError::Value { folder: self.name.to_owned(), key, problem }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes the entries into a folder.
    pub(crate) fn write(folder: &Path, entries: &[(&str, &str)]) {
        for (key, value) in entries {
            fs::write(folder.join(key), value).unwrap();
        }
    }

    pub(crate) const CACHE: [(&str, &str); 5] =
        [("type", "redis"), ("host", "cache.shop.svc"), ("port", "6379"), ("username", "shop_a"), ("password", "x")];

    #[test]
    fn a_folder_is_read_without_the_ends_of_lines() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &CACHE);
        write(folder.path(), &[("password", "secret\n"), ("prefix", "shop:"), ("tls", "false"), ("ca.crt", "pem")]);
        let binding = Binding::read(folder.path()).unwrap();
        assert_eq!((binding.kind, binding.password.as_str()), (Kind::Redis, "secret"));
        assert_eq!((binding.space.as_deref(), binding.ca), (Some("shop:"), None));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &CACHE);
        assert!(!format!("{:?}", Binding::read(folder.path()).unwrap()).contains("\"x\""));
        write(folder.path(), &[("tls", "true")]);
        assert!(Binding::read(folder.path()).unwrap_err().to_string().contains("ca.crt"));
        write(folder.path(), &[("tls", "false"), ("port", "many")]);
        assert!(Binding::read(folder.path()).unwrap_err().to_string().contains("port"));
    }
}
