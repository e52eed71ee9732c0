//! `GET /.well-known/jwks.json`

use axum::{Json, extract::State};
use http::{HeaderName, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;

/// How long others may keep the keys. Short enough that a new key is known before it signs.
const CACHE: &str = "public, max-age=300";

/// The public keys (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jwks)]
struct JwksView {
    keys: Vec<JwkView>,
}

/// A public key (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jwk)]
struct JwkView {
    /// Always `OKP`.
    kty: String,
    /// Always `Ed25519`.
    crv: String,
    /// The public key, base64url.
    x: String,
    /// The name that tokens call it by.
    kid: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    use_: String,
    /// Always `EdDSA`.
    alg: String,
}

/// The keys that access tokens are verified with.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "keys", operation_id = "jwks",
    responses((status = 200, description = "Every key that may have signed a token that is still good", body = JwksView)))]
pub async fn jwks(State(state): State<AppState>) -> ([(HeaderName, &'static str); 1], Json<portico_token::Jwks>) {
    ([(header::CACHE_CONTROL, CACHE)], Json((*state.jwks).clone()))
}
