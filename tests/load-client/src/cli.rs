//! What the program can be asked to do.

use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use crate::binding::Binding;
use crate::engine::{self, Client, Failure, Session};
use crate::load::{self, Settings};
use crate::report::{self, Reporter};
use crate::{certificate, follow};

/// Uses an engine through its binding.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Makes requests all the time, on a kept connection and on fresh ones, until SIGTERM.
    Run {
        #[command(flatten)]
        target: Target,
        /// Requests a second, of each of the two ways.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rate: u32,
    },
    /// Makes one request.
    Once {
        #[command(flatten)]
        target: Target,
    },
    /// Stores a value.
    Write {
        #[command(flatten)]
        target: Target,
        /// Its name.
        #[arg(long)]
        key: String,
        /// The value.
        #[arg(long)]
        value: String,
    },
    /// Prints a value that was stored.
    Read {
        #[command(flatten)]
        target: Target,
        /// Its name.
        #[arg(long)]
        key: String,
    },
    /// Prints the certificate that the engine serves: DER in base64.
    Certificate {
        #[command(flatten)]
        target: Target,
    },
    /// Opens a TCP connection and nothing more.
    Connect {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// What is used, and how long it may take.
#[derive(Debug, Args)]
struct Target {
    /// The folder of the binding.
    #[arg(long)]
    binding: PathBuf,
    /// Another address than the binding's, as HOST:PORT.
    #[arg(long)]
    endpoint: Option<String>,
    /// Another database, virtual host, key prefix or bucket than the binding's.
    #[arg(long)]
    space: Option<String>,
    /// The table of DynamoDB; its partition key is the string `id`.
    #[arg(long, default_value = "load")]
    table: String,
    /// Seconds until a request has failed.
    #[arg(long, default_value_t = 5)]
    timeout: u64,
}

impl Target {
    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn binding(&self) -> anyhow::Result<Binding> {
        self.elsewhere(Binding::read(&self.binding)?)
    }

    fn elsewhere(&self, mut binding: Binding) -> anyhow::Result<Binding> {
        if let Some(endpoint) = &self.endpoint {
            let (host, port) = endpoint.rsplit_once(':').context("--endpoint must be HOST:PORT")?;
            host.clone_into(&mut binding.host);
            binding.port = port.parse().context("--endpoint must end in a port number")?;
        }
        if let Some(space) = &self.space {
            binding.space = Some(space.clone());
        }
        Ok(binding)
    }

    fn session(&self, name: &'static str) -> Session {
        Session { name, table: self.table.clone(), clock }
    }

    /// Does something on a connection of its own, within the time.
    async fn within<T>(&self, work: impl AsyncFnOnce(&mut dyn Client) -> Result<T, Failure>) -> anyhow::Result<T> {
        let (binding, session) = (self.binding()?, self.session("single"));
        let exchange = async {
            let mut client = engine::connect(&binding, &session).await?;
            let outcome = work(client.as_mut()).await;
            client.close().await;
            outcome
        };
        let outcome = tokio::time::timeout(self.timeout(), exchange).await;
        Ok(outcome.unwrap_or_else(|_| Err(Failure::TimedOut(self.timeout())))?)
    }
}

/// The only place that asks the machine's clock: the times in reports and in signatures.
#[expect(clippy::disallowed_methods, reason = "the program's one clock, handed to all who need it")]
fn clock() -> Timestamp {
    Timestamp::now()
}

/// Does what was asked.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.task {
        Task::Run { target, rate } => load(target, rate).await,
        Task::Once { target } => {
            target
                .within(async |client| {
                    client.prepare().await?;
                    client.request(1).await
                })
                .await
        }
        Task::Write { target, key, value } => {
            target
                .within(async |client| {
                    client.prepare().await?;
                    client.write(&key, &value).await
                })
                .await
        }
        Task::Read { target, key } => {
            let value = target.within(async |client| client.read(&key).await).await?;
            report::say(&value.with_context(|| format!("there is nothing called {key}"))?);
            Ok(())
        }
        Task::Certificate { target } => {
            let (binding, timeout) = (target.binding()?, target.timeout());
            let served = tokio::task::spawn_blocking(move || certificate::served(&binding, timeout)).await??;
            report::say(&served);
            Ok(())
        }
        Task::Connect { host, port } => connect(&host, port),
    }
}

async fn load(target: Target, rate: u32) -> anyhow::Result<()> {
    let folder: &Path = &target.binding;
    let bindings = follow::follow(folder).with_context(|| format!("following {}", folder.display()))?;
    ensure!(target.endpoint.is_none() && target.space.is_none(), "run goes by the binding alone");
    let settings = Settings { rate, timeout: target.timeout(), session: target.session("prepare") };
    load::run(bindings, settings, Reporter::new(clock)).await
}

fn connect(host: &str, port: u16) -> anyhow::Result<()> {
    let addresses = (host, port).to_socket_addrs().with_context(|| format!("looking up {host}"))?;
    let mut last = None;
    for address in addresses {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("connecting to {host}:{port}")),
        None => bail!("{host} has no address"),
    }
}
