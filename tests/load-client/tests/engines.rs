//! The program, as a process, with real engines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use portico_test_servers::garage::{self, Garage};
use portico_test_servers::postgres::{Database, Postgres};
use portico_test_servers::rabbitmq::RabbitMq;
use portico_test_servers::valkey::Valkey;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portico-load-client");
const PATIENCE: Duration = Duration::from_secs(30);

async fn client(folder: &Path, task: &str, more: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg(task).arg("--binding").arg(folder).args(more);
    tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

async fn succeeds(folder: &Path, task: &str, more: &[&str]) -> String {
    let output = client(folder, task, more).await;
    assert!(output.status.success(), "{task} {more:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn fails(folder: &Path, task: &str, more: &[&str]) -> String {
    let output = client(folder, task, more).await;
    assert!(!output.status.success(), "{task} {more:?} succeeds");
    String::from_utf8(output.stderr).unwrap()
}

/// All that a consumer may do, and a login that is refused; `password` is the file with the secret.
async fn serves(folder: &Path, password: &str) {
    succeeds(folder, "once", &[]).await;
    succeeds(folder, "write", &["--key", "treasure", "--value", "gold"]).await;
    for _ in 0..2 {
        assert_eq!(succeeds(folder, "read", &["--key", "treasure"]).await, "gold");
    }
    let nothing = fails(folder, "read", &["--key", "nothing"]).await;
    assert!(nothing.contains("there is nothing called nothing"), "{nothing}");
    fs::write(folder.join(password), "incorrect").unwrap();
    let refused = fails(folder, "once", &[]).await;
    assert!(refused.contains("refused: ") && !refused.contains("incorrect"), "{refused}");
}

#[tokio::test]
async fn postgresql() {
    let folder = tempfile::tempdir().unwrap();
    Postgres::shared().await.database().unwrap().write_binding(folder.path()).unwrap();
    serves(folder.path(), "password").await;
}

#[tokio::test]
async fn valkey() {
    let folder = tempfile::tempdir().unwrap();
    Valkey::shared().await.write_binding(folder.path()).unwrap();
    serves(folder.path(), "password").await;
}

#[tokio::test]
async fn s3() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Garage::shared().await);
    let bucket = store.make_bucket("load").unwrap();
    let (host, port) = (store.host(), store.port().to_string());
    let entries = [
        ("type", "s3"),
        ("host", &host),
        ("port", &port),
        ("bucket", &bucket.name),
        ("region", garage::REGION),
        ("access-key-id", &bucket.access_key_id),
        ("secret-access-key", &bucket.secret_access_key),
    ];
    for (key, value) in entries {
        fs::write(folder.path().join(key), value).unwrap();
    }
    serves(folder.path(), "secret-access-key").await;
}

#[tokio::test]
async fn rabbitmq_with_tls() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), RabbitMq::shared().await);
    broker.write_binding(folder.path(), "/", ("portico_admin", broker.admin_password())).unwrap();
    let served = succeeds(folder.path(), "certificate", &[]).await;
    assert!(served.starts_with("MII"), "{served}");
    // The administrator has no virtual host; who makes one is tested elsewhere.
    let refused = fails(folder.path(), "once", &[]).await;
    assert!(refused.contains("refused: NOT_ALLOWED"), "{refused}");
    fs::write(folder.path().join("password"), "incorrect").unwrap();
    let refused = fails(folder.path(), "once", &[]).await;
    assert!(refused.contains("refused: ACCESS_REFUSED"), "{refused}");
}

#[tokio::test]
async fn postgresql_serves_a_certificate_to_those_who_ask() {
    let (server, folder) = (Postgres::start_managed().await.unwrap(), tempfile::tempdir().unwrap());
    let database = Database {
        host: server.host(),
        port: server.port(),
        database: "postgres".to_owned(),
        username: "portico_admin".to_owned(),
        password: server.password("admin-password").unwrap(),
    };
    database.write_binding(folder.path()).unwrap();
    fs::write(folder.path().join("ca.crt"), server.ca()).unwrap();
    let shown = succeeds(folder.path(), "certificate", &[]).await;
    assert!(shown.starts_with("MII"), "{shown}");
    // Logging in needs TLS, and there is no table.
    let answer = fails(folder.path(), "read", &["--key", "nothing"]).await;
    assert!(answer.contains("42P01"), "{answer}");
}

/// Load in two ways, as a process.
struct Load {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--rate", "20", "--binding"]).arg(folder).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn until(&mut self, done: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the program ended");
                let line: Value = serde_json::from_str(&line).unwrap();
                if done(&line) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("nothing of that kind was printed in time")
    }
}

/// As the kubelet changes a mounted Secret.
fn publish(folder: &Path, moment: &str, database: &Database) {
    database.write_binding(&folder.join(moment)).unwrap();
    symlink(moment, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[tokio::test]
async fn load_moves_to_a_new_login_and_counts_what_fails() {
    let server = Postgres::shared().await;
    let (old, folder) = (server.database().unwrap(), tempfile::tempdir().unwrap());
    // A second login with the rights of the first.
    let new = Database { username: format!("{}_b", old.username), ..old.clone() };
    server.sql(&format!("CREATE ROLE {} LOGIN PASSWORD '{}'", new.username, new.password)).unwrap();
    server.sql(&format!("GRANT {} TO {}", old.username, new.username)).unwrap();
    publish(folder.path(), "..one", &old);
    let mut load = Load::start(folder.path());
    load.until(|line| line["kept"]["user"] == old.username && line["fresh"]["requests"].as_u64() > Some(5)).await;

    publish(folder.path(), "..two", &new);
    let moved = load.until(|line| line["kept"]["user"] == new.username && line["fresh"]["user"] == new.username).await;
    assert_eq!((&moved["failures"], &moved["kept"]["connections"]), (&Value::from(0), &Value::from(2)));
    let open = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", old.username);
    load.until(|_| server.sql(&open).unwrap() == "0").await;

    server.set_password(&new.username, "another").unwrap();
    let failed = load.until(|line| line["event"] == "failure").await;
    assert_eq!(failed["style"], "fresh");
    assert!(failed["cause"].as_str().unwrap().contains("refused"), "{failed}");

    let id = i32::try_from(load.child.id().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM).unwrap();
    let last = load.until(|line| line["last"] == true).await;
    assert!(last["failures"].as_u64() > Some(0), "{last}");
    assert!(tokio::time::timeout(PATIENCE, load.child.wait()).await.unwrap().unwrap().success());
}
