//! The auth service alone: its program on loopback, with a real PostgreSQL and Valkey on the same machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::StatusCode;
use portico_test_servers::postgres::Postgres;
use portico_test_servers::valkey::Valkey;
use serde_json::{Value, json};

use crate::http::{Answer, Http};
use crate::process::resident_mib;
use crate::report::{Report, percentile};
use crate::setting::Setting;

const EMAIL: &str = "ada@bench.example";
const PASSWORD: &str = "correct horse battery staple";
const STARTS: usize = 10;
/// More than the cores, so that they are never idle, and few enough not to be turned away.
const LOGINS_AT_ONCE: usize = 8;
const SETTLE: Duration = Duration::from_secs(10);

/// Runs all phases, each for `length`, and gives every sample.
pub(crate) async fn measure(program: &Path, length: Duration) -> anyhow::Result<Report> {
    let mut report = Report::new("auth-service")?;
    let postgres = Postgres::start().await?;
    let valkey = Valkey::start().await?;
    let setting = Setting::new(&postgres, &valkey)?;
    report.add("start to ready, schema in place", "ms", starts(program, &setting).await?)?;

    let service = Service::start(program, &setting).await?;
    tokio::time::sleep(SETTLE).await;
    report.add("resident memory, idle", "MiB", vec![resident_mib(service.child.id())?])?;

    let tokens = register(&service.http).await?;
    report.add("refresh, one client", "1/s", vec![refreshes(&service.http, &tokens, length).await?])?;
    let calm = me_latencies(&service.http, length).await?;
    report.add("GET /me p99, calm", "ms", vec![percentile(&calm, 0.99)])?;

    let raw = raw_hash_rate(length)?;
    let (rate, busy) = logins(&service.http, length).await?;
    report.add("bcrypt verifications, raw", "1/s", vec![raw])?;
    report.add("logins", "1/s", vec![rate])?;
    report.add("logins against the raw rate", "%", vec![100.0 * rate / raw])?;
    report.add("GET /me p99 while logins saturate", "ms", vec![percentile(&busy, 0.99)])?;
    report.add("resident memory, after load", "MiB", vec![resident_mib(service.child.id())?])?;
    Ok(report)
}

/// The running program; killed when dropped.
struct Service {
    child: Child,
    http: Http,
}

impl Service {
    /// Starts the program and returns when `/readyz` says yes.
    async fn start(program: &Path, setting: &Setting) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(["serve", "--config"])
            .arg(setting.config())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let service = Self { child, http: Http::new(setting.base()) };
        let started = Instant::now();
        while !service.http.get("/readyz", None).await.is_ok_and(|answer| answer.status == StatusCode::OK) {
            ensure!(started.elapsed() < Duration::from_secs(30), "{} is not ready after 30 s", program.display());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Milliseconds from starting the process to the first 200 of `/readyz`. The first start migrates and is not counted.
async fn starts(program: &Path, setting: &Setting) -> anyhow::Result<Vec<f64>> {
    drop(Service::start(program, setting).await?);
    let mut samples = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let begun = Instant::now();
        drop(Service::start(program, setting).await?);
        samples.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(samples)
}

async fn register(http: &Http) -> anyhow::Result<Value> {
    let answer = http.post("/api/v1/auth/register", &json!({ "email": EMAIL, "password": PASSWORD })).await?;
    expect(&answer, StatusCode::CREATED)?;
    Ok(answer.body)
}

async fn login(http: &Http) -> anyhow::Result<Answer> {
    let answer = http.post("/api/v1/auth/login", &json!({ "email": EMAIL, "password": PASSWORD })).await?;
    expect(&answer, StatusCode::OK)?;
    Ok(answer)
}

/// Refreshes a second of one chain of tokens, each used once.
async fn refreshes(http: &Http, tokens: &Value, length: Duration) -> anyhow::Result<f64> {
    let mut token = tokens["refresh_token"].clone();
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < length {
        let answer = http.post("/api/v1/auth/refresh", &json!({ "refresh_token": token })).await?;
        expect(&answer, StatusCode::OK)?;
        token = answer.body["refresh_token"].clone();
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Sorted latencies of `GET /me` in milliseconds, fifty requests a second.
async fn me_latencies(http: &Http, length: Duration) -> anyhow::Result<Vec<f64>> {
    let token = login(http).await?.body["access_token"].as_str().context("no access token")?.to_owned();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let (begun, mut samples) = (Instant::now(), Vec::new());
    while begun.elapsed() < length {
        pace.tick().await;
        let answer = http.get("/api/v1/auth/me", Some(&token)).await?;
        expect(&answer, StatusCode::OK)?;
        samples.push(answer.took.as_secs_f64() * 1000.0);
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples)
}

/// Logins a second with all cores busy, and the latencies of `GET /me` meanwhile.
async fn logins(http: &Http, length: Duration) -> anyhow::Result<(f64, Vec<f64>)> {
    let over = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let clients: Vec<_> = (0..LOGINS_AT_ONCE)
        .map(|_| {
            let (http, over) = (http.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut count = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    login(&http).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        })
        .collect();
    let latencies = me_latencies(http, length).await;
    over.store(true, Ordering::Relaxed);
    let mut count = 0_u32;
    for client in clients {
        count += client.await??;
    }
    Ok((f64::from(count) / begun.elapsed().as_secs_f64(), latencies?))
}

/// Verifications a second of the bcrypt library itself, at the service's cost, with one thread a core.
fn raw_hash_rate(length: Duration) -> anyhow::Result<f64> {
    let hash = bcrypt::hash(PASSWORD, crate::setting::BCRYPT_COST)?;
    let cores = std::thread::available_parallelism()?.get();
    let begun = Instant::now();
    let count: u32 = std::thread::scope(|scope| {
        let verify = || {
            let mut count = 0_u32;
            while begun.elapsed() < length && bcrypt::verify(PASSWORD, &hash).unwrap_or(false) {
                count += 1;
            }
            count
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(verify)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
    });
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

fn expect(answer: &Answer, status: StatusCode) -> anyhow::Result<()> {
    ensure!(answer.status == status, "expected {status}, got {}: {}", answer.status, answer.body);
    Ok(())
}
