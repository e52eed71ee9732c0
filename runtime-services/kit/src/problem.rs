//! Errors as RFC 9457 problems. Whatever fails anywhere leaves the service as `application/problem+json` with a
//! stable `code` and the id of the request.

use std::borrow::Cow;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::request::RequestId;

/// The media type of problems.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error that a caller is told about. Carries nothing that a caller must not know.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    body: ProblemBody,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of an error (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The kind of problem, as a URI: `urn:portico:problem:` and the code.
    #[serde(rename = "type")]
    pub type_: String,
    /// The kind of problem in words. The same for every occurrence.
    pub title: Cow<'static, str>,
    /// The HTTP status code.
    pub status: u16,
    /// What went wrong this time and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The kind of problem for programs. Never changes its meaning.
    pub code: &'static str,
    /// The id under which the request is found in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The fields that are wrong, when the problem is about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The name of the field.
    pub field: &'static str,
    /// What is wrong and what would be good.
    pub message: String,
}

impl Problem {
    /// A problem of a kind. `code` and `title` belong together and never change.
    pub fn new(status: StatusCode, code: &'static str, title: impl Into<Cow<'static, str>>) -> Self {
        let body = ProblemBody {
            type_: format!("urn:portico:problem:{code}"),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            code,
            request_id: None,
            errors: Vec::new(),
            members: Map::new(),
        };
        Self { status, body, headers: Vec::new() }
    }

    /// Something is broken here. What it is goes to the log, not to the caller.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed")
            .with_detail("The request id leads to the details in the service's log.")
    }

    /// Fields that cannot be used.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", "Some fields cannot be used");
        problem.body.errors = errors;
        problem
    }

    /// A dependency is away or too much is going on: try again in `seconds`.
    pub fn unavailable(code: &'static str, title: &'static str, seconds: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title).with_header(header::RETRY_AFTER, seconds.into())
    }

    /// Adds what went wrong this time.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.body.detail = Some(detail.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a member of its own (RFC 9457 section 3.2).
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.body.members.insert(name.to_owned(), value);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.body.code
    }

    /// The problem that stands for a bare error status, as libraries answer them.
    fn from_status(status: StatusCode) -> Self {
        let (code, title) = match status {
            StatusCode::NOT_FOUND => ("not_found", "There is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "The address does not take this method"),
            StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "The request is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "The body is of a kind not taken here"),
            StatusCode::UNPROCESSABLE_ENTITY => ("validation_failed", "Some fields cannot be used"),
            StatusCode::SERVICE_UNAVAILABLE => ("timeout", "The request took too long"),
            status if status.is_client_error() => ("bad_request", "The request cannot be understood"),
            _ => return Self { status, ..Self::internal() },
        };
        Self::new(status, code, title)
    }

    fn render(self) -> Response {
        let body = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

impl IntoResponse for Problem {
    /// The problem also travels beside the body, so that [`complete`] can add the request's id.
    fn into_response(self) -> Response {
        let mut response = self.clone().render();
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware: adds the request's id to every problem, and makes problems of errors that libraries answered.
pub(crate) async fn complete(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string());
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let known = response.extensions_mut().remove::<Problem>();
    let mut problem = known.unwrap_or_else(|| {
        let mut problem = Problem::from_status(status);
        // A 405 has to say which methods are good (RFC 9110 section 15.5.6).
        problem.headers.extend(response.headers().get(header::ALLOW).cloned().map(|value| (header::ALLOW, value)));
        problem
    });
    problem.body.request_id = id;
    problem.render()
}
