//! The listener: takes connections, bounds them, and drains them at the end.
//!
//! A client may not hold a connection by sending its headers slowly, and no number of clients may exhaust memory:
//! beyond the limit connections wait in the kernel.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::request::Peer;

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// The most connections at a time. Default 4096.
    pub connections: usize,
    /// How long a client may take to send the headers of a request. Default 10 s.
    pub headers: Duration,
    /// How long connections may take to finish after the stop. Default 20 s.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections: 4096, headers: Duration::from_secs(10), drain: Duration::from_secs(20) }
    }
}

/// Serves until `stop` is cancelled, then until the last request is answered or the drain time is over.
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let builder = connection_builder(limits);
    while let Some((stream, peer, slot)) = next_connection(&listener, &slots, &stop).await {
        let router = router.clone();
        let service = hyper::service::service_fn(move |request| answer(router.clone(), request, peer));
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            // A broken connection is the client's matter; the request's own line was logged.
            if let Err(error) = watched.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    let open = graceful.count();
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(open, seconds = limits.drain.as_secs(), "gave up on connections that did not finish");
    }
}

fn connection_builder(limits: ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.headers);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(64);
    builder
}

type Slot = tokio::sync::OwnedSemaphorePermit;

/// The next connection; nothing when the server is to stop.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, Slot)> {
    let accept = async {
        let slot = slots.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Answers are small and written at once: waiting to fill a packet only adds latency.
                    let _ = stream.set_nodelay(true);
                    return Some((stream, peer, slot));
                }
                Err(error) => rest_after(&error).await,
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        connection = accept => connection,
    }
}

/// Out of file descriptors, say: trying again at once would only burn the processor.
async fn rest_after(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(%error, "cannot take connections");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn answer(
    mut router: Router,
    request: http::Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    router.call(request).await
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
    };

    use super::*;

    struct Running {
        address: SocketAddr,
        stop: CancellationToken,
        done: tokio::task::JoinHandle<()>,
    }

    async fn start(router: Router, limits: ServerLimits) -> Running {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let done = tokio::spawn(serve(listener, router, limits, stop.clone()));
        Running { address, stop, done }
    }

    async fn open(address: SocketAddr, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn a_request_that_has_begun_is_answered_after_the_stop() {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (b, g) = (begun.clone(), go.clone());
        let handler = async move || {
            b.notify_one();
            g.notified().await;
            "answered"
        };
        let running = start(Router::new().route("/", get(handler)), ServerLimits::default()).await;
        let mut stream = open(running.address, GET).await;
        begun.notified().await;
        running.stop.cancel();
        go.notify_one();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("answered"), "{text}");
        running.done.await.unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    #[tokio::test]
    async fn a_request_that_never_ends_does_not_hold_the_process() {
        let begun = Arc::new(Notify::new());
        let b = begun.clone();
        let handler = async move || {
            b.notify_one();
            std::future::pending::<()>().await;
        };
        let limits = ServerLimits { drain: Duration::from_millis(10), ..ServerLimits::default() };
        let running = start(Router::new().route("/", get(handler)), limits).await;
        let _stream = open(running.address, GET).await;
        begun.notified().await;
        running.stop.cancel();
        timeout(Duration::from_secs(5), running.done).await.expect("drained in time").unwrap();
    }

    #[tokio::test]
    async fn slow_headers_end_the_connection() {
        let limits = ServerLimits { headers: Duration::from_millis(20), ..ServerLimits::default() };
        let running = start(Router::new(), limits).await;
        let mut stream = open(running.address, "GET / HTTP/1.1\r\nhost:").await;
        let mut rest = Vec::new();
        let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "the server closed the connection");
        running.stop.cancel();
    }
}
