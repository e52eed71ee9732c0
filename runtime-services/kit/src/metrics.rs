//! Metrics in the OpenMetrics text format, on a listener of their own.
//!
//! Labels have few values: route templates, never paths; classes of status codes; known methods.

use std::{fmt, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{Method, StatusCode, header};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tracing::Instrument as _;

use crate::request::RequestId;

/// The metrics of a service.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    service: &'static str,
    version: &'static str,
}

impl Metrics {
    /// The metrics that every service has, and those that `more` registers.
    pub fn new(service: &'static str, version: &'static str, more: impl FnOnce(&mut Registry)) -> Self {
        let requests = Family::default();
        let durations = Family::new_with_constructor(new_histogram as fn() -> Histogram);
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { service, version }).set(1);
        let mut registry = Registry::default();
        registry.register("portico_http_requests", "Requests answered", requests.clone());
        registry.register("portico_http_request_duration_seconds", "How long answers took", durations.clone());
        registry.register("portico_build_info", "Which program this is; always 1", build);
        more(&mut registry);
        Self { registry: Arc::new(registry), requests, durations }
    }

    /// The router of the metrics listener: `/metrics` and nothing else.
    pub fn router(&self) -> Router {
        Router::new().route("/metrics", get(expose)).with_state(self.clone())
    }

    /// All metrics as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

async fn expose(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Middleware: counts and times a request, and logs one line about it.
pub(crate) async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = known(request.method());
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let span = tracing::info_span!("request", request_id = %id, method, route);
    let response = next.run(request).instrument(span.clone()).await;
    let (took, status) = (start.elapsed(), response.status());
    let labels = RequestLabels { method, route, status: class(status) };
    metrics.requests.get_or_create(&labels).inc();
    metrics.durations.get_or_create(&labels).observe(took.as_secs_f64());
    let _entered = span.enter();
    // Probes come every few seconds and say nothing while they succeed.
    if labels.route.ends_with("livez") || labels.route.ends_with("readyz") {
        tracing::debug!(status = status.as_u16(), duration_us = took.as_micros(), "answered");
    } else {
        tracing::info!(status = status.as_u16(), duration_us = took.as_micros(), "answered");
    }
    response
}

fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// From a millisecond to ten seconds, with more steps where a password hash and where everything else falls.
fn new_histogram() -> Histogram {
    Histogram::new([0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}
