//! What every provider of a cluster can do.

use std::path::PathBuf;
use std::process::ExitStatus;

use crate::images::ImageArchive;

/// One cluster, running or not.
pub(crate) trait Provider {
    /// Starts the cluster and waits until its node and all of `kube-system` are ready. Does nothing where it runs
    /// already and is healthy.
    ///
    /// # Errors
    /// When it does not come up in time; the error holds the end of the log of what failed.
    fn start(&self) -> anyhow::Result<()>;

    /// Ends the cluster. With `keep_data`, a later start brings back every object and volume.
    fn stop(&self, keep_data: bool) -> anyhow::Result<()>;

    /// Makes images known to the node. Loads only those that it has not got.
    fn load_images(&self, images: &[&ImageArchive]) -> anyhow::Result<()>;

    /// The administrator's kubeconfig; there once the cluster was started.
    fn kubeconfig(&self) -> PathBuf;

    /// A folder for what belongs to the cluster on the machine; it goes with the cluster's data.
    fn folder(&self) -> PathBuf;

    /// The API server's audit log as a file on the machine, where there is one.
    fn audit_log(&self) -> Option<PathBuf>;

    /// Runs a command inside the node, on the caller's terminal.
    fn run_inside(&self, command: &[String]) -> anyhow::Result<ExitStatus>;

    /// One line: whether it runs.
    fn status(&self) -> anyhow::Result<String>;

    /// Whether the cluster runs.
    fn is_running(&self) -> bool;

    /// The log of a component, complete.
    fn logs(&self, component: &str) -> anyhow::Result<String>;
}
