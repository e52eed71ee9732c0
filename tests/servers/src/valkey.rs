//! A real Valkey on loopback, with the same users as the one that the operator runs.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;

use crate::engine::{EngineRoot, Loopback, PORT, await_ready, writable};
use crate::managed::{Managed, Spec};
use crate::postgres::write_entries;
use crate::process::{Server, Workspace};

const USERNAME: &str = "app";
const PASSWORD: &str = "password-of-a-test-server";
const ADMIN: &str = "admin-of-a-test-server";

/// The pod of the operator's own servers.
const BUILTIN: Spec = Spec {
    engine: "valkey",
    port: 6379,
    files: &[
        ("start.sh", include_str!("../../../operator/backends/src/builtin/valkey/start.sh")),
        ("ready.sh", include_str!("../../../operator/backends/src/builtin/valkey/ready.sh")),
        ("alive.sh", include_str!("../../../operator/backends/src/builtin/valkey/alive.sh")),
        ("shared.sh", include_str!("../../../operator/backends/src/builtin/valkey/shared.sh")),
        ("valkey.conf", include_str!("../../../operator/backends/src/builtin/valkey/valkey.conf")),
    ],
    listen: ["bind ", "* -::*", "\n"],
    passwords: &["admin-password", "replication-password"],
};

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Valkey {
    // The order matters: the server ends before its folder goes.
    server: Option<Server>,
    root: EngineRoot,
    workspace: Workspace,
    loopback: Loopback,
}

impl Valkey {
    /// Starts a server with an append-only file on a loopback address of its own.
    ///
    /// # Errors
    /// When the engine is not unpacked, or the server does not start; the text holds the last lines of its log.
    pub async fn start() -> Result<Self> {
        let root = EngineRoot::find("valkey")?;
        let workspace = Workspace::new("valkey")?;
        writable(workspace.path())?;
        write_users(workspace.path(), PASSWORD)?;
        let mut valkey = Self { server: None, root, workspace, loopback: Loopback::claim()? };
        valkey.resume().await?;
        Ok(valkey)
    }

    /// Starts a server as the operator's script does: with TLS, the operator's users and nothing else.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_managed() -> Result<Managed> {
        Managed::start(&BUILTIN).await
    }

    /// The one instance that the tests of this binary share.
    ///
    /// # Panics
    /// When it cannot be started: no test that wants it can go on.
    #[expect(clippy::panic, reason = "this is a test fixture, and a test fails by panicking")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Valkey> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(server) => server,
            Err(error) => panic!("no Valkey: {error:#}"),
        }
    }

    /// The connection as a URI.
    pub fn uri(&self) -> String {
        format!("redis://{USERNAME}:{PASSWORD}@{}:{PORT}/0", self.loopback.address)
    }

    /// Runs a command as a user who may do everything, and gives what the client prints.
    ///
    /// # Errors
    /// When the server refuses; the text is the server's.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        let (host, port) = self.address();
        let all = [&["-e", "-h", &host, "-p", &port, "--user", "admin"], arguments].concat();
        let output =
            self.root.run("/usr/bin/valkey-cli", &[("VALKEYCLI_AUTH", ADMIN), ("REDISCLI_AUTH", ADMIN)], &all)?;
        if !output.status.success() {
            bail!("valkey-cli {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Gives the user `app` another password and ends its connections.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn set_password(&self, password: &str) -> Result<()> {
        write_users(self.workspace.path(), password)?;
        self.command(&["ACL", "LOAD"])?;
        self.command(&["CLIENT", "KILL", "USER", USERNAME]).map(drop)
    }

    /// Host and port, the same after [`Self::stop`] and [`Self::resume`].
    fn address(&self) -> (String, String) {
        (self.loopback.address.to_string(), PORT.to_string())
    }

    /// Kills the server as a crash would. Its append-only file stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server again on the same data and address.
    ///
    /// # Errors
    /// When it does not start; the text holds the last lines of its log.
    pub async fn resume(&mut self) -> Result<()> {
        let folder = self.workspace.path();
        let (host, port) = self.address();
        let mut command = self.root.server(folder, "/usr/bin/valkey-server");
        command.args(["--port", &port, "--bind", &host, "--dir", "/tmp/data", "--appendonly", "yes"]);
        command.args(["--save", "", "--aclfile", "/tmp/users.acl"]);
        let server = Server::spawn("valkey", &command, folder)?;
        let password = [("VALKEYCLI_AUTH", ADMIN), ("REDISCLI_AUTH", ADMIN)];
        let ping = ["-h", &host, "-p", &port, "--user", "admin", "ping"];
        await_ready(
            "Valkey",
            || server.check(),
            || Ok(self.root.run("/usr/bin/valkey-cli", &password, &ping)?.stdout.starts_with(b"PONG")),
        )
        .await
        .with_context(|| server.tail())?;
        self.server = Some(server);
        Ok(())
    }

    /// Writes a Service Binding into `folder`: one file an entry.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_binding(&self, folder: &Path) -> Result<()> {
        let ((host, port), uri) = (self.address(), self.uri());
        let entries = [
            ("type", "redis"),
            ("provider", "test"),
            ("host", &host),
            ("port", &port),
            ("username", USERNAME),
            ("password", PASSWORD),
            ("uri", &uri),
        ];
        write_entries(folder, &entries)
    }
}

/// The users that the operator makes, and one who may do everything, for the tests' own hands.
fn write_users(folder: &Path, password: &str) -> Result<()> {
    let users = format!(
        "user default off resetchannels -@all\nuser {USERNAME} on >{password} ~* &* +@all -@admin -@dangerous +info\n\
         user admin on >{ADMIN} ~* &* +@all\n"
    );
    Ok(std::fs::write(folder.join("users.acl"), users)?)
}
