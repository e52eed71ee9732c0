//! What is known about a request before any handler sees it: its id and its sender.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{extract::FromRequestParts, extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue, header, request::Parts};

use crate::rng::{SystemRng, uuid_v7};

/// The header with the id of a request, taken over from a caller that sends a usable one.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: in its log lines, its answer's header and its problem.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

/// The address at the other end of the connection. Forwarding headers are not looked at: anybody can write them.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Who sent a request, as far as one can tell.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// The address at the other end of the connection.
    pub address: Option<String>,
    /// What the program calls itself, cut to 256 characters.
    pub user_agent: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address: parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical().to_string()),
            user_agent: agent.map(|agent| agent.chars().take(256).collect()),
        })
    }
}

/// Middleware: gives the request its id and the answer the same.
pub(crate) async fn assign_id(mut request: Request, next: Next) -> Response {
    let sent = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_usable(id));
    let id: Arc<str> = sent.map_or_else(new_id, str::to_owned).into();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Ids from outside end up in logs: only short and harmless ones are taken over.
fn is_usable(id: &str) -> bool {
    (8..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn new_id() -> String {
    use crate::clock::{Clock as _, SystemClock};
    uuid_v7(SystemClock.now(), &SystemRng).simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_ids_are_taken_over() {
        for good in ["0123456789abcdef", "req-1234", "a.b_c-d.e"] {
            assert!(is_usable(good), "{good}");
        }
        for bad in ["", "short", "with blank", "line\nend12", "\"quoted\"", "ünïcödé1", &"a".repeat(129)] {
            assert!(!is_usable(bad), "{bad}");
        }
    }
}
