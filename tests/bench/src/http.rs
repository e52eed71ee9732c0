//! A small JSON client for loopback, with keep-alive connections.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one service.
#[derive(Clone)]
pub(crate) struct Http {
    base: String,
    client: Client<HttpConnector, Full<std::collections::VecDeque<u8>>>,
}

/// A status, the parsed body, and how long it took from sending to the last byte.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl Http {
    /// `base` is scheme, host and port.
    pub(crate) fn new(base: impl Into<String>) -> Self {
        Self { base: base.into(), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, token, &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, None, body).await
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>, body: &Value) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let content = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let request = request.header("content-type", "application/json").body(Full::new(content.into()))?;
        let sent = Instant::now();
        let response = self.client.request(request).await.with_context(|| format!("{}{path}", self.base))?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let took = sent.elapsed();
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), took })
    }
}
