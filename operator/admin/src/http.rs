//! JSON over HTTP or HTTPS, for the admin ports that speak it.
//!
//! Trusts the CA of the endpoint and nothing else, follows no redirect, keeps no connection between two requests, and
//! reads no more than [`BODY_LIMIT`]. Knows no engine: what an answer means is for its caller.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{bounded, chain};
use crate::{AdminError, Endpoint, tls};

/// The longest answer that is read, in bytes.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// The longest part of an answer that appears in an error, in characters.
const QUOTE_LIMIT: usize = 300;
/// The most time until the port takes a connection; shorter than the deadline of a call, so that it can say so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How the client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// The endpoint's user and password.
    Basic,
    /// The endpoint's password as a token.
    Bearer,
    /// Not at all, or by a header of the caller's own.
    Nothing,
}

/// A client of one endpoint.
pub(crate) struct HttpClient {
    base: String,
    authorization: Option<HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HttpClient {
    /// A client of `endpoint`'s admin port: HTTPS when the endpoint has a CA, otherwise HTTP. Connects only when used.
    ///
    /// # Errors
    /// [`AdminError::Tls`] when the CA cannot be read, [`AdminError::Refused`] when the password cannot be sent.
    pub(crate) fn new(endpoint: &Endpoint, scheme: Scheme) -> Result<Self, AdminError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let ca = endpoint.ca.as_deref();
        // Without a CA the connector is never asked for TLS; one that trusts nobody keeps the type the same.
        let config = ca.map_or_else(trusting_nobody, |ca| tls::client_config(ca).map(|one| (*one).clone()))?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(tcp);
        let host = if endpoint.host.contains(':') { format!("[{}]", endpoint.host) } else { endpoint.host.clone() };
        let protocol = if ca.is_some() { "https" } else { "http" };
        Ok(Self {
            base: format!("{protocol}://{host}:{}", endpoint.port),
            authorization: authorization(endpoint, scheme)?,
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector),
        })
    }

    /// Asks for `path` (with its query, percent-encoded: see [`segment`]).
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, AdminError> {
        self.send(Method::GET, path, &[], None::<&()>).await
    }

    /// Sends `body` as JSON by `method`, with `headers` beside the usual ones; a `content-type` there replaces the
    /// usual one. Any status is an answer.
    ///
    /// # Errors
    /// [`AdminError`] when there is no whole answer in time.
    pub(crate) async fn send<B: Serialize + Sync>(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Option<&B>,
    ) -> Result<Answer, AdminError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| unsendable(&error))?;
        let typed = body.is_none() || headers.iter().any(|(name, _)| name == CONTENT_TYPE);
        let usual = [(ACCEPT, "application/json"), (CONTENT_TYPE, "application/json")];
        let usual = usual.into_iter().take(if typed { 1 } else { 2 });
        let headers: Vec<_> = usual.chain(headers.iter().cloned()).collect();
        self.send_bytes(method, path, &headers, Bytes::from(body.unwrap_or_default())).await
    }

    /// Sends `body` as it is by `method`, with `headers` and no others. Any status is an answer.
    ///
    /// # Errors
    /// [`AdminError`] when there is no whole answer in time.
    pub(crate) async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Answer, AdminError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| unsendable(&error))?;
        bounded(self.exchange(request)).await
    }

    /// Protocol, host and port, as in an URL.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, AdminError> {
        let answer = self.client.request(request).await.map_err(|error| transport(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return AdminError::Engine(format!("more than {} MiB", BODY_LIMIT >> 20));
            }
            transport(error.as_ref())
        })?;
        Ok(Answer { status: head.status, body: body.to_bytes() })
    }
}

/// What came back. Cannot be printed whole: some engines answer with keys.
#[derive(Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body, whatever it is.
    pub(crate) body: Bytes,
}

impl Answer {
    /// This answer if its status says success.
    ///
    /// # Errors
    /// [`AdminError::Refused`] for 401 and 403, [`AdminError::Engine`] with the engine's words for every other.
    pub(crate) fn success(self) -> Result<Self, AdminError> {
        match self.status {
            status if status.is_success() => Ok(self),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(AdminError::Refused(self.words())),
            _ => Err(AdminError::Engine(self.words())),
        }
    }

    /// [`Self::success`], or nothing when the status is 404.
    pub(crate) fn found(self) -> Result<Option<Self>, AdminError> {
        if self.status == StatusCode::NOT_FOUND { Ok(None) } else { self.success().map(Some) }
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`AdminError::Engine`] when it is something else.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| AdminError::Engine(format!("{} with a body that cannot be read: {error}", self.status)))
    }

    /// Status and reason for people: the member that engines explain themselves in, else the beginning of the body.
    pub(crate) fn words(&self) -> String {
        let json: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let member = |name| json.as_ref().and_then(|json| json.get(name)).and_then(serde_json::Value::as_str);
        let reason = ["reason", "message", "Message", "error"].into_iter().find_map(member);
        let text = reason.map_or_else(|| String::from_utf8_lossy(&self.body), Into::into);
        let text: String = text.trim().chars().take(QUOTE_LIMIT).collect();
        if text.is_empty() { self.status.to_string() } else { format!("{}: {text}", self.status) }
    }
}

/// One segment of a path, percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut path, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => path.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(path, "%{byte:02X}")),
        }
        path
    })
}

fn unsendable(error: &dyn StdError) -> AdminError {
    AdminError::Engine(format!("the request cannot be written: {error}"))
}

fn trusting_nobody() -> Result<ClientConfig, AdminError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| AdminError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn authorization(endpoint: &Endpoint, scheme: Scheme) -> Result<Option<HeaderValue>, AdminError> {
    let text = match scheme {
        Scheme::Nothing => return Ok(None),
        Scheme::Bearer => Zeroizing::new(format!("Bearer {}", *endpoint.password)),
        Scheme::Basic => {
            let pair = Zeroizing::new(format!("{}:{}", endpoint.username, *endpoint.password));
            Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| AdminError::Refused("the token holds characters that HTTP cannot carry".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A failed exchange: a certificate that is not trusted is told from a server that is not there.
pub(crate) fn transport(error: &(dyn StdError + 'static)) -> AdminError {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(problem) = cause.downcast_ref::<rustls::Error>() {
            return AdminError::Tls(problem.to_string());
        }
        next = match cause.downcast_ref::<io::Error>() {
            // An I/O error names what its content is caused by, and hides the content itself.
            Some(error) => error.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => cause.source(),
        };
    }
    AdminError::Unreachable(chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(segment("a-b_c.d~9"), "a-b_c.d~9");
        assert_eq!(segment("a/../b?c#d%é"), "a%2F..%2Fb%3Fc%23d%25%C3%A9");
    }

    #[test]
    fn statuses_become_errors_with_the_words_of_the_engine() {
        assert!(answer(204, "").success().is_ok());
        assert!(answer(404, "").found().unwrap().is_none());
        let refused = answer(401, r#"{"error":"not_authorised","reason":"Login failed"}"#).success().err().unwrap();
        assert_eq!(refused, AdminError::Refused("401 Unauthorized: Login failed".to_owned()));
        let other = answer(400, r#"{"code":"InvalidRequest","message":"no such key"}"#).success().err().unwrap();
        assert_eq!(other, AdminError::Engine("400 Bad Request: no such key".to_owned()));
        assert_eq!(answer(503, "").words(), "503 Service Unavailable");
    }

    #[test]
    fn long_answers_are_not_quoted_whole() {
        let text: &'static str = String::leak("x".repeat(5000));
        assert!(answer(500, text).words().len() < QUOTE_LIMIT + 50);
    }

    #[test]
    fn passwords_are_marked_as_secret() {
        let endpoint = Endpoint {
            engine: portico_crds::common::names::EngineName::RabbitMq,
            host: "::1".to_owned(),
            port: 15671,
            consumer_port: 5671,
            username: "portico_admin".to_owned(),
            password: Zeroizing::new("secret".to_owned()),
            ca: None,
            replicas: Vec::new(),
        };
        let client = HttpClient::new(&endpoint, Scheme::Basic).unwrap();
        assert_eq!(client.base, "http://[::1]:15671");
        let value = client.authorization.unwrap();
        assert!(value.is_sensitive());
        assert_eq!(value.to_str().unwrap(), "Basic cG9ydGljb19hZG1pbjpzZWNyZXQ=");
    }
}
