//! The operator as a process, against a real API server: it leads, answers, stops cleanly, and ends when its lease is
//! stolen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portico_test_servers::kubernetes::ApiServer;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_mins(1);

/// What the idle operator may hold in memory, in an unoptimised build.
const MEBIBYTES: u64 = 48;

struct Operator {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    leases: Api<Lease>,
}

impl Operator {
    async fn start(test: &str) -> Self {
        let server = ApiServer::shared().await;
        let client = server.client().await.unwrap();
        install_crds(&client).await;
        let namespace = server.namespace(test).await.unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_portico-operator"))
            .env("KUBECONFIG", server.kubeconfig())
            .args(["--namespace", &namespace, "--pod-name", "pod-1", "--log-format", "json"])
            .args(["--http-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log, leases: Api::namespaced(client, &namespace) }
    }

    /// The next line of the log with this message.
    async fn logged(&mut self, message: &str) -> Value {
        let found = async {
            loop {
                let line = self.log.next_line().await.unwrap().expect("the log goes on");
                let line: Value = serde_json::from_str(&line).expect("a line of JSON");
                if line["message"].as_str().is_some_and(|found| found.contains(message)) {
                    return line;
                }
            }
        };
        timeout(SOON, found).await.unwrap_or_else(|_| panic!("never logged: {message}"))
    }

    async fn until_holder(&self, holder: &str) {
        let held = |lease: Option<&Lease>| {
            lease.and_then(|lease| lease.spec.as_ref()?.holder_identity.clone()).is_some_and(|found| found == holder)
        };
        timeout(SOON, await_condition(self.leases.clone(), "portico-operator", held)).await.unwrap().unwrap();
    }

    async fn end(&mut self) -> ExitStatus {
        timeout(SOON, self.child.wait()).await.expect("the operator does not end").unwrap()
    }
}

async fn install_crds(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in portico_crds::all() {
        let params = PatchParams::apply("test").force();
        api.patch(&definition.name_any(), &params, &Patch::Apply(&definition)).await.unwrap();
    }
}

/// The resident memory of a process.
fn resident_mebibytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes / 1024
}

/// The whole answer to a plain GET.
async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn leads_answers_and_stops_cleanly() {
    let mut operator = Operator::start("process-stop").await;
    let http = operator.logged("listening").await["address"].as_str().unwrap().to_owned();
    let metrics = operator.logged("listening").await["address"].as_str().unwrap().to_owned();
    operator.until_holder("pod-1").await;
    for _ in portico_crds::all() {
        operator.logged("running").await;
    }
    assert!(get(&http, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(&http, "/readyz").await.starts_with("HTTP/1.1 200"));
    let text = get(&metrics, "/metrics").await;
    assert!(text.contains(r#"leader_election_master_status{name="portico-operator"} 1"#), "{text}");
    assert!(text.contains(r#"portico_resources{kind="AuthService",ready="True"} 0"#), "{text}");

    let pid = i32::try_from(operator.child.id().unwrap()).unwrap();
    let resident = resident_mebibytes(pid);
    assert!(resident <= MEBIBYTES, "{resident} MiB are resident while nothing happens");
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    assert!(operator.end().await.success());
    operator.until_holder("").await;
}

#[tokio::test]
async fn ends_when_its_lease_is_stolen() {
    let mut operator = Operator::start("process-stolen").await;
    operator.until_holder("pod-1").await;
    let theft = Patch::Merge(json!({ "spec": { "holderIdentity": "thief" } }));
    operator.leases.patch("portico-operator", &PatchParams::default(), &theft).await.unwrap();
    operator.logged("was taken by thief").await;
    assert_eq!(operator.end().await.code(), Some(1));
    operator.until_holder("thief").await;
}

#[tokio::test]
async fn prints_the_definitions() {
    let output = Command::new(env!("CARGO_BIN_EXE_portico-operator")).arg("crds").output().await.unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("kind: CustomResourceDefinition").count(), portico_crds::all().len());
    assert!(text.contains("name: authservices.portico.dev"), "{text}");
}
