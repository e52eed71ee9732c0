//! Reading bindings: folders with one file a key, as the Service Binding specification mounts them.
//!
//! A service reads its binding again whenever the files change ([`crate::files::Follower`]) or a connection fails, so that
//! a changed password needs no restart. All keys of one reading are of one version of the Secret. Passwords stay in
//! types that no log shows.

use std::{fs, io, path::Path, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::files;

/// How to reach a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresBinding {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whom to log in as.
    pub username: String,
    /// With which password.
    pub password: SecretString,
    /// The database.
    pub database: String,
    /// How much TLS is wanted: `disable`, `prefer`, `require`, `verify-ca`, `verify-full`. Absent: `verify-full` when
    /// there is a certificate, else `prefer`.
    pub sslmode: Option<String>,
    /// The certificate authority of the server, PEM.
    pub ca_certificate: Option<String>,
}

/// How to reach a Valkey or Redis server.
#[derive(Debug, Clone)]
pub struct RedisBinding {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The ACL user; absent means the default user.
    pub username: Option<String>,
    /// The password; absent means none.
    pub password: Option<SecretString>,
    /// Whether TLS is spoken: the key `tls` says so, else the URI (`rediss://`).
    pub tls: bool,
    /// The certificate authority of the server, PEM.
    pub ca_certificate: Option<String>,
    /// What every key and channel has to begin with; empty where the user may have them all.
    pub prefix: String,
}

/// Why a binding cannot be used. No variant carries a value of a secret key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// A key that must be there is not, or is empty.
    #[error("the binding {} has no key {key:?}; add it to the Secret", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read the key {key:?} of the binding {}: {source}", folder.display())]
    Read {
        /// The folder.
        folder: PathBuf,
        /// The key.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A value is of no use.
    #[error("the key {key:?} of the binding {} {problem}", folder.display())]
    Value {
        /// The folder.
        folder: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl PostgresBinding {
    /// Reads the folder.
    pub fn read(folder: &Path) -> Result<Self, BindingError> {
        let folder = Folder::at(folder);
        folder.expect_type(&["postgresql"], "is not \"postgresql\": this Secret is for something else")?;
        Ok(Self {
            host: folder.required("host")?,
            port: folder.port()?,
            username: folder.required("username")?,
            password: folder.required("password")?.into(),
            database: folder.required("database")?,
            sslmode: folder.optional("sslmode")?,
            ca_certificate: folder.optional("ca.crt")?,
        })
    }
}

impl RedisBinding {
    /// Reads the folder.
    pub fn read(folder: &Path) -> Result<Self, BindingError> {
        let folder = Folder::at(folder);
        folder.expect_type(&["redis", "valkey"], "is not \"redis\": this Secret is for something else")?;
        Ok(Self {
            host: folder.required("host")?,
            port: folder.port()?,
            username: folder.optional("username")?,
            password: folder.optional("password")?.map(Into::into),
            tls: folder.tls()?,
            ca_certificate: folder.optional("ca.crt")?,
            prefix: folder.optional("prefix")?.unwrap_or_default(),
        })
    }

    /// Whether both lead to the same data.
    pub fn same_data(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.prefix) == (&other.host, other.port, &other.prefix)
    }
}

impl PartialEq for PostgresBinding {
    fn eq(&self, other: &Self) -> bool {
        let plain = |b: &Self| {
            let (sslmode, ca) = (b.sslmode.clone(), b.ca_certificate.clone());
            (b.host.clone(), b.port, b.username.clone(), b.database.clone(), sslmode, ca)
        };
        plain(self) == plain(other) && self.password.expose_secret() == other.password.expose_secret()
    }
}

impl PartialEq for RedisBinding {
    fn eq(&self, other: &Self) -> bool {
        let plain = |b: &Self| (b.username.clone(), b.tls, b.ca_certificate.clone());
        let password = |b: &Self| b.password.as_ref().map(|password| password.expose_secret().to_owned());
        self.same_data(other) && plain(self) == plain(other) && password(self) == password(other)
    }
}

/// One version of a folder's files.
struct Folder {
    /// As it was configured, for people.
    named: PathBuf,
    files: PathBuf,
}

impl Folder {
    fn at(folder: &Path) -> Self {
        Self { named: folder.to_owned(), files: files::current(folder) }
    }

    fn optional(&self, key: &'static str) -> Result<Option<String>, BindingError> {
        match fs::read_to_string(self.files.join(key)) {
            // Editors and `kubectl create secret --from-file` leave a line end behind that nobody meant.
            Ok(text) => Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()).filter(|value| !value.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BindingError::Read { folder: self.named.clone(), key, source }),
        }
    }

    fn required(&self, key: &'static str) -> Result<String, BindingError> {
        self.optional(key)?.ok_or_else(|| BindingError::Missing { folder: self.named.clone(), key })
    }

    fn port(&self) -> Result<u16, BindingError> {
        let port = self.required("port")?.parse().ok().filter(|port| *port != 0);
        port.ok_or_else(|| self.value("port", "is not a port number, 1 to 65535"))
    }

    fn tls(&self) -> Result<bool, BindingError> {
        match self.optional("tls")?.as_deref() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(self.value("tls", "is neither true nor false")),
            None => Ok(self.optional("uri")?.is_some_and(|uri| uri.starts_with("rediss://"))),
        }
    }

    fn expect_type(&self, wanted: &[&str], problem: &'static str) -> Result<(), BindingError> {
        let found = self.optional("type")?;
        if found.is_none_or(|found| wanted.contains(&found.as_str())) {
            Ok(())
        } else {
            Err(self.value("type", problem))
        }
    }

    fn value(&self, key: &'static str, problem: &'static str) -> BindingError {
        BindingError::Value { folder: self.named.clone(), key, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(keys: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (key, value) in keys {
            fs::write(folder.path().join(key), value).unwrap();
        }
        folder
    }

    const POSTGRES: [(&str, &str); 6] = [
        ("type", "postgresql\n"),
        ("host", "db.ns.svc\n"),
        ("port", "5432\r\n"),
        ("username", "app"),
        ("password", " s3cret words \n"),
        ("database", "app\n"),
    ];

    #[test]
    fn line_ends_are_cut_and_nothing_else() {
        let binding = PostgresBinding::read(folder(&POSTGRES).path()).unwrap();
        assert_eq!((binding.host.as_str(), binding.port, binding.database.as_str()), ("db.ns.svc", 5432, "app"));
        assert_eq!(binding.password.expose_secret(), " s3cret words ");
        assert!(!format!("{binding:?}").contains("s3cret"));
    }

    #[test]
    fn a_changed_password_is_noticed() {
        let mut other = POSTGRES;
        other[4].1 = "changed";
        let read = |keys| PostgresBinding::read(folder(keys).path()).unwrap();
        assert_eq!(read(&POSTGRES), read(&POSTGRES));
        assert_ne!(read(&POSTGRES), read(&other));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_without_values() {
        for (index, (key, _)) in POSTGRES.iter().enumerate().skip(1) {
            let mut keys = POSTGRES;
            keys[index].1 = "\n";
            let error = PostgresBinding::read(folder(&keys).path()).unwrap_err().to_string();
            assert!(error.contains(&format!("no key {key:?}")), "{error}");
        }
        let mut keys = POSTGRES;
        keys[2].1 = "70000";
        assert!(PostgresBinding::read(folder(&keys).path()).unwrap_err().to_string().contains("\"port\""));
        keys[0].1 = "redis";
        assert!(PostgresBinding::read(folder(&keys).path()).unwrap_err().to_string().contains("\"type\""));
    }

    #[test]
    fn a_redis_binding_needs_host_and_port_only() {
        let keys = [("host", "c"), ("port", "6379")];
        let binding = RedisBinding::read(folder(&keys).path()).unwrap();
        assert!(binding.username.is_none() && binding.password.is_none() && !binding.tls);
        let keys = [("host", "c"), ("port", "6379"), ("username", "app"), ("password", "p"), ("uri", "rediss://x")];
        assert!(RedisBinding::read(folder(&keys).path()).unwrap().tls);
    }

    #[test]
    fn tls_and_prefix_of_a_redis_binding() {
        let read = |more: &[(&str, &str)]| {
            let keys = [&[("host", "c"), ("port", "6379"), ("type", "valkey")], more].concat();
            RedisBinding::read(folder(&keys).path())
        };
        let binding = read(&[("tls", "true"), ("prefix", "shop:"), ("uri", "redis://x")]).unwrap();
        assert!(binding.tls && binding.prefix == "shop:");
        assert!(!read(&[("tls", "false"), ("uri", "rediss://x")]).unwrap().tls);
        assert!(read(&[("tls", "yes")]).unwrap_err().to_string().contains("\"tls\""));
        let other = read(&[("tls", "true"), ("prefix", "shop:"), ("password", "p")]).unwrap();
        assert!(binding != other && binding.same_data(&other) && !binding.same_data(&read(&[]).unwrap()));
    }

    #[test]
    fn all_keys_are_of_one_version_of_the_secret() {
        let mount = folder(&[]);
        let version = mount.path().join("..1");
        fs::create_dir(&version).unwrap();
        for (key, value) in POSTGRES {
            fs::write(version.join(key), value).unwrap();
            // A file beside the link is of some other version.
            fs::write(mount.path().join(key), "other").unwrap();
        }
        std::os::unix::fs::symlink("..1", mount.path().join("..data")).unwrap();
        assert_eq!(PostgresBinding::read(mount.path()).unwrap().username, "app");
    }
}
