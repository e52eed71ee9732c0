//! Services under test and the servers that they need.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use auth_service::app::{self, Running, Surroundings};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jiff::{SignedDuration, Timestamp};
use portico_service_config::{
    AuthServiceConfig, CacheConfig, DatabaseConfig, LogConfig, LogLevel, PasswordsConfig, ServerConfig, TokensConfig,
};
use portico_service_kit::{clock::FixedClock, health::Check, rng::SystemRng, telemetry};
use portico_test_servers::{
    postgres::{Database, Postgres},
    valkey::Valkey,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::{Answer, Http};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A place in which services run: their binding folders, keys and clock. Services of one place are replicas.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) database: Database,
}

/// One running service.
pub(crate) struct Service {
    pub(crate) http: Http,
    pub(crate) metrics: Http,
    pub(crate) running: Running,
    stop: CancellationToken,
}

impl Place {
    /// On the servers that all tests share, with a database of its own.
    pub(crate) async fn shared() -> Self {
        Self::on(Postgres::shared().await, Valkey::shared().await)
    }

    /// On servers of its own, which may be ill-treated.
    pub(crate) fn on(postgres: &Postgres, valkey: &Valkey) -> Self {
        let place = Self::with(postgres.database().unwrap());
        place.database.write_binding(&place.path().join("database")).unwrap();
        valkey.write_binding(&place.path().join("cache")).unwrap();
        place
    }

    /// With this database and keys; the bindings are still to be written.
    pub(crate) fn with(database: Database) -> Self {
        capture_logs();
        let folder = tempfile::tempdir().unwrap();
        write_keys(&folder.path().join("keys"));
        // In the past, so that a token that is good by this clock is long over by the machine's.
        let clock = Arc::new(FixedClock::at(Timestamp::from_second(1_700_000_000).unwrap()));
        Self { folder, clock, database }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Starts a service and waits until it is ready.
    pub(crate) async fn service(&self) -> Service {
        let service = self.unready_service().await;
        service.until("ready", |checks| checks.iter().all(|check| check.reason.is_none())).await;
        service
    }

    /// Starts a service and does not wait.
    pub(crate) async fn unready_service(&self) -> Service {
        self.configured(&self.config()).await
    }

    /// Starts a service with this configuration and does not wait.
    pub(crate) async fn configured(&self, config: &AuthServiceConfig) -> Service {
        let stop = CancellationToken::new();
        let surroundings = Surroundings { clock: self.clock.clone(), rng: Arc::new(SystemRng) };
        let running = app::start(config, surroundings, stop.clone()).await.unwrap();
        Service { http: Http::new(running.api), metrics: Http::new(running.metrics), running, stop }
    }

    /// Runs statements in the service's database.
    pub(crate) async fn sql(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.database.uri()).await.unwrap();
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    pub(crate) fn config(&self) -> AuthServiceConfig {
        let any = "127.0.0.1:0".parse().unwrap();
        let config = AuthServiceConfig {
            server: ServerConfig { listen: any, metrics_listen: any },
            log: LogConfig::default(),
            database: DatabaseConfig { binding_path: self.path().join("database"), max_connections: 8 },
            cache: CacheConfig { binding_path: self.path().join("cache") },
            tokens: TokensConfig {
                issuer: "https://id.example".into(),
                audience: "portico".into(),
                access_token_seconds: 900,
                refresh_token_seconds: 604_800,
                signing_keys_path: self.path().join("keys"),
                key_cache_seconds: 300,
            },
            // The least that is allowed: the tests are about other things.
            passwords: PasswordsConfig { bcrypt_cost: 10 },
        };
        config.validate().unwrap();
        config
    }
}

impl Service {
    /// Waits until the checks are as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl FnMut(&Vec<Check>) -> bool) -> Vec<Check> {
        let mut checks = self.running.health.subscribe();
        let found = timeout(DEADLINE, checks.wait_for(wanted)).await;
        match found {
            Ok(checks) => checks.unwrap().clone(),
            Err(late) => panic!("{late}, never {what}: {:?}", self.running.health.checks()),
        }
    }

    /// Waits until a check fails for this reason.
    pub(crate) async fn until_failing(&self, name: &str, reason: &str) {
        let found = |checks: &Vec<Check>| checks.iter().any(|c| c.name == name && c.reason == Some(reason));
        self.until(&format!("{name} {reason}"), found).await;
    }

    pub(crate) async fn until_ready(&self) {
        self.until("ready", |checks| checks.iter().all(|check| check.reason.is_none())).await;
    }

    /// Stops it and waits until it is gone.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(DEADLINE, self.running.finished()).await.expect("stops in time");
    }

    pub(crate) async fn register(&self, email: &str) -> Answer {
        let body = json!({"email": email, "password": PASSWORD});
        self.http.post("/api/v1/auth/register", None, &body).await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.http.post("/api/v1/auth/login", None, &body).await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Answer {
        self.http.post("/api/v1/auth/refresh", None, &json!({"refresh_token": refresh_token})).await
    }

    pub(crate) async fn me(&self, token: &str) -> Answer {
        self.http.get("/api/v1/auth/me", Some(token)).await
    }

    pub(crate) async fn logout(&self, token: &str) -> Answer {
        self.http.post("/api/v1/auth/logout", Some(token), &Value::Null).await
    }

    /// Registers somebody: their access token and their refresh token.
    pub(crate) async fn somebody(&self, email: &str) -> (String, String) {
        let answer = self.register(email).await.expect(201);
        (answer.text_of("access_token"), answer.text_of("refresh_token"))
    }
}

/// A folder with one new key.
pub(crate) fn write_keys(folder: &Path) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let kid = portico_token::Jwk::ed25519(pair.public_key().as_ref()).kid;
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{kid}.pem")), pem).unwrap();
    fs::write(folder.join("active"), kid).unwrap();
}

static LOGS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Everything that was logged in this process so far.
pub(crate) fn logs() -> String {
    String::from_utf8(LOGS.lock().unwrap().clone()).unwrap()
}

/// Logs as talkatively as the service can be told to, into memory.
fn capture_logs() {
    struct Memory;
    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            LOGS.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let filter = telemetry::filter(LogLevel::Trace, &["auth_service", "portico_service_kit", "portico_token"]);
        tracing::subscriber::set_global_default(telemetry::subscriber(filter, || Memory)).unwrap();
    });
}
