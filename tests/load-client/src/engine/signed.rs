//! HTTP requests with a signature of AWS (version 4), for S3 and DynamoDB.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;

use super::{Failure, Session, causes, tls};
use crate::binding::Binding;

/// The longest part of an answer that appears in a failure, in characters.
const QUOTE: usize = 300;

/// A client of one service, which keeps one connection.
pub(super) struct Signed {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    origin: String,
    service: &'static str,
    region: String,
    credentials: Credentials,
    clock: fn() -> Timestamp,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Signed {
    pub(super) fn new(binding: &Binding, session: &Session, service: &'static str) -> Result<Self, Failure> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let config = tls::config(binding.ca.as_deref())?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(tcp);
        let scheme = if binding.ca.is_some() { "https" } else { "http" };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector),
            origin: format!("{scheme}://{}:{}", binding.host, binding.port),
            service,
            region: binding.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            credentials: Credentials::new(&binding.username, &binding.password, None, None, "binding"),
            clock: session.clock,
        })
    }

    /// Sends `body`; any status is an answer. `path` is percent-encoded.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let url = format!("{}{path}", self.origin);
        let mut request = Request::builder().method(method.clone()).uri(&url);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        for (name, value) in self.signature(&method, &url, headers, &body)? {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::Engine(error.to_string()))?;
        let answer = self.client.request(request).await.map_err(|error| Failure::Unreachable(causes(&error)))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| Failure::Unreachable(causes(&error)))?;
        Ok(Answer { status: head.status, body: body.to_bytes() })
    }

    fn signature(
        &self,
        method: &Method,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: &[u8],
    ) -> Result<Vec<(String, HeaderValue)>, Failure> {
        let unsignable = |error: &dyn std::error::Error| Failure::Engine(format!("cannot sign: {}", causes(error)));
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::from((self.clock)()))
            .settings(settings(self.service))
            .build()
            .map_err(|error| unsignable(&error))?
            .into();
        let named = headers.iter().map(|(name, value)| (name.as_str(), *value));
        let request = SignableRequest::new(method.as_str(), url, named, SignableBody::Bytes(body))
            .map_err(|error| unsignable(&error))?;
        let (instructions, _) = sign(request, &params).map_err(|error| unsignable(&error))?.into_parts();
        let value = |(name, value): (&str, &str)| {
            Ok((name.to_owned(), HeaderValue::from_str(value).map_err(|error| unsignable(&error))?))
        };
        instructions.headers().map(value).collect()
    }
}

/// S3 takes the path as it is sent, and the sum of the body in a header.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

impl Answer {
    /// This answer if its status says success.
    pub(super) fn success(self) -> Result<Self, Failure> {
        let words = || {
            let body = String::from_utf8_lossy(&self.body);
            format!("{} {}", self.status, body.chars().take(QUOTE).collect::<String>())
        };
        match self.status {
            status if status.is_success() => Ok(self),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::Refused(words())),
            _ => Err(Failure::Engine(words())),
        }
    }
}
