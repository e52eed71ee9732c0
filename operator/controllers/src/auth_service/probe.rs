//! What an unready pod says about its dependencies: `GET /readyz`, with a deadline and a bounded body.
//!
//! The operator has no database driver; the service itself knows best what it cannot reach.

use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::validate::HTTP_PORT;

/// The longest that one pod may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 16 * 1024;
/// The most characters of a detail that are passed on.
const MOST_DETAIL: usize = 512;

/// A check that failed, in the service's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailingCheck {
    /// What is checked, such as `database`.
    pub name: String,
    /// Why it fails, in one CamelCase word.
    pub reason: String,
    /// For people; no secrets.
    pub detail: String,
}

/// Asks pods about their dependencies.
pub trait DependencyProbe: Send + Sync + 'static {
    /// The checks that fail in the pod at this address; empty when none does or the pod does not answer.
    fn failing(&self, pod: IpAddr) -> BoxFuture<'_, Vec<FailingCheck>>;
}

/// Asks over HTTP.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    client: Client<HttpConnector, Empty<&'static [u8]>>,
    port: u16,
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpProbe {
    /// Asks at the port of the API.
    pub fn new() -> Self {
        Self::at_port(HTTP_PORT)
    }

    fn at_port(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(DEADLINE));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector), port }
    }

    async fn ask(&self, pod: IpAddr) -> Option<Vec<FailingCheck>> {
        let host = if pod.is_ipv6() { format!("[{pod}]") } else { pod.to_string() };
        let uri: Uri = format!("http://{host}:{}/readyz", self.port).parse().ok()?;
        let answer = self.client.get(uri).await.ok()?;
        if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await.ok()?.to_bytes();
        Some(read(&body))
    }
}

impl DependencyProbe for HttpProbe {
    fn failing(&self, pod: IpAddr) -> BoxFuture<'_, Vec<FailingCheck>> {
        async move {
            let answer = tokio::time::timeout(DEADLINE, self.ask(pod)).await;
            answer.ok().flatten().unwrap_or_default()
        }
        .boxed()
    }
}

/// The part of the body that matters.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    checks: Vec<Check>,
}

/// One check of the body.
#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    detail: String,
}

/// The failing checks of a body. What a pod says is not trusted to have the form that a condition needs.
fn read(body: &[u8]) -> Vec<FailingCheck> {
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return Vec::new() };
    let failing = body.checks.into_iter().filter(|check| check.status != "ok");
    failing.map(Check::into_failing).collect()
}

impl Check {
    fn into_failing(self) -> FailingCheck {
        let word = !self.reason.is_empty()
            && self.reason.len() <= 64
            && self.reason.starts_with(|c: char| c.is_ascii_uppercase())
            && self.reason.chars().all(|c| c.is_ascii_alphanumeric());
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(MOST_DETAIL).collect();
        FailingCheck {
            name: plain(&self.name),
            reason: if word { self.reason } else { "CheckFailed".to_owned() },
            detail: plain(&self.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const BODY: &str = r#"{"type":"about:blank","status":503,"checks":[
        {"name":"database","status":"failing","reason":"PasswordRefused","detail":"user app was refused"},
        {"name":"cache","status":"ok"}]}"#;

    /// Answers one request with these bytes.
    async fn serve(answer: String) -> HttpProbe {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            // Held open: a probe that waits for the end of a stalled answer must end by its deadline.
            let _ = stream.read(&mut request).await;
        });
        HttpProbe::at_port(port)
    }

    fn response(code: &str, body: &str) -> String {
        format!("HTTP/1.1 {code}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    async fn ask(answer: String) -> Vec<FailingCheck> {
        serve(answer).await.failing(Ipv4Addr::LOCALHOST.into()).await
    }

    #[tokio::test]
    async fn failing_checks_are_passed_on() {
        let failing = ask(response("503 Service Unavailable", BODY)).await;
        let expected = FailingCheck {
            name: "database".into(),
            reason: "PasswordRefused".into(),
            detail: "user app was refused".into(),
        };
        assert_eq!(failing, [expected]);
    }

    #[tokio::test]
    async fn other_answers_say_nothing() {
        for answer in [response("200 OK", BODY), response("500 Oops", BODY), response("503 S", "zzz"), "zzz".to_owned()]
        {
            assert_eq!(ask(answer.clone()).await, [], "{answer}");
        }
    }

    #[tokio::test]
    async fn a_huge_answer_is_not_read() {
        let body = format!("{{\"x\":\"{}\",{}", "x".repeat(MOST_BYTES), &BODY[1..]);
        assert_eq!(ask(response("503 S", &body)).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_answer_ends_by_the_deadline() {
        let probe = serve("HTTP/1.1 503 S\r\ncontent-length: 10\r\n\r\n".to_owned()).await;
        assert_eq!(probe.failing(Ipv4Addr::LOCALHOST.into()).await, []);
    }

    #[test]
    fn what_is_said_is_brought_into_form() {
        let failing =
            read(br#"{"checks":[{"name":"a\nb","status":"failing","reason":"not a word","detail":"x\u0000"}]}"#);
        assert_eq!(failing, [FailingCheck { name: "ab".into(), reason: "CheckFailed".into(), detail: "x".into() }]);
    }
}
