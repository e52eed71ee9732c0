//! A pod that uses an engine all the time as a consumer would, through mounted bindings, and counts what fails.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::cluster::program;
use crate::operator::is_ready;
use crate::{POD, TestNamespace, wait};

/// The image of the load client; `cargo xtask e2e` sets it.
const IMAGE: &str = "PORTICO_LOAD_CLIENT_IMAGE";
/// Requests a second, of each of the two ways. Few: the tests share two cores.
const RATE: &str = "5";
/// The causes that a failure quotes.
const QUOTED: usize = 10;

/// The pod.
#[derive(Clone)]
pub struct LoadPod {
    namespace: TestNamespace,
    name: String,
}

/// What the load client has counted.
#[derive(Clone, Debug, Deserialize)]
pub struct Totals {
    /// Requests in both ways.
    pub requests: u64,
    /// How many of them failed.
    pub failures: u64,
    /// On the connection that is kept.
    pub kept: Tally,
    /// On fresh connections.
    pub fresh: Tally,
    /// Whether none follow.
    pub last: bool,
}

/// What was counted of one way.
#[derive(Clone, Debug, Deserialize)]
pub struct Tally {
    /// The user of the newest connection.
    pub user: String,
    /// Requests.
    pub requests: u64,
    /// Connections.
    pub connections: u64,
}

impl LoadPod {
    /// Starts a pod that makes load on the binding in the Secret `run`, with the Secrets `others` mounted beside it
    /// whenever they are there, and waits until it does. Each is at `/bindings/` and its name. `consumer` are the
    /// labels that let it through.
    ///
    /// # Errors
    /// The image is not known, or the pod does not start.
    pub async fn start(
        namespace: &TestNamespace,
        run: &str,
        others: &[&str],
        consumer: &[String],
    ) -> anyhow::Result<Self> {
        let image = std::env::var(IMAGE).with_context(|| format!("{IMAGE} is not set: run `cargo xtask e2e`"))?;
        let all = || std::iter::once(&run).chain(others);
        let volumes: Vec<Value> =
            all().map(|name| json!({"name": name, "secret": {"secretName": name, "optional": name != &run}})).collect();
        let mounts: Vec<Value> = all()
            .map(|name| json!({"name": name, "mountPath": format!("/bindings/{name}"), "readOnly": true}))
            .collect();
        let labels: Value = consumer.iter().map(|label| (label.clone(), json!("consumer"))).collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "load", "labels": labels},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 10,
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "volumes": volumes,
                "containers": [{
                    "name": "load", "image": image, "imagePullPolicy": "IfNotPresent",
                    "args": ["run", "--binding", format!("/bindings/{run}"), "--rate", RATE],
                    "volumeMounts": mounts,
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        });
        namespace.apply(pod).await?;
        namespace.wait("load", POD, "ready", is_ready).await?;
        let load = Self { namespace: namespace.clone(), name: "load".to_owned() };
        load.log()?.until(POD, "at work", |totals| totals.requests > 0).await?;
        Ok(load)
    }

    /// Runs the load client once more in the pod, for one task.
    ///
    /// # Errors
    /// It fails; the error holds the cause that it gave.
    pub async fn exec(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let namespace = self.namespace.name();
        let command = ["exec", "--namespace", namespace, &self.name, "--", "portico-load-client"];
        let said = self.namespace.cluster().kubectl(command.iter().chain(arguments)).await?;
        Ok(said.trim().to_owned())
    }

    /// Makes one request with the binding of a Secret.
    ///
    /// # Errors
    /// It fails.
    pub async fn once(&self, secret: &str) -> anyhow::Result<()> {
        self.exec(&["once", "--binding", &mounted(secret)]).await.map(drop)
    }

    /// Asks until one request with the binding of a Secret is answered: the kubelet tells nobody when a Secret has
    /// arrived in a pod.
    ///
    /// # Errors
    /// It still fails at the deadline.
    pub async fn until_answered(&self, deadline: Duration, secret: &str) -> anyhow::Result<()> {
        wait::ask_until(deadline, &format!("usable by {secret}"), || async {
            Ok(self.once(secret).await.map_err(|error| format!("{error:#}")))
        })
        .await
    }

    /// Asks until a request with the binding of a Secret is refused.
    ///
    /// # Errors
    /// It is answered still at the deadline, or fails for another reason.
    pub async fn until_refused(&self, deadline: Duration, secret: &str) -> anyhow::Result<()> {
        wait::ask_until(deadline, &format!("refused to {secret}"), || async {
            Ok(match self.once(secret).await {
                Err(error) if is_refusal(&error) => Ok(()),
                Err(error) => Err(format!("{error:#}")),
                Ok(()) => Err("it was answered".to_owned()),
            })
        })
        .await
    }

    /// Stores a value.
    ///
    /// # Errors
    /// It fails.
    pub async fn write(&self, secret: &str, key: &str, value: &str) -> anyhow::Result<()> {
        self.exec(&["write", "--binding", &mounted(secret), "--key", key, "--value", value]).await.map(drop)
    }

    /// Asks until a value that was stored is what is read, with further arguments to the client.
    ///
    /// # Errors
    /// It is another one, or none, at the deadline.
    pub async fn until_reads(
        &self,
        deadline: Duration,
        secret: &str,
        (key, value): (&str, &str),
        more: &[&str],
    ) -> anyhow::Result<()> {
        let binding = mounted(secret);
        let arguments = [&["read", "--binding", &binding, "--key", key], more].concat();
        wait::ask_until(deadline, &format!("read by {secret}"), || async {
            Ok(match self.exec(&arguments).await {
                Ok(found) if found == value => Ok(()),
                Ok(found) => Err(format!("{key} is {found:?}")),
                Err(error) => Err(format!("{error:#}")),
            })
        })
        .await
    }

    /// The log from its beginning, and what follows.
    ///
    /// # Errors
    /// `kubectl` is missing.
    pub fn log(&self) -> anyhow::Result<LoadLog> {
        let mut child = Command::new(program("kubectl")?)
            .args(["logs", "--follow", "--namespace", self.namespace.name(), &self.name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting kubectl logs")?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(LoadLog { _child: child, lines, causes: Vec::new() })
    }
}

/// Where a Secret is in the pod.
pub fn mounted(secret: &str) -> String {
    format!("/bindings/{secret}")
}

/// Whether the engine said no to the login, rather than not being there.
pub fn is_refusal(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("refused: ")
}

/// What the load client prints.
pub struct LoadLog {
    /// Ended when dropped.
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    causes: Vec<String>,
}

impl LoadLog {
    /// Reads on until totals come for which `done` holds.
    ///
    /// # Errors
    /// They do not before the deadline; the error holds the last totals and the causes of failures.
    pub async fn until(
        &mut self,
        deadline: Duration,
        what: &str,
        done: impl Fn(&Totals) -> bool,
    ) -> anyhow::Result<Totals> {
        let mut last = None;
        let found = tokio::time::timeout(deadline, async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(totals) = self.read(&line) {
                    if done(&totals) {
                        return Ok(Some(totals));
                    }
                    last = Some(totals);
                }
            }
            anyhow::Ok(None)
        });
        match found.await {
            Ok(found) => found?.with_context(|| format!("the load client ended and was not {what}: {last:?}")),
            Err(_) => bail!(
                "the load client was not {what} within {} s: {last:?}, failures: {:#?}",
                deadline.as_secs(),
                self.causes
            ),
        }
    }

    /// Reads on until more requests were made than these totals have, in both ways, and sees that none failed.
    ///
    /// # Errors
    /// One failed; the error holds the causes.
    pub async fn none_failed_since(&mut self, deadline: Duration, before: &Totals) -> anyhow::Result<Totals> {
        let more = |now: &Tally, before: &Tally| now.requests >= before.requests + 3;
        let after = self
            .until(deadline, "going on", |now| more(&now.kept, &before.kept) && more(&now.fresh, &before.fresh))
            .await?;
        let failures = after.failures - before.failures;
        ensure!(failures == 0, "{failures} of {} requests failed: {:#?}", after.requests, self.causes);
        Ok(after)
    }

    fn read(&mut self, line: &str) -> Option<Totals> {
        let facts: Value = serde_json::from_str(line).ok()?;
        if facts["event"] == "failure" && self.causes.len() < QUOTED {
            self.causes.push(line.to_owned());
        }
        if facts["event"] == "totals" { serde_json::from_value(facts).ok() } else { None }
    }
}
