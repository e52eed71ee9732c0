//! The API of an auth service, as a client application sees it.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::forward::Forward;
use crate::http::{Answer, Http};
use crate::{REACTION, TestNamespace, wait};

/// The port of the API and of its health in the pods.
pub const API_PORT: u16 = 8080;
/// The port of the metrics in the pods.
pub const METRICS_PORT: u16 = 9090;
/// The password of every account that tests make.
pub const PASSWORD: &str = "correct horse battery staple";

/// A client of one auth service, or of one of its pods.
pub struct Auth {
    http: Http,
    _forward: Forward,
}

/// What a registration, a login or a refresh hands out.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For the header `Authorization`.
    pub access: String,
    /// For `/refresh`, once.
    pub refresh: String,
    /// Seconds until `access` is no longer accepted.
    pub expires_in: u64,
}

impl Auth {
    /// The service through its Service, that is: through one of its pods.
    ///
    /// # Errors
    /// No pod of it runs.
    pub async fn of_service(namespace: &TestNamespace, name: &str) -> anyhow::Result<Self> {
        Self::open(namespace, &format!("svc/{name}"), 80).await
    }

    /// One pod of the service.
    ///
    /// # Errors
    /// It does not run.
    pub async fn of_pod(namespace: &TestNamespace, name: &str) -> anyhow::Result<Self> {
        Self::open(namespace, &format!("pod/{name}"), API_PORT).await
    }

    async fn open(namespace: &TestNamespace, target: &str, port: u16) -> anyhow::Result<Self> {
        let forward = Forward::open(namespace.name(), target, port).await?;
        Ok(Self { http: Http::new(forward.url()), _forward: forward })
    }

    /// Waits until the service itself says that it is ready. The resource's `Ready` follows the kubelet's probes and so
    /// lags behind by some seconds when a dependency went away and came back.
    ///
    /// # Errors
    /// It does not; the error is what it said last.
    pub async fn await_ready(&self) -> anyhow::Result<()> {
        wait::ask_until(REACTION, "ready", || async {
            let health = self.http.get("/readyz", None).await?;
            Ok(if health.status == 200 { Ok(()) } else { Err(health.body) })
        })
        .await
    }

    /// The plain client, for what is not of the API.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Registers an account.
    ///
    /// # Errors
    /// It is not answered with 201 and tokens.
    pub async fn register(&self, email: &str) -> anyhow::Result<Tokens> {
        let answer = self.http.post("/api/v1/auth/register", None, &account(email)).await?;
        tokens(&answer.expect(201)?)
    }

    /// Logs in.
    ///
    /// # Errors
    /// It is not answered with 200 and tokens.
    pub async fn login(&self, email: &str) -> anyhow::Result<Tokens> {
        let answer = self.http.post("/api/v1/auth/login", None, &account(email)).await?;
        tokens(&answer.expect(200)?)
    }

    /// Exchanges a refresh token for new tokens.
    ///
    /// # Errors
    /// It is not answered with 200 and tokens.
    pub async fn refresh(&self, refresh: &str) -> anyhow::Result<Tokens> {
        tokens(&self.try_refresh(refresh).await?.expect(200)?)
    }

    /// Tries to exchange a refresh token.
    ///
    /// # Errors
    /// No answer came.
    pub async fn try_refresh(&self, refresh: &str) -> anyhow::Result<Answer> {
        self.http.post("/api/v1/auth/refresh", None, &json!({"refresh_token": refresh})).await
    }

    /// Ends the session of an access token.
    ///
    /// # Errors
    /// It is not answered with a status of success.
    pub async fn logout(&self, access: &str) -> anyhow::Result<()> {
        let answer = self.http.post("/api/v1/auth/logout", Some(access), &json!({})).await?;
        anyhow::ensure!(answer.status.is_success(), "logout: {} {}", answer.status, answer.body);
        Ok(())
    }

    /// Asks who the bearer of a token is.
    ///
    /// # Errors
    /// No answer came.
    pub async fn me(&self, access: &str) -> anyhow::Result<Answer> {
        self.http.get("/api/v1/auth/me", Some(access)).await
    }

    /// Asserts that a token is accepted and names this account.
    ///
    /// # Errors
    /// It is not.
    pub async fn accepts(&self, access: &str, email: &str) -> anyhow::Result<()> {
        let answer = self.me(access).await?.expect(200).context("the access token should be accepted")?;
        anyhow::ensure!(answer.body.contains(email), "/me names another account than {email}: {}", answer.body);
        Ok(())
    }

    /// Asserts that a token is refused.
    ///
    /// # Errors
    /// It is not.
    pub async fn refuses(&self, access: &str) -> anyhow::Result<()> {
        self.me(access).await?.expect(401).context("the access token should be refused")?;
        Ok(())
    }
}

fn account(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

fn tokens(answer: &Answer) -> anyhow::Result<Tokens> {
    let body = answer.json()?;
    let text =
        |name: &str| body[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {}", answer.body));
    let expires_in = body["expires_in"].as_u64().with_context(|| format!("no expires_in in {}", answer.body))?;
    Ok(Tokens { access: text("access_token")?, refresh: text("refresh_token")?, expires_in })
}
