//! An engine as the operator runs it: the scripts and mounts of its builtin pod, with TLS, as a primary or as a copy.
//!
//! The scripts are the operator's own files. Only the address differs: every server here has one of its own, where a
//! pod listens on all.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::authority::Authority;
use crate::engine::{EngineRoot, Loopback, await_ready, writable};
use crate::process::{Server, Workspace};

/// Gives a command the file system of the pod.
const POD: &str = include_str!("pod.sh");
/// The user of the engines' images.
const USER: u32 = 999;
const ENVIRONMENT: [&str; 2] = ["PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin", "LANG=C.UTF-8"];

/// What is different from engine to engine.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Its name in the cache.
    pub(crate) engine: &'static str,
    /// The port of its pods.
    pub(crate) port: u16,
    /// The files of its builtin pod.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// What its configuration says to listen on all addresses, around the address.
    pub(crate) listen: [&'static str; 3],
    /// The passwords that its pod is given.
    pub(crate) passwords: &'static [&'static str],
}

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Managed {
    // The order matters: the server ends before its folder goes.
    server: Option<Server>,
    spec: &'static Spec,
    root: EngineRoot,
    workspace: Workspace,
    loopback: Loopback,
    authority: Arc<Authority>,
    primary: Option<String>,
}

impl Managed {
    /// Starts a primary on an empty volume.
    pub(crate) async fn start(spec: &'static Spec) -> Result<Self> {
        let mut managed = Self::prepare(spec, Arc::new(Authority::new()?), None)?;
        for key in spec.passwords {
            managed.set_password(key, &format!("{key}-of-a-test-server"))?;
        }
        managed.resume().await?;
        Ok(managed)
    }

    /// Starts a copy of this one on an empty volume.
    ///
    /// # Errors
    /// When it is not ready in time; the text holds the last lines of its log.
    pub async fn replica(&self) -> Result<Self> {
        let mut replica = Self::prepare(self.spec, Arc::clone(&self.authority), Some(self.host()))?;
        for key in self.spec.passwords {
            replica.set_password(key, &self.password(key)?)?;
        }
        replica.resume().await?;
        Ok(replica)
    }

    fn prepare(spec: &'static Spec, authority: Arc<Authority>, primary: Option<String>) -> Result<Self> {
        let (root, workspace) = (EngineRoot::find(spec.engine)?, Workspace::new(spec.engine)?);
        let managed = Self { server: None, spec, root, workspace, loopback: Loopback::claim()?, authority, primary };
        writable(managed.folder())?;
        for name in ["engine", "credentials", "tls", "root"] {
            std::fs::create_dir(managed.folder().join(name))?;
        }
        let host = managed.host();
        let [before, all, after] = spec.listen;
        for (name, text) in spec.files {
            let text = text.replace(&[before, all, after].concat(), &[before, &host, after].concat());
            let text = text.replace("127.0.0.1", &host);
            std::fs::write(managed.folder().join("engine").join(name), text)?;
        }
        managed.renew_certificate()?;
        Ok(managed)
    }

    /// The address that it listens on, the same after [`Self::stop`] and [`Self::resume`]. The certificate carries it.
    pub fn host(&self) -> String {
        self.loopback.address.to_string()
    }

    /// The TCP port of the engine.
    pub const fn port(&self) -> u16 {
        self.spec.port
    }

    /// The certificate (PEM) that its own is signed by.
    pub fn ca(&self) -> &str {
        self.authority.ca()
    }

    /// One of the passwords that the pod was given.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn password(&self, key: &str) -> Result<String> {
        let path = self.folder().join("credentials").join(key);
        std::fs::read_to_string(&path).with_context(|| format!("there is no password {key}"))
    }

    /// Changes a password in the pod's Secret. The server takes it at its next start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_password(&self, key: &str, password: &str) -> Result<()> {
        mounted(&self.folder().join("credentials").join(key), password)
    }

    /// Puts a new certificate of another authority where the pod reads it; [`Self::ca`] is the new one's from now on.
    /// So a client that trusts only that one knows which certificate it was shown.
    ///
    /// # Errors
    /// As [`Self::renew_certificate`].
    pub fn change_authority(&mut self) -> Result<()> {
        self.authority = Arc::new(Authority::new()?);
        self.renew_certificate().map(drop)
    }

    /// Puts a new certificate where the pod reads it, as the kubelet does, and gives it (PEM).
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn renew_certificate(&self) -> Result<String> {
        let (certificate, key) = self.authority.issue(&self.host())?;
        let mount = self.folder().join("tls");
        let folder = tempfile::Builder::new().prefix("..").tempdir_in(&mount)?.keep();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        for (name, text) in [("tls.crt", certificate.as_str()), ("tls.key", &key), ("ca.crt", self.ca())] {
            mounted(&folder.join(name), text)?;
            drop(std::os::unix::fs::symlink(Path::new("..data").join(name), mount.join(name)));
        }
        let next = mount.join("..next");
        std::os::unix::fs::symlink(folder.file_name().context("a folder without a name")?, &next)?;
        std::fs::rename(next, mount.join("..data"))?;
        Ok(certificate)
    }

    /// Kills the server as a crash would. Its volume stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server again on the same volume and address, and waits until it is ready.
    ///
    /// # Errors
    /// When it is not in time; the text holds the last lines of its log.
    pub async fn resume(&mut self) -> Result<()> {
        self.spawn()?;
        self.until_ready().await
    }

    /// Starts the server again, and does not wait.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn spawn(&mut self) -> Result<()> {
        self.server = None;
        drop(std::fs::remove_file(self.number()));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--"]);
        command.args(["sh", "-c", POD, "pod"]).arg(self.root.path()).arg(self.folder());
        command.arg("/usr/bin/env").args(ENVIRONMENT).args(self.role());
        command.args(["/bin/sh", "/etc/portico/engine/start.sh"]);
        self.server = Some(Server::spawn(self.spec.engine, &command, self.folder())?);
        Ok(())
    }

    /// Waits until the readiness probe says yes.
    ///
    /// # Errors
    /// When it does not in time, or the server ends; the text holds the last lines of its log.
    pub async fn until_ready(&self) -> Result<()> {
        await_ready(self.spec.engine, || self.check(), || self.ready()).await.with_context(|| self.tail())
    }

    /// Waits until a shell command inside prints `expected`.
    ///
    /// # Errors
    /// When it does not in time, or the server ends.
    pub async fn until(&self, command: &str, expected: &str) -> Result<()> {
        let printed = || Ok(self.run(command).is_ok_and(|printed| printed == expected));
        await_ready(&format!("{expected:?} of {command:?}"), || self.check(), printed).await
    }

    /// Waits until the server has ended by itself. The readiness probe goes on, as the kubelet's would.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn until_ended(&self) -> Result<()> {
        let ended = || {
            let _ = self.ready()?;
            Ok(self.check().is_err())
        };
        await_ready(&format!("the end of {}", self.spec.engine), || Ok(()), ended).await
    }

    /// What the readiness probe says.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn ready(&self) -> Result<bool> {
        Ok(self.inside("sh /etc/portico/engine/ready.sh")?.status.success())
    }

    /// What the liveness probe says.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn alive(&self) -> Result<bool> {
        Ok(self.inside("sh /etc/portico/engine/alive.sh")?.status.success())
    }

    /// Runs a shell command inside the pod, as the engine's user, and gives what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, command: &str) -> Result<String> {
        let output = self.inside(command)?;
        if !output.status.success() {
            bail!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        self.server.as_ref().map_or_else(String::new, Server::tail)
    }

    fn inside(&self, command: &str) -> Result<Output> {
        let number = std::fs::read_to_string(self.number()).unwrap_or_default();
        let mut enter = Command::new("nsenter");
        enter.args(["--target", number.trim(), "--mount", "--pid", "--", "chroot", "--userspec=999:999"]);
        enter.arg(self.folder().join("root")).arg("/usr/bin/env").args(ENVIRONMENT).args(self.role());
        enter.args(["/bin/sh", "-c", command]).output().context("cannot run nsenter")
    }

    fn role(&self) -> Vec<String> {
        match &self.primary {
            Some(primary) => vec!["PORTICO_ROLE=replica".to_owned(), format!("PORTICO_PRIMARY={primary}")],
            None => vec!["PORTICO_ROLE=primary".to_owned()],
        }
    }

    fn check(&self) -> Result<()> {
        self.server.as_ref().context("it was stopped")?.check()
    }

    fn folder(&self) -> &Path {
        self.workspace.path()
    }

    /// The process that is the first inside.
    fn number(&self) -> std::path::PathBuf {
        self.folder().join("init.pid")
    }
}

/// Writes a file as the kubelet mounts those of Secrets: root's, readable for the pod's group.
fn mounted(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    std::os::unix::fs::chown(path, Some(0), Some(USER))?;
    Ok(std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o440))?)
}
