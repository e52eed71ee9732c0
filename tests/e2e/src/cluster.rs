//! The cluster under test: a client, and the programs that a user would type.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The namespace that the chart is installed in.
pub const SYSTEM_NAMESPACE: &str = "portico-system";
/// The operator's Deployment.
pub const OPERATOR: &str = "portico-operator";

/// The cluster that `KUBECONFIG` names. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// Connects.
    ///
    /// # Errors
    /// `KUBECONFIG` is not set or cannot be used.
    pub async fn connect() -> anyhow::Result<Self> {
        ensure!(
            std::env::var_os("KUBECONFIG").is_some(),
            "KUBECONFIG is not set: run `cargo xtask e2e`, or set it to what `cargo xtask kubeconfig` prints"
        );
        // Fails when another test of this process was first, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::try_default().await.context("using the cluster that KUBECONFIG names")?;
        Ok(Self { client })
    }

    /// A client with the rights of the kubeconfig.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Runs `kubectl`.
    ///
    /// # Errors
    /// The program is missing or says no; the error holds what it said.
    pub async fn kubectl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> anyhow::Result<String> {
        run("kubectl", arguments, None).await
    }

    /// Runs `kubectl` with a manifest on its standard input.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub async fn kubectl_with<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        manifest: &serde_json::Value,
    ) -> anyhow::Result<String> {
        run("kubectl", arguments, Some(manifest.to_string())).await
    }

    /// Runs `helm`.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub async fn helm<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> anyhow::Result<String> {
        run("helm", arguments, None).await
    }

    /// An image reference that the operator was installed with, which therefore is on the node.
    ///
    /// # Errors
    /// The operator's Deployment is missing or has no such variable.
    pub async fn operator_image(&self, variable: &str) -> anyhow::Result<String> {
        let deployments: Api<Deployment> = Api::namespaced(self.client(), SYSTEM_NAMESPACE);
        let deployment = deployments.get(OPERATOR).await.context("the operator is not installed: `cargo xtask up`")?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec).context("the Deployment has no pod spec")?;
        let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        variables
            .into_iter()
            .find(|candidate| candidate.name == variable)
            .and_then(|found| found.value)
            .with_context(|| format!("the Deployment {OPERATOR} sets no variable {variable}"))
    }
}

/// The path of a program of the Kubernetes tool set.
///
/// # Errors
/// It has not been set up.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let folder = match std::env::var_os("PORTICO_KUBERNETES_BIN") {
        Some(folder) => PathBuf::from(folder),
        None => cache()?.join("kubernetes/current"),
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!("{} is missing: run `cargo xtask setup`", path.display());
    }
    Ok(path)
}

fn cache() -> anyhow::Result<PathBuf> {
    if let Some(cache) = std::env::var_os("PORTICO_CACHE") {
        return Ok(PathBuf::from(cache));
    }
    let home = std::env::var_os("HOME").context("neither PORTICO_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/portico"))
}

/// Runs a program to its end and returns its standard output.
async fn run<A: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
    input: Option<String>,
) -> anyhow::Result<String> {
    let mut command = Command::new(program(name)?);
    command.args(arguments).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{:?} ended with {}: {complained}{said}", command.as_std(), output.status);
    Ok(said.into_owned())
}
