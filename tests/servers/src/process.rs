//! Child processes that cannot outlive the test process, and folders that do not stay behind.
//!
//! A test that is killed runs no destructor, and a `static` is never dropped. So the end of a server does not depend on
//! either: the kernel kills it when its supervising thread ends, and a small janitor process removes the folder when
//! the pipe to the test process closes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How much of a log is shown when a server fails.
const TAIL_LINES: usize = 30;

/// The cache folder of the project: `$PORTICO_CACHE`, else `$HOME/.cache/portico`.
pub fn cache_folder() -> PathBuf {
    std::env::var_os("PORTICO_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache/portico"),
        PathBuf::from,
    )
}

/// The program `name` in `folder`.
///
/// # Errors
/// When it is not there; the text says how to get it.
pub fn program(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    bail!("{} is missing: run `cargo xtask setup`", path.display())
}

/// A temporary folder that is removed when dropped, and also when the test process dies in any other way.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    janitor: Option<Child>,
}

impl Workspace {
    /// Makes the folder; `name` appears in its path.
    pub fn new(name: &str) -> Result<Self> {
        let path = tempfile::Builder::new().prefix(&format!("portico-{name}-")).tempdir()?.keep();
        // `cat` ends when this process does. The servers are killed at the same moment, but may still be writing.
        let janitor = Command::new("sh")
            .args(["-c", "trap '' INT TERM HUP; cat >/dev/null; until rm -rf \"$0\"; do :; done"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh to clean up after the test")?;
        Ok(Self { path, janitor: Some(janitor) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Some(mut janitor) = self.janitor.take() {
            drop(janitor.stdin.take());
            drop(janitor.wait());
        }
    }
}

/// A running server: its log, and its end when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    log: PathBuf,
    pid: Pid,
    exit: Arc<OnceLock<ExitStatus>>,
    supervisor: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `command` with its output in `<folder>/<name>.log`.
    ///
    /// The kernel ties the server's life to the *thread* that started it, and test threads are short-lived. So each
    /// server has a thread of its own that does nothing but wait for it.
    pub fn spawn(name: &str, command: &Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let mut guarded = guarded(command, &log)?;
        let exit = Arc::new(OnceLock::new());
        let (started, pid) = mpsc::channel();
        let seen = Arc::clone(&exit);
        let supervisor = std::thread::Builder::new().name(format!("supervise {name}")).spawn(move || {
            let mut child = match guarded.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(child.id())));
            if let Ok(status) = child.wait() {
                let _ = seen.set(status);
            }
        })?;
        let pid =
            pid.recv().context("the supervising thread ended")?.with_context(|| format!("cannot start {name}"))?;
        let pid = Pid::from_raw(i32::try_from(pid)?);
        Ok(Self { name: name.to_owned(), log, pid, exit, supervisor: Some(supervisor) })
    }

    /// Fails with the last lines of the log if the server has ended.
    pub fn check(&self) -> Result<()> {
        match self.exit.get() {
            Some(status) => bail!("{} ended with {status}\n{}", self.name, self.tail()),
            None => Ok(()),
        }
    }

    /// The last lines of the log, headed by its name, for failure texts.
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        format!("--- last lines of {}:\n{}", self.log.display(), lines[from..].join("\n"))
    }

    /// Sends a signal; an ended server is left alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.exit.get().is_none() {
            kill(self.pid, signal).with_context(|| format!("cannot signal {}", self.name))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    /// Whoever goes on after this finds nothing of the server any more, on no port.
    ///
    /// `unshare` would die before what it started, and leave the rest to the kernel, which takes its time. So the first
    /// process of the new namespace is killed: the kernel reports its end only when all of that namespace are gone, and
    /// `unshare` ends after it.
    fn drop(&mut self) {
        match first_inside(self.pid) {
            Some(first) => drop(kill(first, Signal::SIGKILL)),
            None => drop(self.signal(Signal::SIGKILL)),
        }
        if let Some(supervisor) = self.supervisor.take() {
            drop(supervisor.join());
        }
    }
}

/// The process that `unshare` started, if that is what runs.
fn first_inside(pid: Pid) -> Option<Pid> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let first = children.split_whitespace().next().filter(|_| name.trim() == "unshare")?;
    first.parse().ok().map(Pid::from_raw)
}

/// `command` under `setpriv --pdeathsig`, with its output in `log` and no input.
fn guarded(command: &Command, log: &Path) -> Result<Command> {
    let output = File::options().create(true).append(true).open(log)?;
    let mut guarded = Command::new("setpriv");
    guarded.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        guarded.current_dir(folder);
    }
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(key, value),
            None => guarded.env_remove(key),
        };
    }
    guarded.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    Ok(guarded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_is_reported_with_its_last_lines() {
        let folder = Workspace::new("process").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo reason of death; exit 3"]);
        let mut server = Server::spawn("doomed", &command, folder.path()).unwrap();
        server.supervisor.take().unwrap().join().unwrap();
        let error = server.check().unwrap_err().to_string();
        assert!(error.contains("doomed") && error.contains("exit status: 3"), "{error}");
        assert!(error.contains("reason of death"), "{error}");
    }

    #[test]
    fn dropping_ends_the_server_and_removes_the_folder() {
        let folder = Workspace::new("process").unwrap();
        let path = folder.path().to_owned();
        let mut command = Command::new("sleep");
        command.arg("600");
        let server = Server::spawn("sleeper", &command, &path).unwrap();
        let pid = server.pid;
        drop(server);
        assert!(kill(pid, None).is_err(), "the process is still there");
        drop(folder);
        assert!(!path.exists(), "{} is still there", path.display());
    }

    #[test]
    fn a_server_survives_the_thread_that_asked_for_it() {
        let folder = Workspace::new("process").unwrap();
        let path = folder.path().to_owned();
        let server = std::thread::spawn(move || {
            let mut command = Command::new("sleep");
            command.arg("600");
            Server::spawn("sleeper", &command, &path).unwrap()
        })
        .join()
        .unwrap();
        server.check().unwrap();
        kill(server.pid, None).unwrap();
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let error = program(Path::new("/nowhere"), "etcd").unwrap_err().to_string();
        assert_eq!(error, "/nowhere/etcd is missing: run `cargo xtask setup`");
    }
}
