//! The program itself: its command line, its start and its end.

use std::{fs, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    harness::{PASSWORD, Place},
    http::Http,
};

const DEADLINE: Duration = Duration::from_mins(1);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-service"));
    command.env_remove("RUST_LOG").kill_on_drop(true);
    command
}

/// The next log line with this message.
async fn logged(lines: &mut Lines<BufReader<ChildStdout>>, message: &str) -> Value {
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line;
            }
        }
        panic!("it ended without logging {message:?}");
    };
    timeout(DEADLINE, find).await.unwrap_or_else(|late| panic!("{late}, {message:?} not logged"))
}

fn serve(place: &Place) -> (Child, Lines<BufReader<ChildStdout>>) {
    let path = place.path().join("config.yaml");
    fs::write(&path, serde_saphyr::to_string(&place.config()).unwrap()).unwrap();
    let mut child = program().arg("serve").arg("--config").arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[tokio::test]
async fn it_serves_until_it_is_asked_to_stop() {
    let place = Place::shared().await;
    let (mut child, mut lines) = serve(&place);
    let listening = logged(&mut lines, "listening").await;
    for _ in ["database", "cache"] {
        logged(&mut lines, "check ok").await;
    }
    let http = Http::new(listening["api"].as_str().unwrap().parse().unwrap());
    let body = serde_json::json!({"email": "jane@example.org", "password": PASSWORD});
    http.post("/api/v1/auth/register", None, &body).await.expect(201);

    let pid = child.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    assert!(killed.success());
    assert_eq!(logged(&mut lines, "stopping").await["signal"], "SIGTERM");
    let status = timeout(DEADLINE, child.wait()).await.expect("ends in time").unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_bad_configuration_ends_it_with_a_reason() {
    let place = Place::shared().await;
    let path = place.path().join("config.yaml");
    let config = serde_saphyr::to_string(&place.config()).unwrap();
    for (text, reason) in [
        (config.replace("bcryptCost: 10", "bcryptCost: 9"), "passwords.bcryptCost: 9 is not in 10 to 15"),
        (config.replace("issuer:", "isuer:"), "isuer"),
        (config.replace("/keys", "/nowhere"), "cannot read the signing keys"),
    ] {
        fs::write(&path, text).unwrap();
        let output = program().arg("serve").arg("--config").arg(&path).output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(reason), "{reason:?} is not in {error}");
    }
}

#[tokio::test]
async fn it_prints_its_version_and_its_api() {
    let version = program().arg("--version").output().await.unwrap();
    assert_eq!(String::from_utf8(version.stdout).unwrap().trim(), format!("auth-service {}", auth_service::VERSION));
    let api = program().arg("openapi").output().await.unwrap();
    let api: Value = serde_json::from_slice(&api.stdout).unwrap();
    assert!(api["paths"]["/api/v1/auth/register"]["post"].is_object());
}
