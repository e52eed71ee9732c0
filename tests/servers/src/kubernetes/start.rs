//! Starts etcd and the API server and waits until `/readyz` answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::config::Kubeconfig;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

use super::ApiServer;
use super::certificates::Certificates;
use crate::process::{Server, Workspace, cache_folder, program};

/// Ready takes about 3 s on two idle cores; the rest is room for a machine that also compiles.
const DEADLINE: Duration = Duration::from_mins(1);
/// Between two looks at `/readyz`: there is nothing to watch before the server serves.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn start() -> Result<ApiServer> {
    // Only the first call of a process can set it; any later one finds the same provider.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let binaries = binaries();
    let etcd_program = program(&binaries, "etcd")?;
    let api_program = program(&binaries, "kube-apiserver")?;

    let workspace = Workspace::new("apiserver")?;
    let folder = workspace.path();
    let certificates = Certificates::write(folder)?;
    let (client_port, peer_port, api_port) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
    let etcd = Server::spawn("etcd", &etcd_command(&etcd_program, folder, &client_port, &peer_port), folder)?;
    let command = api_command(&api_program, folder, &certificates, &client_port, &api_port)?;
    let api_server = Server::spawn("kube-apiserver", &command, folder)?;
    let kubeconfig = write_kubeconfig(folder, &certificates, &api_port)?;

    let server = ApiServer { api: api_server, etcd, kubeconfig, workspace };
    await_ready(&server).await?;
    Ok(server)
}

/// `$PORTICO_KUBERNETES_BIN`, else what `cargo xtask setup` built.
fn binaries() -> PathBuf {
    std::env::var_os("PORTICO_KUBERNETES_BIN").map_or_else(|| cache_folder().join("kubernetes/current"), PathBuf::from)
}

/// A free loopback port that nobody else can take until the server has it: this process keeps it bound, and the server
/// binds it a second time with `SO_REUSEPORT`. Only listening sockets get connections, and this one never listens.
struct Port {
    _held: TcpSocket,
    address: SocketAddr,
}

impl Port {
    fn reserve() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("no free loopback port")?;
        let address = socket.local_addr()?;
        Ok(Self { _held: socket, address })
    }
}

fn etcd_command(program: &Path, folder: &Path, client: &Port, peer: &Port) -> Command {
    let (client, peer) = (format!("http://{}", client.address), format!("http://{}", peer.address));
    let mut command = Command::new(program);
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--name", "test", "--unsafe-no-fsync", "--socket-reuse-port", "--log-level", "warn"])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("test={peer}")]);
    command
}

fn api_command(program: &Path, folder: &Path, certs: &Certificates, etcd: &Port, api: &Port) -> Result<Command> {
    let policy = folder.join("audit-policy.json");
    let rules = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
        "rules": [{"level": "Metadata"}],
    });
    std::fs::write(&policy, rules.to_string())?;
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let mut command = Command::new(program);
    command
        .arg(format!("--etcd-servers=http://{}", etcd.address))
        .arg(format!("--secure-port={}", api.address.port()))
        .args(["--bind-address=127.0.0.1", "--permit-port-sharing=true", "--endpoint-reconciler-type=none"])
        .arg(file("tls-cert-file", &certs.server))
        .arg(file("tls-private-key-file", &certs.server_key))
        .arg(file("client-ca-file", &certs.ca))
        .arg(file("service-account-key-file", &certs.tokens_public))
        .arg(file("service-account-signing-key-file", &certs.tokens_key))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .args(["--authorization-mode=RBAC", "--allow-privileged=true", "--service-cluster-ip-range=10.96.0.0/16"])
        // Nothing here makes the `default` service account of a namespace, and pods would be refused without it.
        .arg("--disable-admission-plugins=ServiceAccount")
        .args(["--profiling=false", "--enable-priority-and-fairness=false"])
        .arg(file("audit-policy-file", &policy))
        .arg(file("audit-log-path", &folder.join("audit.log")))
        .arg("--audit-log-mode=blocking");
    Ok(command)
}

/// Written as JSON, which every YAML reader takes.
fn write_kubeconfig(folder: &Path, certs: &Certificates, api: &Port) -> Result<Kubeconfig> {
    let value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://{}", api.address), "certificate-authority": certs.ca,
        }}],
        "users": [{"name": "admin", "user": {"client-certificate": certs.admin, "client-key": certs.admin_key}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    });
    std::fs::write(folder.join("kubeconfig"), value.to_string())?;
    Ok(serde_json::from_value(value)?)
}

async fn await_ready(server: &ApiServer) -> Result<()> {
    let client = server.client().await?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        server.etcd.check()?;
        server.api.check()?;
        let answer = client.request_text(http::Request::get("/readyz").body(Vec::new())?).await;
        match answer {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                bail!("the API server is not ready after {DEADLINE:?}: {error}\n{}", server.tails())
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}
