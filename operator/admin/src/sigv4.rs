//! Requests with a signature of AWS (version 4), which S3 and DynamoDB take instead of a password.
//!
//! Signs and sends; what is asked and what an answer means is for the caller. The secret key never leaves this process.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::error::chain;
use crate::http::{Answer, HttpClient, Scheme};
use crate::{AdminError, Endpoint, Login};

/// The time now, for signatures: a request is refused that is minutes away from the clock of its receiver.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a signature is for.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// `s3` or `dynamodb`.
    pub(crate) service: &'static str,
    /// The region.
    pub(crate) region: String,
}

/// A client whose requests are signed.
pub(crate) struct SignedClient {
    http: HttpClient,
    origin: String,
    scope: Scope,
    clock: Clock,
}

impl SignedClient {
    /// A client of `endpoint`'s `port`, for signatures in `scope` at the time of `clock`. Connects only when used.
    ///
    /// # Errors
    /// [`AdminError::Tls`] when the CA cannot be read.
    pub(crate) fn new(endpoint: &Endpoint, port: u16, scope: Scope, clock: Clock) -> Result<Self, AdminError> {
        let http = HttpClient::new(&Endpoint { port, ..endpoint.clone() }, Scheme::Nothing)?;
        Ok(Self { origin: http.base().to_owned(), http, scope, clock })
    }

    /// Sends `body` as `login`. `path` holds the query too, both percent-encoded. Any status is an answer.
    ///
    /// # Errors
    /// [`AdminError::Refused`] when the login cannot be signed with, or as for [`HttpClient::send_bytes`].
    pub(crate) async fn send(
        &self,
        login: &Login,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Answer, AdminError> {
        let url = format!("{}{path}", self.origin);
        let signature = self.signature(login, &method, &url, headers, &body)?;
        let signature = signature.iter().map(|(name, value)| (name.clone(), value.as_str()));
        let headers: Vec<_> = headers.iter().cloned().chain(signature).collect();
        self.http.send_bytes(method, path, &headers, body).await
    }

    /// The headers that the request needs beside `headers`.
    fn signature(
        &self,
        login: &Login,
        method: &Method,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: &[u8],
    ) -> Result<Vec<(HeaderName, String)>, AdminError> {
        let unsignable = |error: &dyn std::error::Error| {
            AdminError::Refused(format!("the access key cannot sign a request: {}", chain(error)))
        };
        let identity = Credentials::new(&login.username, login.password.as_str(), None, None, "login").into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.scope.region)
            .name(self.scope.service)
            .time(SystemTime::from((self.clock)()))
            .settings(settings(self.scope.service))
            .build()
            .map_err(|error| unsignable(&error))?
            .into();
        let named = headers.iter().map(|(name, value)| (name.as_str(), *value));
        let request = SignableRequest::new(method.as_str(), url, named, SignableBody::Bytes(body))
            .map_err(|error| unsignable(&error))?;
        let (instructions, _) = sign(request, &params).map_err(|error| unsignable(&error))?.into_parts();
        let header = |(name, value): (&str, &str)| {
            HeaderValue::from_str(value).map_err(|error| unsignable(&error))?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unsignable(&error))?;
            Ok((name, value.to_owned()))
        };
        instructions.headers().map(header).collect()
    }
}

/// S3 takes the path as it is sent and the sum of the body in a header; the other services do neither.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}
