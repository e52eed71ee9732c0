//! A real RabbitMQ on loopback, started by the very script of the builtin pod, with TLS only.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::sync::OnceCell;

use crate::authority::Authority;
use crate::engine::{EngineRoot, Loopback, await_ready, writable};
use crate::postgres::write_entries;
use crate::process::{Server, Workspace};
use crate::script::{relocate, write};

/// The user that administers the broker.
pub const ADMIN: &str = "portico_admin";
const PASSWORD: &str = "password-of-a-test-server";
const COOKIE: &str = "cookieofatestserver";
const PORT: u16 = 5671;
const ADMIN_PORT: u16 = 15_671;
/// The user of the image.
const USER: u32 = 999;
const TIMEOUT: Duration = Duration::from_secs(1);

const START: &str = include_str!("../../../operator/backends/src/builtin/rabbitmq/start.sh");
const ENVIRONMENT: &str = include_str!("../../../operator/backends/src/builtin/rabbitmq/env.sh");
const CONFIGURATION: &str = include_str!("../../../operator/backends/src/builtin/rabbitmq/rabbitmq.conf");
const NAMES: &str = include_str!("../../../operator/backends/src/builtin/rabbitmq/names.escript");
const PLUGINS: &str = include_str!("../../../operator/backends/src/builtin/rabbitmq/enabled_plugins");

/// A running broker without virtual hosts, and with no user but [`ADMIN`]. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct RabbitMq {
    // The order matters: the server ends before its folder goes.
    server: Option<Server>,
    root: EngineRoot,
    workspace: Workspace,
    loopback: Loopback,
    authority: Authority,
}

impl RabbitMq {
    /// Starts a broker on a loopback address of its own.
    ///
    /// # Errors
    /// When the engine is not unpacked, or the server does not start; the text holds the last lines of its log.
    pub async fn start() -> Result<Self> {
        let root = EngineRoot::find("rabbitmq")?;
        let workspace = Workspace::new("rabbitmq")?;
        writable(workspace.path())?;
        let authority = Authority::new()?;
        let mut broker = Self { server: None, root, workspace, loopback: Loopback::claim()?, authority };
        broker.write_files()?;
        broker.set_admin_password(PASSWORD)?;
        broker.renew_certificate()?;
        broker.resume().await?;
        Ok(broker)
    }

    /// The one instance that the tests of this binary share.
    ///
    /// # Panics
    /// When it cannot be started: no test that wants it can go on.
    #[expect(clippy::panic, reason = "this is a test fixture, and a test fails by panicking")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<RabbitMq> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(server) => server,
            Err(error) => panic!("no RabbitMQ: {error:#}"),
        }
    }

    /// Host of both ports, the same after [`Self::stop`] and [`Self::resume`]. The certificate carries it.
    pub fn host(&self) -> String {
        self.loopback.address.to_string()
    }

    /// Port of AMQP with TLS.
    pub const fn port(&self) -> u16 {
        PORT
    }

    /// Port of the HTTP API with TLS.
    pub const fn admin_port(&self) -> u16 {
        ADMIN_PORT
    }

    /// Password of [`ADMIN`] at the first start.
    pub const fn admin_password(&self) -> &'static str {
        PASSWORD
    }

    /// The certificate (PEM) that the broker's is signed by.
    pub fn ca(&self) -> &str {
        self.authority.ca()
    }

    /// Gives [`ADMIN`] another password, at the next start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_admin_password(&self, password: &str) -> Result<()> {
        let folder = self.workspace.path().join("credentials");
        write(&folder, &[("admin-password", password), ("erlang-cookie", COOKIE)])
    }

    /// Puts a new certificate of the same CA where the broker reads it, and gives it (PEM).
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn renew_certificate(&self) -> Result<String> {
        let (certificate, key) = self.authority.issue(&self.host())?;
        // Another folder, then a link to it: so does the kubelet, and no reader sees half of a pair.
        let folder = tempfile::Builder::new().prefix("tls-").tempdir_in(self.workspace.path())?.keep();
        let files = [("tls.crt", certificate.as_str()), ("tls.key", &key), ("ca.crt", self.ca())];
        write(&folder, &files)?;
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let (link, new) = (self.workspace.path().join("tls"), self.workspace.path().join("tls.new"));
        std::os::unix::fs::symlink(folder.file_name().context("a folder without a name")?, &new)?;
        std::fs::rename(new, link)?;
        Ok(certificate)
    }

    /// Kills the broker as a crash would. Its data stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the broker again on the same data and address.
    ///
    /// # Errors
    /// When it does not start; the text holds the last lines of its log.
    pub async fn resume(&mut self) -> Result<()> {
        let folder = self.workspace.path();
        let mut command = self.root.server(folder, "/bin/sh");
        command.arg("/tmp/engine/start.sh");
        let server = Server::spawn("rabbitmq", &command, folder)?;
        let ready = || Ok(self.handshake().is_ok());
        await_ready("RabbitMQ", || server.check(), ready).await.with_context(|| server.tail())?;
        self.server = Some(server);
        Ok(())
    }

    /// TLS on the port of AMQP, the last that opens. It takes connections a moment before it can serve them.
    fn handshake(&self) -> Result<()> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca().as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let address = SocketAddr::from((self.loopback.address, PORT));
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut client = ClientConnection::new(config, ServerName::from(address.ip()))?;
        while client.is_handshaking() {
            client.complete_io(&mut stream)?;
        }
        // Without it the broker notes a client that vanished.
        client.send_close_notify();
        client.complete_io(&mut stream).map(drop).map_err(Into::into)
    }

    /// Writes a Service Binding for `login` (user and password) in `vhost` into `folder`: one file an entry.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_binding(&self, folder: &Path, vhost: &str, login: (&str, &str)) -> Result<()> {
        let (host, (user, password)) = (self.host(), login);
        let uri = format!("amqps://{user}:{password}@{host}:{PORT}/{vhost}");
        let entries = [
            ("type", "rabbitmq"),
            ("provider", "test"),
            ("host", &host),
            ("port", &PORT.to_string()),
            ("username", user),
            ("password", password),
            ("virtual-host", vhost),
            ("uri", &uri),
            ("ca.crt", self.ca()),
        ];
        write_entries(folder, &entries)
    }

    /// The files that the operator mounts, under `/tmp` and with the address of the test.
    fn write_files(&self) -> Result<()> {
        let (folder, host) = (self.workspace.path(), self.host());
        let scratch = folder.join("run");
        std::fs::create_dir_all(&scratch)?;
        chown(&scratch, Some(USER), Some(USER))?;
        let (mounts, scratch, data) =
            (("/etc/portico/", "/tmp/"), ("/run/portico", "/tmp/run"), ("/data/", "/tmp/data/"));
        let (address, api) = (format!("= {host}:{PORT}"), format!("{host}\nmanagement.ssl.port"));
        let start = relocate(START, &[mounts, data])?;
        let environment = relocate(
            ENVIRONMENT,
            &[mounts, scratch, data, ("node_address=127.0.0.1", &format!("node_address={host}"))],
        )?;
        let listeners = [("= 5671", address.as_str()), ("management.ssl.port", &format!("management.ssl.ip = {api}"))];
        let configuration = relocate(CONFIGURATION, &[&[mounts, scratch], listeners.as_slice()].concat())?;
        let files = [
            ("start.sh", start.as_str()),
            ("env.sh", &environment),
            ("rabbitmq.conf", &configuration),
            ("names.escript", NAMES),
            ("enabled_plugins", PLUGINS),
        ];
        write(&folder.join("engine"), &files)
    }
}
