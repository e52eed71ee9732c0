//! A real PostgreSQL on loopback, with a database and a user of its own for each test.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;

use crate::engine::{EngineRoot, Loopback, PORT, await_ready, writable};
use crate::managed::{Managed, Spec};
use crate::process::{Server, Workspace};

const PROGRAMS: &str = "/usr/lib/postgresql/17/bin";
const SUPERUSER_PASSWORD: &str = "superuser of a test server";

/// The pod of the operator's own servers.
const BUILTIN: Spec = Spec {
    engine: "postgresql",
    port: 5432,
    files: &[
        ("start.sh", include_str!("../../../operator/backends/src/builtin/postgresql/start.sh")),
        ("ready.sh", include_str!("../../../operator/backends/src/builtin/postgresql/ready.sh")),
        ("alive.sh", include_str!("../../../operator/backends/src/builtin/postgresql/alive.sh")),
        ("shared.sh", include_str!("../../../operator/backends/src/builtin/postgresql/shared.sh")),
        ("postgresql.conf", include_str!("../../../operator/backends/src/builtin/postgresql/postgresql.conf")),
        ("pg_hba.conf", include_str!("../../../operator/backends/src/builtin/postgresql/pg_hba.conf")),
        ("parameters.conf", "fsync = off\n"),
    ],
    listen: ["listen_addresses = '", "*", "'"],
    passwords: &["superuser-password", "admin-password", "replication-password"],
};

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Postgres {
    // The order matters: the server ends before its folder goes.
    server: Option<Server>,
    root: EngineRoot,
    workspace: Workspace,
    loopback: Loopback,
}

impl Postgres {
    /// Makes a new data folder and starts a server on a loopback address of its own.
    ///
    /// # Errors
    /// When the engine is not unpacked, or the server does not start; the text holds the last lines of its log.
    pub async fn start() -> Result<Self> {
        let root = EngineRoot::find("postgresql")?;
        let workspace = Workspace::new("postgresql")?;
        let mut postgres = Self { server: None, root, workspace, loopback: Loopback::claim()? };
        postgres.make_data()?;
        postgres.resume().await?;
        Ok(postgres)
    }

    /// Starts a server as the operator's script does: with TLS, the operator's roles and nothing else.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_managed() -> Result<Managed> {
        Managed::start(&BUILTIN).await
    }

    /// The one instance that the tests of this binary share; each takes a [`Database`] of its own.
    ///
    /// # Panics
    /// When it cannot be started: no test that wants it can go on.
    #[expect(clippy::panic, reason = "this is a test fixture, and a test fails by panicking")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(server) => server,
            Err(error) => panic!("no PostgreSQL: {error:#}"),
        }
    }

    /// Makes an empty database that belongs to a new user.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self) -> Result<Database> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let password = format!("password of {name}");
        self.sql(&format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"))?;
        self.sql(&format!("CREATE DATABASE {name} OWNER {name}"))?;
        Ok(Database {
            host: self.loopback.address.to_string(),
            port: PORT,
            database: name.clone(),
            username: name,
            password,
        })
    }

    /// Gives a user another password; open connections stay.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn set_password(&self, username: &str, password: &str) -> Result<()> {
        self.sql(&format!("ALTER ROLE {username} PASSWORD '{password}'")).map(drop)
    }

    /// Ends every connection of a database, as a network fault or an administrator would.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn disconnect(&self, database: &str) -> Result<()> {
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
        self.sql(&sql).map(drop)
    }

    /// Runs one statement as the superuser and gives what it prints.
    ///
    /// # Errors
    /// When the server refuses; the text is the server's.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let (host, port) = self.address();
        let arguments =
            ["-X", "-A", "-t", "-q", "-h", &host, "-p", &port, "-U", "postgres", "-d", "postgres", "-c", statement];
        let output = self.root.run(&format!("{PROGRAMS}/psql"), &[("PGPASSWORD", SUPERUSER_PASSWORD)], &arguments)?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Kills the server as a crash would. Its data stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server again on the same data and address.
    ///
    /// # Errors
    /// When it does not start; the text holds the last lines of its log.
    pub async fn resume(&mut self) -> Result<()> {
        let folder = self.workspace.path();
        drop(std::fs::remove_file(folder.join("data/postmaster.pid")));
        let mut command = self.root.server(folder, &format!("{PROGRAMS}/postgres"));
        let (host, port) = self.address();
        command.args(["-D", "/tmp/data", "-k", "", "-h", &host, "-p", &port]);
        command.args(["-c", "fsync=off", "-c", "max_connections=200"]);
        let server = Server::spawn("postgresql", &command, folder)?;
        let arguments = ["-q", "-h", &host, "-p", &port];
        await_ready(
            "PostgreSQL",
            || server.check(),
            || Ok(self.root.run(&format!("{PROGRAMS}/pg_isready"), &[], &arguments)?.status.success()),
        )
        .await
        .with_context(|| server.tail())?;
        self.server = Some(server);
        Ok(())
    }

    /// Host and port, the same after [`Self::stop`] and [`Self::resume`].
    fn address(&self) -> (String, String) {
        (self.loopback.address.to_string(), PORT.to_string())
    }

    fn make_data(&self) -> Result<()> {
        let folder = self.workspace.path();
        writable(folder)?;
        std::fs::write(folder.join("password"), SUPERUSER_PASSWORD)?;
        let mut command: Command = self.root.server(folder, &format!("{PROGRAMS}/initdb"));
        command.args(["-D", "/tmp/data", "-U", "postgres", "--pwfile=/tmp/password", "--auth=scram-sha-256"]);
        command.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
        let output = command.output().context("cannot run initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// A database of one test, and the user that owns it.
#[derive(Clone, Debug)]
pub struct Database {
    /// A loopback address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the database.
    pub database: String,
    /// Owner of the database.
    pub username: String,
    /// The owner's password.
    pub password: String,
}

impl Database {
    /// The connection as a URI.
    pub fn uri(&self) -> String {
        let password = self.password.replace(' ', "%20");
        format!("postgresql://{}:{password}@{}:{}/{}", self.username, self.host, self.port, self.database)
    }

    /// Writes a Service Binding into `folder`: one file an entry.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_binding(&self, folder: &Path) -> Result<()> {
        let port = self.port.to_string();
        let entries = [
            ("type", "postgresql"),
            ("provider", "test"),
            ("host", &self.host),
            ("port", &port),
            ("database", &self.database),
            ("username", &self.username),
            ("password", &self.password),
            ("uri", &self.uri()),
        ];
        write_entries(folder, &entries)
    }
}

/// Writes one file an entry into `folder`, which is made.
pub(crate) fn write_entries(folder: &Path, entries: &[(&str, &str)]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, content) in entries {
        std::fs::write(folder.join(name), content)?;
    }
    Ok(())
}
