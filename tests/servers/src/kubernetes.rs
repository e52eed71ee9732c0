//! A real API server without a node: etcd and kube-apiserver, ready in a few seconds.
//!
//! There is no controller manager, no scheduler and no kubelet: objects are stored, defaulted, validated (CEL, Pod
//! Security, RBAC) and watched, but no pod runs, nothing is garbage-collected and a deleted namespace stays.

mod certificates;
mod start;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;

use crate::process::{Server, Workspace};

/// A running etcd and API server. Dropping it ends both and removes their data.
#[derive(Debug)]
pub struct ApiServer {
    // The order matters: fields are dropped from the top, and the folder goes last.
    api: Server,
    etcd: Server,
    kubeconfig: Kubeconfig,
    workspace: Workspace,
}

impl ApiServer {
    /// Starts a new one, with RBAC and Pod Security admission on, and an audit log of every request ([`Self::audit_log`]).
    ///
    /// # Errors
    /// When a binary is missing, or the server is not ready in time; the text holds the last lines of the logs.
    pub async fn start() -> Result<Self> {
        start::start().await
    }

    /// The one instance that the tests of this binary share. It ends with the process.
    ///
    /// # Panics
    /// When it cannot be started: no test that wants it can go on.
    #[expect(clippy::panic, reason = "this is a test fixture, and a test fails by panicking")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(server) => server,
            Err(error) => panic!("no API server: {error:#}"),
        }
    }

    /// The path of a kubeconfig for the cluster administrator, for `kubectl` and `helm`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.workspace.path().join("kubeconfig")
    }

    /// A new client as the cluster administrator (group `system:masters`).
    ///
    /// Not shared between tests on purpose: a client's worker task lives on the runtime that made it.
    ///
    /// # Errors
    /// When the client's TLS settings cannot be made.
    pub async fn client(&self) -> Result<Client> {
        self.client_from(self.kubeconfig.clone()).await
    }

    /// A new client that acts as `user` in `groups`, to test RBAC.
    ///
    /// For a service account give `system:serviceaccount:<namespace>:<name>` and no groups: the server adds its own.
    /// `system:authenticated` is always added.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        let mut kubeconfig = self.kubeconfig.clone();
        for named in &mut kubeconfig.auth_infos {
            if let Some(auth) = &mut named.auth_info {
                auth.impersonate = Some(user.to_owned());
                auth.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
            }
        }
        self.client_from(kubeconfig).await
    }

    /// Makes a namespace whose name begins with `prefix` and is unique on this server, with Pod Security `restricted`
    /// enforced; gives its name.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        namespace.metadata.labels =
            Some([("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())].into());
        Api::<Namespace>::all(self.client().await?)
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("cannot create namespace {name}"))?;
        Ok(name)
    }

    /// The audit log: one JSON event a line, level Metadata, stage `ResponseComplete`.
    pub fn audit_log(&self) -> PathBuf {
        self.workspace.path().join("audit.log")
    }

    /// A folder for the test's own files, removed with the server.
    pub fn folder(&self) -> &Path {
        self.workspace.path()
    }

    /// The last lines of both logs, for failure texts.
    pub fn tails(&self) -> String {
        format!("{}\n{}", self.etcd.tail(), self.api.tail())
    }

    async fn client_from(&self, kubeconfig: Kubeconfig) -> Result<Client> {
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}
