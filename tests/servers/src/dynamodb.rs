//! A real DynamoDB Local on loopback, started by the very script of the builtin pod.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Context as _, Result};
use tokio::sync::OnceCell;

use crate::engine::{EngineRoot, await_ready, writable};
use crate::process::{Server, Workspace};
use crate::script::{relocate, status, write};

const START: &str = include_str!("../../../operator/backends/src/builtin/dynamodb/start.sh");
const OPTIONS: &str = include_str!("../../../operator/backends/src/builtin/dynamodb/java.options");
/// What the operator adds to the options: see `heap` there.
const HEAP: &str = "-Xmx128m\n";

/// Below the ports that the kernel gives to clients, and away from those of the other test servers.
const FIRST_PORT: u16 = 22_000;
const PORTS: u16 = 8_000;

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct DynamoDb {
    // The order matters: the server ends before its folder goes.
    server: Option<Server>,
    root: EngineRoot,
    workspace: Workspace,
    port: ClaimedPort,
}

impl DynamoDb {
    /// Starts a server without tables on a port of its own.
    ///
    /// # Errors
    /// When the engine is not unpacked, or the server does not start; the text holds the last lines of its log.
    pub async fn start() -> Result<Self> {
        let root = EngineRoot::find("dynamodb")?;
        let workspace = Workspace::new("dynamodb")?;
        writable(workspace.path())?;
        let mut dynamodb = Self { server: None, root, workspace, port: ClaimedPort::claim()? };
        dynamodb.write_files()?;
        dynamodb.resume().await?;
        Ok(dynamodb)
    }

    /// The one instance that the tests of this binary share.
    ///
    /// # Panics
    /// When it cannot be started: no test that wants it can go on.
    #[expect(clippy::panic, reason = "this is a test fixture, and a test fails by panicking")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<DynamoDb> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(server) => server,
            Err(error) => panic!("no DynamoDB Local: {error:#}"),
        }
    }

    /// Host of the port.
    pub fn host(&self) -> String {
        Ipv4Addr::LOCALHOST.to_string()
    }

    /// The port, the same after [`Self::stop`] and [`Self::resume`].
    pub const fn port(&self) -> u16 {
        self.port.number
    }

    /// Its URL. Any key of letters and digits, and any region, will do.
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.host(), self.port())
    }

    /// Kills the server as a crash would. Its data stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server again on the same data and port.
    ///
    /// # Errors
    /// When it does not start; the text holds the last lines of its log.
    pub async fn resume(&mut self) -> Result<()> {
        let folder = self.workspace.path();
        let mut command = self.root.server(folder, "/bin/sh");
        command.arg("/tmp/engine/start.sh");
        let server = Server::spawn("dynamodb", &command, folder)?;
        let address = (Ipv4Addr::LOCALHOST, self.port()).into();
        // It has nothing to show at /, but it says so.
        let ready = || Ok(status(address, "/") == Some(400));
        await_ready("DynamoDB Local", || server.check(), ready).await.with_context(|| server.tail())?;
        self.server = Some(server);
        Ok(())
    }

    /// The files that the operator mounts, under `/tmp` and with the port of the test.
    fn write_files(&self) -> Result<()> {
        let port = format!("-port {}", self.port());
        let start = relocate(
            START,
            &[
                (" /data/", " /tmp/data/"),
                ("=/tmp/dynamodb", "=/tmp/data/unpacked"),
                ("/etc/portico/", "/tmp/"),
                ("-port 8000", &port),
            ],
        )?;
        let options = format!("{OPTIONS}{HEAP}");
        write(&self.workspace.path().join("engine"), &[("start.sh", &start), ("java.options", &options)])
    }
}

/// A port that no other test server on this machine takes while this lives. DynamoDB Local listens on every address, so
/// an address of its own would not do.
#[derive(Debug)]
struct ClaimedPort {
    number: u16,
    _claim: UdpSocket,
}

impl ClaimedPort {
    /// Takes the first free one, beginning at one that follows from the process number.
    fn claim() -> Result<Self> {
        let first = u16::try_from(std::process::id() % u32::from(PORTS))?;
        let numbers = (0..PORTS).map(|step| FIRST_PORT + (first + step) % PORTS);
        // The UDP port of the same number, which nobody uses, is the claim: the kernel lets one process have it.
        let claims = numbers.filter_map(|number| {
            let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok();
            free.then_some(Self { number, _claim: claim })
        });
        { claims }.next().context("no free port")
    }
}
