//! Runs the programs of an unpacked engine image: the same Debian file systems that the images are made of.
//!
//! Each server gets mount and process namespaces of its own. Its temporary folder appears as `/tmp` inside, and killing
//! its first process ends all of its processes, as the end of a pod would.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::cache_folder;

/// The user that engines run as in every image.
const USER: u32 = 999;
/// Between two looks at a server that starts: nothing announces that it listens.
const LOOK: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_mins(1);
/// Below the ports that the kernel gives to clients.
pub(crate) const PORT: u16 = 21_000;
/// A UDP port that is bound and never used: the kernel lets one process have it, and takes it back at its end.
const CLAIM_PORT: u16 = 21_001;
/// Addresses that neighbouring process numbers begin apart, so that they seldom try each other's.
const STRIDE: u32 = 37;
const ATTEMPTS: u32 = 4096;

/// Stays the first process of the new namespaces, as root, so that the kernel kills it with its parent: a process that
/// changes its user loses that tie.
const INIT: &str = r#"
mount --bind "$2" "$1/tmp" && mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" || exit 1
root=$1; shift 2
chroot --userspec=999:999 "$root" "$@" &
wait $!
"#;

/// An unpacked file system with an engine's programs.
#[derive(Clone, Debug)]
pub(crate) struct EngineRoot {
    root: PathBuf,
}

impl EngineRoot {
    /// The one called `name` in `$PORTICO_ENGINES` or the cache.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let folder = std::env::var_os("PORTICO_ENGINES").map_or_else(|| cache_folder().join("engines"), PathBuf::from);
        let root = folder.join(name);
        if !root.join("usr").is_dir() {
            bail!("{} is missing: run `cargo xtask setup`", root.display());
        }
        if !nix::unistd::geteuid().is_root() {
            bail!("the engines of the tests run as users of their own, which only root can arrange: run this as root");
        }
        Ok(Self { root: root.canonicalize()? })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// A command that runs `program` (a path inside) as a server whose `/tmp` is `folder`.
    pub(crate) fn server(&self, folder: &Path, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--"]);
        command.args(["sh", "-c", INIT, "engine"]).arg(&self.root).arg(folder).arg(program);
        command
    }

    /// Runs a client program inside, to its end.
    pub(crate) fn run(&self, program: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("chroot");
        command.arg(format!("--userspec={USER}:{USER}")).arg(&self.root).arg(program).args(arguments);
        command.env("LANG", "C.UTF-8").envs(environment.iter().copied());
        command.output().with_context(|| format!("cannot run {program}"))
    }
}

/// Makes a folder that the engine's user may write to.
pub(crate) fn writable(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("data");
    std::fs::create_dir_all(&path)?;
    std::os::unix::fs::chown(&path, Some(USER), Some(USER))?;
    // The temporary folder above it is closed to others by default.
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    Ok(path)
}

/// A loopback address that no other server on this machine has while this lives.
///
/// A free port of 127.0.0.1 would not do: it stays free only until the server has it, and meanwhile any client on the
/// machine may be given it as the port that it calls from. Clients call from 127.0.0.1, so nobody does that here.
#[derive(Debug)]
pub(crate) struct Loopback {
    /// The address of the server.
    pub(crate) address: Ipv4Addr,
    _claim: UdpSocket,
}

impl Loopback {
    /// Takes the first free one, beginning at one that follows from the process number.
    pub(crate) fn claim() -> Result<Self> {
        let first = std::process::id().wrapping_mul(STRIDE);
        (0..ATTEMPTS)
            .map(|step| numbered(first.wrapping_add(step)))
            .find_map(|address| Some(Self { address, _claim: UdpSocket::bind((address, CLAIM_PORT)).ok()? }))
            .context("no free loopback address")
    }
}

/// An address of 127.0.0.0/8 that is neither 127.0.0.1 nor one of its neighbours.
fn numbered(number: u32) -> Ipv4Addr {
    let [_, _, high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 77, high, low)
}

/// Looks until `ready` says yes; fails after a minute, or at once when `check` finds that the server has ended.
pub(crate) async fn await_ready(
    what: &str,
    check: impl Fn() -> Result<()>,
    ready: impl Fn() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    loop {
        check()?;
        if ready()? {
            return Ok(());
        }
        if start.elapsed() > DEADLINE {
            bail!("{what} is not ready after {} s", DEADLINE.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}
