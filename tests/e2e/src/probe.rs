//! Pods that listen and connect, to see which connections network policies let through. They run the Valkey image,
//! which is on the node anyway: its server listens, its command line connects.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::sync::Mutex;

use crate::operator::is_ready;
use crate::shell::Shell;
use crate::{POD, TestNamespace, wait};

/// The ports that every probe listens on, with their names.
pub const PORTS: [(&str, u16); 3] = [("first", 7001), ("second", 7002), ("third", 7003)];

/// A pod that listens and connects.
#[derive(Clone)]
pub struct Probe {
    namespace: TestNamespace,
    name: String,
    address: String,
    shell: Arc<Mutex<Option<Shell>>>,
}

/// A connection that is possible, or must not be.
#[derive(Clone, Debug)]
pub struct Connection {
    /// How a failure calls it.
    pub name: String,
    /// The address that is connected to.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Whether it should be possible.
    pub open: bool,
}

impl Probe {
    /// Starts a pod with these labels and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(namespace: &TestNamespace, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::create(namespace, name, labels).await?;
        Self::of(namespace, name).await
    }

    /// Makes the pod and does not wait.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn create(namespace: &TestNamespace, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<()> {
        let image = namespace.cluster().operator_image("PORTICO_VALKEY_IMAGE").await?;
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let ports: Vec<_> = PORTS.map(|(name, port)| json!({"name": name, "containerPort": port})).into();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "probe", "image": image, "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", listen()],
                    "ports": ports,
                    "readinessProbe": {"periodSeconds": 1, "exec": {"command": ["/bin/sh", "-c", answers()]}},
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        });
        namespace.apply(pod).await?;
        Ok(())
    }

    /// Waits until a pod that was made listens.
    ///
    /// # Errors
    /// It does not start.
    pub async fn of(namespace: &TestNamespace, name: &str) -> anyhow::Result<Self> {
        let pod: Pod = namespace.wait(name, POD, "ready", is_ready).await?;
        let address = pod.status.and_then(|status| status.pod_ip).context("a ready pod without an address")?;
        Ok(Self { namespace: namespace.clone(), name: name.to_owned(), address, shell: Arc::default() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks until exactly the wanted connections are possible: a policy tells nobody when it comes into force.
    ///
    /// # Errors
    /// They differ at the deadline; the error names those that do.
    pub async fn expect(&self, deadline: Duration, wanted: &[Connection]) -> anyhow::Result<()> {
        let targets: Vec<(String, u16)> = wanted.iter().map(|one| (one.address.clone(), one.port)).collect();
        let what = format!("as wanted from {}", self.name);
        wait::ask_until(deadline, &what, || async {
            let found = self.reach(&targets).await?;
            let differs = wanted.iter().zip(found).filter(|(wanted, open)| wanted.open != *open);
            let wrong: Vec<String> = differs
                .map(|(wanted, open)| format!("{} is {}", wanted.name, if open { "open" } else { "closed" }))
                .collect();
            Ok(if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) })
        })
        .await
    }

    /// Tries to connect to several addresses and ports, all at once, and says which let it.
    ///
    /// # Errors
    /// The probe itself fails.
    pub async fn reach(&self, targets: &[(String, u16)]) -> anyhow::Result<Vec<bool>> {
        let mut shell = self.shell.lock().await;
        if shell.is_none() {
            let mut new = Shell::open(self.namespace.name(), &self.name)?;
            new.run(CONNECT).await?;
            *shell = Some(new);
        }
        let mut script = String::new();
        for (address, port) in targets {
            let _ = writeln!(script, "connect {address} {port} &");
        }
        script.push_str("wait");
        let said = shell.as_mut().context("the shell has just been opened")?.run(&script).await?;
        let found: BTreeMap<&str, bool> = said.iter().filter_map(|line| read(line)).collect();
        let verdict = |(address, port): &(String, u16)| {
            let key = format!("{address} {port}");
            match found.get(key.as_str()) {
                Some(open) => Ok(*open),
                None => bail!("the probe says nothing about {key}: {said:?}"),
            }
        };
        targets.iter().map(verdict).collect()
    }
}

/// Any answer means a connection, also one that is no answer of a Valkey. A program that cannot run means neither.
const CONNECT: &str = r#"connect() {
  said=$(timeout 3 valkey-cli -h "$1" -p "$2" ping 2>&1 </dev/null); code=$?
  verdict=open
  case "$code:$said" in
    124:*) verdict=closed ;;
    *"Could not connect"*) verdict=closed ;;
    125:*|126:*|127:*|"$code:") verdict="broken $code $said" ;;
  esac
  echo "$1 $2 $verdict"
}
"#;

/// A line `ADDRESS PORT open` or `… closed`.
fn read(line: &str) -> Option<(&str, bool)> {
    let (target, verdict) = line.rsplit_once(' ')?;
    match verdict {
        "open" => Some((target, true)),
        "closed" => Some((target, false)),
        _ => None,
    }
}

fn listen() -> String {
    let mut script = String::new();
    for (_, port) in PORTS {
        let server = format!("valkey-server --port {port} --protected-mode no --save '' --dir /tmp");
        let _ = writeln!(script, "{server} >/dev/null &");
    }
    // The shell is the pod's first process: it ends when it is asked to.
    script.push_str("trap 'exit 0' TERM; wait");
    script
}

fn answers() -> String {
    PORTS.map(|(_, port)| format!("valkey-cli -p {port} ping >/dev/null")).join(" && ")
}
