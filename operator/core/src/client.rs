//! The API client of the operator: every request is counted and has a deadline, and nothing is written after the lease.
//!
//! The check sits below everything that writes, so no controller can forget it.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{BoxError, Layer, Service};

use crate::lease::LeaseGuard;
use crate::metrics::Metrics;

/// Longest wait for the head of an answer, watches apart (kube ends those that fall silent).
const ANSWER: Duration = Duration::from_secs(30);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A write was asked for without the lease.
#[derive(Debug, thiserror::Error)]
#[error("this process does not hold the lease, so it must not write")]
pub struct NotLeading;

/// The API server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the API server within {0:?}")]
pub struct NoAnswer(Duration);

/// A client for this cluster. With a `guard`, it writes only while the lease is held.
pub fn build(mut config: Config, metrics: Metrics, guard: Option<LeaseGuard>) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(CONNECT);
    let layer = Limits { metrics, guard };
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// Adds [`Limited`] to a client.
#[derive(Clone, Debug)]
struct Limits {
    metrics: Metrics,
    guard: Option<LeaseGuard>,
}

impl<S> Layer<S> for Limits {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, limits: self.clone() }
    }
}

/// A service whose requests are counted and limited.
#[derive(Debug)]
struct Limited<S> {
    inner: S,
    limits: Limits,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.method().clone();
        let Some(deadline) = self.limits.deadline(&request) else {
            return futures::future::ready(Err(NotLeading.into())).boxed();
        };
        let answer = self.inner.call(request);
        let metrics = self.limits.metrics.clone();
        async move {
            let result = match tokio::time::timeout(deadline, answer).await {
                Ok(result) => result.map_err(Into::into),
                Err(_) => Err(NoAnswer(deadline).into()),
            };
            metrics.request(method.as_str(), result.as_ref().ok().map(|response| response.status().as_u16()));
            result
        }
        .boxed()
    }
}

impl Limits {
    /// How long the request may take; `None` when it must not be sent. A write has to end before the lease does.
    fn deadline<T>(&self, request: &Request<T>) -> Option<Duration> {
        let reads = request.method() == Method::GET;
        match &self.guard {
            Some(guard) if !reads => guard.time_left().map(|left| left.min(ANSWER)),
            _ => Some(ANSWER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::LeaseGuard;

    fn request(method: Method) -> Request<()> {
        Request::builder().method(method).uri("/api").body(()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn writes_end_with_the_lease_and_reads_go_on() {
        let guard = LeaseGuard::default();
        let limits = Limits { metrics: Metrics::default(), guard: Some(guard.clone()) };
        assert_eq!(limits.deadline(&request(Method::PATCH)), None);
        assert_eq!(limits.deadline(&request(Method::GET)), Some(ANSWER));

        guard.hold(tokio::time::Instant::now(), Duration::from_secs(10), Duration::from_secs(15));
        assert_eq!(limits.deadline(&request(Method::DELETE)), Some(Duration::from_secs(15)));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(limits.deadline(&request(Method::POST)), Some(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(limits.deadline(&request(Method::POST)), None);
    }
}
