//! Requests all the time, in two ways at once: on a connection that is kept as a pool does, and on a fresh one each
//! time, which sees at once when a login is refused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::binding::Binding;
use crate::engine::{self, Client, Failure, Session};
use crate::report::{Reporter, Style};

/// Between two lines of totals.
const TOTALS: Duration = Duration::from_secs(1);
/// Between two tries to begin.
const BEGIN: Duration = Duration::from_secs(1);
/// How long an old connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// How the load is made.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Requests a second, of each way.
    pub(crate) rate: u32,
    /// Until a request has failed.
    pub(crate) timeout: Duration,
    /// What connections are opened for.
    pub(crate) session: Session,
}

/// One of the two ways.
struct Worker {
    style: Style,
    bindings: watch::Receiver<Binding>,
    settings: Settings,
    reporter: Arc<Reporter>,
    kept: Option<Connection>,
}

/// A connection and what it was opened by.
struct Connection {
    binding: Binding,
    client: Box<dyn Client>,
}

/// Makes load until SIGTERM, then prints the last totals.
///
/// # Errors
/// Signals cannot be waited for.
pub(crate) async fn run(
    bindings: watch::Receiver<Binding>,
    settings: Settings,
    reporter: Reporter,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let reporter = Arc::new(reporter);
    tokio::select! {
        () = begin(&bindings, &settings, &reporter) => {}
        _ = terminate.recv() => {
            reporter.totals(true);
            return Ok(());
        }
    }
    let (stop, stopped) = watch::channel(false);
    let workers = [Style::Kept, Style::Fresh].map(|style| {
        let session = Session { name: style.as_str(), ..settings.session.clone() };
        let worker = Worker {
            style,
            bindings: bindings.clone(),
            settings: Settings { session, ..settings.clone() },
            reporter: Arc::clone(&reporter),
            kept: None,
        };
        tokio::spawn(worker.work(stopped.clone()))
    });
    let mut totals = interval(TOTALS);
    loop {
        tokio::select! {
            _ = totals.tick() => reporter.totals(false),
            _ = terminate.recv() => break,
        }
    }
    stop.send_replace(true);
    for worker in workers {
        worker.await?;
    }
    reporter.totals(true);
    Ok(())
}

/// Prepares the space. Nothing is counted before it is usable: a consumer would not have started either.
async fn begin(bindings: &watch::Receiver<Binding>, settings: &Settings, reporter: &Reporter) {
    let mut tries = interval(BEGIN);
    loop {
        tries.tick().await;
        let binding = bindings.borrow().clone();
        let prepared = async {
            let mut client = engine::connect(&binding, &settings.session).await?;
            let outcome = client.prepare().await;
            client.close().await;
            outcome
        };
        match within(settings.timeout, prepared).await {
            Ok(()) => return reporter.event("ready", json!({"user": binding.username})),
            Err(failure) => reporter.event("waiting", json!({"cause": failure.to_string()})),
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut(limit)))
}

impl Worker {
    async fn work(mut self, mut stopped: watch::Receiver<bool>) {
        let mut ticks = self.ticks();
        let mut sequence = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.changed() => break,
            }
            sequence += 1;
            let binding = self.bindings.borrow_and_update().clone();
            match within(self.settings.timeout, self.request(&binding, sequence)).await {
                Ok(()) => self.reporter.succeeded(self.style),
                Err(failure) => {
                    // What is left of it is of no use; the next request begins anew.
                    self.kept = None;
                    self.reporter.failed(self.style, &binding.username, &failure.to_string());
                }
            }
        }
        self.leave().await;
    }

    /// Ticks that are missed while a request takes long are not made up for.
    fn ticks(&self) -> Interval {
        let mut ticks = interval(Duration::from_secs(1) / self.settings.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    async fn request(&mut self, binding: &Binding, sequence: u64) -> Result<(), Failure> {
        let mut connection = self.connection(binding).await?;
        let outcome = connection.client.request(sequence).await;
        match (&outcome, self.style) {
            (Ok(()), Style::Kept) => self.kept = Some(connection),
            _ => farewell(connection),
        }
        outcome
    }

    /// The connection that was kept, unless it is of another binding. A new one is there before an old one goes.
    async fn connection(&mut self, binding: &Binding) -> Result<Connection, Failure> {
        let old = match self.kept.take() {
            Some(kept) if kept.binding == *binding => return Ok(kept),
            old => old,
        };
        let client = engine::connect(binding, &self.settings.session).await?;
        self.reporter.connected(self.style, &binding.username);
        if let Some(old) = old {
            farewell(old);
        }
        Ok(Connection { binding: binding.clone(), client })
    }

    async fn leave(self) {
        if let Some(connection) = self.kept {
            let _ = tokio::time::timeout(GOODBYE, connection.client.close()).await;
        }
    }
}

/// Closes a connection in order, beside the requests.
fn farewell(connection: Connection) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(GOODBYE, connection.client.close()).await;
    });
}
