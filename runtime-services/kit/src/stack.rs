//! The layers around every router: what a request passes through before and after its handler.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use crate::{Problem, metrics, metrics::Metrics, problem, request};

/// The bounds of a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in bytes. Default 64 KiB.
    pub body_bytes: usize,
    /// How long a handler may take. Default 15 s.
    pub handler: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 64 * 1024, handler: Duration::from_secs(15) }
    }
}

/// What browsers are told not to do with answers. This is an API: nothing may be framed, sniffed, run or kept.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Puts the layers around a router. From the outside in: request id, log and metrics, security headers, problems,
/// panics, time limit, body limit.
pub fn wrap(router: Router, metrics: &Metrics, limits: Limits) -> Router {
    let timeout = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limits.handler);
    router
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(timeout)
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::from_fn(problem::complete))
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn_with_state(metrics.clone(), metrics::observe))
        .layer(middleware::from_fn(request::assign_id))
}

/// Middleware: adds the headers that the handler has not set itself.
async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// The panic itself was logged by the hook of [`crate::telemetry`].
fn after_panic(_: Box<dyn Any + Send>) -> Response {
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        routing::{get, post},
    };
    use http_body_util::BodyExt as _;
    use serde::Deserialize;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::json::Json;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        #[expect(dead_code, reason = "only its reading is of interest")]
        number: u8,
    }

    async fn panicking() {
        panic!("secret-in-a-panic");
    }

    fn router() -> (Router, Metrics) {
        let metrics = Metrics::new("test", "1", |_| {});
        let router = Router::new()
            .route("/things/{id}", get(async || "fine"))
            .route("/panic", get(panicking))
            .route("/never", get(std::future::pending::<()>))
            .route("/in", post(async |_: Json<Input>| "fine"));
        let limits = Limits { body_bytes: 100, handler: Duration::from_millis(20) };
        (wrap(router, &metrics, limits), metrics)
    }

    async fn ask(method: &str, path: &str, kind: &str, body: String) -> (Response<Body>, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("x-request-id", "given-by-caller").body(Body::from(body)).unwrap();
        let response = router().0.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, Body::empty()), serde_json::from_slice(&bytes).unwrap_or_default())
    }

    #[tokio::test]
    async fn every_error_is_a_problem_with_code_and_request_id() {
        let json = "application/json";
        let table = [
            ("GET", "/nowhere", json, String::new(), 404, "not_found"),
            ("DELETE", "/things/1", json, String::new(), 405, "method_not_allowed"),
            ("GET", "/panic", json, String::new(), 500, "internal"),
            ("GET", "/never", json, String::new(), 503, "timeout"),
            ("POST", "/in", "text/plain", "{}".into(), 415, "unsupported_media_type"),
            ("POST", "/in", json, "{".into(), 400, "malformed_json"),
            ("POST", "/in", json, "{\"number\": \"x\"}".into(), 422, "validation_failed"),
            ("POST", "/in", json, "{\"number\": 1, \"more\": 2}".into(), 422, "validation_failed"),
            ("POST", "/in", json, format!("\"{}\"", "x".repeat(200)), 413, "payload_too_large"),
        ];
        for (method, path, kind, body, status, code) in table {
            let (response, problem) = ask(method, path, kind, body).await;
            assert_eq!(response.status(), status, "{method} {path} {problem}");
            assert_eq!(response.headers()["content-type"], problem::CONTENT_TYPE);
            assert_eq!(problem["code"], code, "{method} {path}");
            assert_eq!(problem["status"], status);
            assert_eq!(problem["type"], format!("urn:portico:problem:{code}"));
            assert_eq!(problem["request_id"], "given-by-caller");
            assert!(!problem.to_string().contains("secret-in-a-panic"));
        }
    }

    #[tokio::test]
    async fn a_405_says_what_is_allowed() {
        let (response, _) = ask("DELETE", "/things/1", "", String::new()).await;
        assert_eq!(response.headers()["allow"], "GET,HEAD");
    }

    #[tokio::test]
    async fn every_answer_has_the_security_headers_and_its_id() {
        for path in ["/things/1", "/nowhere"] {
            let (response, _) = ask("GET", path, "", String::new()).await;
            for (name, value) in HEADERS {
                assert_eq!(response.headers()[&name], value, "{path} {name}");
            }
            assert_eq!(response.headers()["x-request-id"], "given-by-caller");
        }
    }

    #[tokio::test]
    async fn metrics_count_by_template_and_class() {
        let (router, metrics) = router();
        for path in ["/things/1", "/things/2", "/nowhere"] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let text = metrics.text().unwrap();
        let things = r#"portico_http_requests_total{method="GET",route="/things/{id}",status="2xx"} 2"#;
        assert!(text.contains(things), "{text}");
        assert!(text.contains(r#"route="unmatched",status="4xx"} 1"#), "{text}");
        assert!(text.contains(r#"portico_build_info{service="test",version="1"} 1"#), "{text}");
    }
}
