//! What holds when the operator itself is disturbed. One test at a time: they share the one operator, so each takes
//! [`alone`] first. By name the one that uninstalls it comes last.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod health;
mod idle;
mod killed;
mod leader;
mod uninstall;

use std::sync::LazyLock;

use portico_e2e::cluster::Cluster;
use portico_e2e::operator::Operator;
use tokio::sync::{Mutex, MutexGuard};

static TURN: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// Waits for the end of other tests of this program, and for the operator to be one ready pod again.
async fn alone() -> anyhow::Result<MutexGuard<'static, ()>> {
    let turn = TURN.lock().await;
    Operator::of(&Cluster::connect().await?).scale(1).await?;
    Ok(turn)
}
