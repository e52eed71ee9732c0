//! A real `MariaDB` on loopback, as the operator's builtin pod runs it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::managed::{Managed, Spec};
use crate::postgres::write_entries;

/// The user that administers the server.
pub const ADMIN: &str = "portico_admin";

/// What only a power cut would lose is not written at once; a server that is killed loses nothing.
const FAST: &str = "sync_binlog = 0\ninnodb_flush_log_at_trx_commit = 2\nmax_connections = 200\n";
const PLAIN: &str = "sync_binlog = 0\ninnodb_flush_log_at_trx_commit = 2\nmax_connections = 200\n\
                     require_secure_transport = OFF\n";

static TLS_ONLY: Spec = spec(&[START, READY, ALIVE, CONFIGURATION, REPLICA, ("parameters.cnf", FAST)]);
static ALSO_PLAIN: Spec = spec(&[START, READY, ALIVE, CONFIGURATION, REPLICA, ("parameters.cnf", PLAIN)]);

type File = (&'static str, &'static str);
const START: File = ("start.sh", include_str!("../../../operator/backends/src/builtin/mariadb/start.sh"));
const READY: File = ("ready.sh", include_str!("../../../operator/backends/src/builtin/mariadb/ready.sh"));
const ALIVE: File = ("alive.sh", include_str!("../../../operator/backends/src/builtin/mariadb/alive.sh"));
const CONFIGURATION: File = ("mariadb.cnf", include_str!("../../../operator/backends/src/builtin/mariadb/mariadb.cnf"));
const REPLICA: File = ("replica.cnf", include_str!("../../../operator/backends/src/builtin/mariadb/replica.cnf"));

const fn spec(files: &'static [File]) -> Spec {
    Spec {
        engine: "mariadb",
        port: 3306,
        files,
        listen: ["bind_address = ", "*", "\n"],
        passwords: &["root-password", "admin-password", "replication-password"],
    }
}

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct MariaDb {
    pod: Managed,
    tls: bool,
}

impl MariaDb {
    /// Starts a server that takes nothing but TLS.
    ///
    /// # Errors
    /// When the engine is not unpacked, or the server does not start; the text holds the last lines of its log.
    pub async fn start() -> Result<Self> {
        Ok(Self { pod: Managed::start(&TLS_ONLY).await?, tls: true })
    }

    /// Starts a server whose [`Self::database`] gives users that connect without TLS.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_plain() -> Result<Self> {
        Ok(Self { pod: Managed::start(&ALSO_PLAIN).await?, tls: false })
    }

    /// The one instance, with TLS, that the tests of this binary share; each takes a [`Database`] of its own.
    ///
    /// # Panics
    /// When it cannot be started: no test that wants it can go on.
    #[expect(clippy::panic, reason = "this is a test fixture, and a test fails by panicking")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<MariaDb> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(server) => server,
            Err(error) => panic!("no MariaDB: {error:#}"),
        }
    }

    /// Starts a copy for reading.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn replica(&self) -> Result<Self> {
        Ok(Self { pod: self.pod.replica().await?, tls: self.tls })
    }

    /// Its pod: address, CA, passwords, probes, stop and start.
    pub const fn pod(&self) -> &Managed {
        &self.pod
    }

    /// As [`Self::pod`], to stop and start it.
    pub const fn pod_mut(&mut self) -> &mut Managed {
        &mut self.pod
    }

    /// Password of [`ADMIN`].
    ///
    /// # Errors
    /// When its file is not there.
    pub fn admin_password(&self) -> Result<String> {
        self.pod.password("admin-password")
    }

    /// Makes an empty database, and a user who may do everything in it.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self) -> Result<Database> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let password = format!("password of {name}");
        let require = if self.tls { "SSL" } else { "NONE" };
        self.sql(&format!(
            "CREATE DATABASE {name}; CREATE USER {name}@'%' IDENTIFIED BY '{password}' REQUIRE {require}; \
             GRANT ALL ON {name}.* TO {name}@'%'"
        ))?;
        Ok(Database {
            host: self.pod.host(),
            port: self.pod.port(),
            database: name.clone(),
            username: name,
            password,
            ca: self.tls.then(|| self.pod.ca().to_owned()),
        })
    }

    /// Gives a user another password; open connections stay.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn set_password(&self, username: &str, password: &str) -> Result<()> {
        self.sql(&format!("SET PASSWORD FOR {username}@'%' = PASSWORD('{password}')")).map(drop)
    }

    /// Ends every connection of a user, as a network fault or an administrator would.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn disconnect(&self, username: &str) -> Result<()> {
        self.sql(&format!("KILL CONNECTION USER {username}@'%'")).map(drop)
    }

    /// Runs statements as root and gives what they print: a line a row, tabs between columns.
    ///
    /// # Errors
    /// When the server refuses; the text is the server's.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let quoted = statements.replace('\'', r"'\''");
        self.pod.run(&format!(
            "MYSQL_PWD=$(cat /etc/portico/credentials/root-password) mariadb --no-defaults --user=root \
             --socket=/run/portico/mariadb.sock --batch --skip-column-names --raw --execute='{quoted}'"
        ))
    }
}

/// A database of one test, and the user who may do everything in it.
#[derive(Clone, Debug)]
pub struct Database {
    /// A loopback address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the database.
    pub database: String,
    /// User name.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// The CA (PEM) of the server's certificate, where TLS is wanted.
    pub ca: Option<String>,
}

impl Database {
    /// The connection as a URI.
    pub fn uri(&self) -> String {
        let password = self.password.replace(' ', "%20");
        format!("mysql://{}:{password}@{}:{}/{}", self.username, self.host, self.port, self.database)
    }

    /// Writes a Service Binding into `folder`: one file an entry.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_binding(&self, folder: &Path) -> Result<()> {
        let (port, uri) = (self.port.to_string(), self.uri());
        let entries = [
            ("type", "mysql"),
            ("provider", "test"),
            ("host", &self.host),
            ("port", &port),
            ("database", &self.database),
            ("username", &self.username),
            ("password", &self.password),
            ("uri", &uri),
        ];
        let ca = self.ca.as_deref().map(|ca| ("ca.crt", ca));
        write_entries(folder, &entries.into_iter().chain(ca).collect::<Vec<_>>())
    }
}
