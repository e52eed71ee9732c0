//! A real Garage on loopback, started by the very script of the builtin pod.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;

use crate::engine::{EngineRoot, Loopback, PORT, await_ready, writable};
use crate::process::{Server, Workspace};
use crate::script::{relocate, status, write};

/// The region that the builtin store has.
pub const REGION: &str = "garage";
const ADMIN_PORT: u16 = PORT + 2;
const RPC_PORT: u16 = PORT + 3;
const ADMIN_TOKEN: &str = "admin-token-of-a-test-server";
const RPC_SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

const START: &str = include_str!("../../../operator/backends/src/builtin/garage/start.sh");
const CONFIGURATION: &str = include_str!("../../../operator/backends/src/builtin/garage/garage.toml");

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Garage {
    // The order matters: the server ends before its folder goes.
    server: Option<Server>,
    root: EngineRoot,
    workspace: Workspace,
    loopback: Loopback,
}

/// A bucket and a key that may read and write it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Name of the bucket.
    pub name: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
}

impl Garage {
    /// Starts a server without buckets and keys on a loopback address of its own.
    ///
    /// # Errors
    /// When the engine is not unpacked, or the server does not start; the text holds the last lines of its log.
    pub async fn start() -> Result<Self> {
        let root = EngineRoot::find("garage")?;
        let workspace = Workspace::new("garage")?;
        writable(workspace.path())?;
        let mut garage = Self { server: None, root, workspace, loopback: Loopback::claim()? };
        garage.write_files()?;
        garage.resume().await?;
        Ok(garage)
    }

    /// The one instance that the tests of this binary share.
    ///
    /// # Panics
    /// When it cannot be started: no test that wants it can go on.
    #[expect(clippy::panic, reason = "this is a test fixture, and a test fails by panicking")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Garage> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(server) => server,
            Err(error) => panic!("no Garage: {error:#}"),
        }
    }

    /// Host of all ports, the same after [`Self::stop`] and [`Self::resume`].
    pub fn host(&self) -> String {
        self.loopback.address.to_string()
    }

    /// Port of S3.
    pub const fn port(&self) -> u16 {
        PORT
    }

    /// Port of the admin API.
    pub const fn admin_port(&self) -> u16 {
        ADMIN_PORT
    }

    /// Token of the admin API.
    pub const fn admin_token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// URL of S3. Buckets are the first part of paths.
    pub fn endpoint(&self) -> String {
        format!("http://{}:{PORT}", self.loopback.address)
    }

    /// Makes a bucket, and a key for it alone.
    ///
    /// # Errors
    /// When the server refuses, for example because there is a bucket of that name.
    pub fn make_bucket(&self, name: &str) -> Result<Bucket> {
        self.command(&["bucket", "create", name])?;
        let key = self.command(&["json-api", "CreateKey", &format!(r#"{{"name":"{name}"}}"#)])?;
        let key: serde_json::Value = serde_json::from_str(&key).context("the answer to CreateKey")?;
        let member = |member| key.get(member).and_then(serde_json::Value::as_str).map(str::to_owned);
        let access_key_id = member("accessKeyId").context("a key without an id")?;
        let secret_access_key = member("secretAccessKey").context("a key without a secret")?;
        self.command(&["bucket", "allow", "--read", "--write", name, "--key", &access_key_id])?;
        Ok(Bucket { name: name.to_owned(), access_key_id, secret_access_key })
    }

    /// Runs a command of Garage's own client, and gives what it prints.
    ///
    /// # Errors
    /// When the server refuses; the text is the server's.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        let key = std::fs::read(self.workspace.path().join("data/garage/meta/node_key.pub"))?;
        let id = hex(&key);
        let host = format!("{id}@{}:{RPC_PORT}", self.loopback.address);
        let environment = [("GARAGE_RPC_HOST", host.as_str()), ("GARAGE_RPC_SECRET", RPC_SECRET)];
        let output = self.root.run("/usr/bin/garage", &environment, arguments)?;
        if !output.status.success() {
            bail!("garage {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Kills the server as a crash would. Its data stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Cuts the stopped server's own key short, as a power failure right after the first start may.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn lose_key(&self) -> Result<()> {
        Ok(std::fs::write(self.workspace.path().join("data/garage/meta/node_key"), [])?)
    }

    /// Starts the server again on the same data and address.
    ///
    /// # Errors
    /// When it does not start; the text holds the last lines of its log.
    pub async fn resume(&mut self) -> Result<()> {
        let folder = self.workspace.path();
        let mut command = self.root.server(folder, "/bin/sh");
        command.arg("/tmp/engine/start.sh");
        let server = Server::spawn("garage", &command, folder)?;
        let admin = (self.loopback.address, ADMIN_PORT).into();
        let s3 = (self.loopback.address, PORT).into();
        let ready = || Ok(status(admin, "/health") == Some(200) && status(s3, "/").is_some());
        await_ready("Garage", || server.check(), ready).await.with_context(|| server.tail())?;
        self.server = Some(server);
        Ok(())
    }

    /// The files that the operator mounts, under `/tmp` and with ports of the test.
    fn write_files(&self) -> Result<()> {
        let folder = self.workspace.path();
        let bound = |port: u16| format!("{}:{port}", self.loopback.address);
        let configuration = relocate(
            CONFIGURATION,
            &[
                ("\"/data/", "\"/tmp/data/"),
                ("/etc/portico/", "/tmp/"),
                ("127.0.0.1:3901", &bound(RPC_PORT)),
                ("[::]:3900", &bound(PORT)),
                ("[::]:3903", &bound(ADMIN_PORT)),
            ],
        )?;
        let start =
            relocate(START, &[("=/data/", "=/tmp/data/"), (" /data/", " /tmp/data/"), ("/etc/portico/", "/tmp/")])?;
        write(&folder.join("engine"), &[("start.sh", &start), ("garage.toml", &configuration)])?;
        write(&folder.join("credentials"), &[("rpc-secret", RPC_SECRET), ("admin-token", ADMIN_TOKEN)])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
