//! Runs a command with a PostgreSQL of its own, which is gone afterwards. The command finds it in `DATABASE_URL`.
//!
//! ```sh
//! cargo run -p portico-test-servers --example with_postgres -- runtime-services/auth-service/migrations psql
//! ```
//!
//! The first argument is a folder of migrations, applied before the command starts.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use portico_test_servers::postgres::Postgres;
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;

const USAGE: &str = "usage: with_postgres MIGRATIONS COMMAND [ARGUMENT…]";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let (migrations, program) = arguments.next().zip(arguments.next()).context(USAGE)?;
    let server = Postgres::start().await?;
    let uri = server.database()?.uri();
    let mut connection = PgConnection::connect(&uri).await?;
    let migrator = Migrator::new(Path::new(&migrations)).await.context("the migrations cannot be read")?;
    migrator.run(&mut connection).await.context("a migration fails")?;
    connection.close().await?;
    let status =
        Command::new(&program).args(arguments).env("DATABASE_URL", &uri).status().context("cannot start it")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
