//! Verifying access tokens: RFC 9068 section 4 with the rules of RFC 8725.
//!
//! Every rule is an allow-list. The header may have `alg`, `typ` and `kid` and nothing else, so whatever a token says
//! about where its key is (`jku`, `x5u`, `jwk`, `x5c`) or how it wants to be read (`crit`, `b64`, `cty`, `zip`) is
//! refused before a signature is looked at. Claims are read only after the signature was found good.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use crate::{ACCESS_TOKEN_TYPE, AccessClaims, Keys};

/// Longer tokens are refused unread. Ours have about 700 bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The most that clocks may differ by, in seconds.
pub const MAX_LEEWAY_SECONDS: u32 = 60;

/// What every token must say.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The one good `iss`.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// By how many seconds clocks may differ; more than [`MAX_LEEWAY_SECONDS`] counts as that.
    pub leeway_seconds: u32,
}

/// Verifies tokens against a key set.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Keys,
    expected: Arc<Expected>,
    signature_only: Arc<Validation>,
}

/// What is wrong with a token. The texts are safe to log and to answer: none carries a part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not three base64url parts with a JSON header.
    #[error("the token is not a signed JWT in compact form")]
    Malformed,
    /// The header has more than `alg`, `typ` and `kid`, has one twice, or lacks one.
    #[error("the token's header must have alg, typ and kid, once each, and nothing else")]
    Header,
    /// Some other kind of token.
    #[error("the token is not an access token (typ {ACCESS_TOKEN_TYPE})")]
    Type,
    /// Signed by an algorithm that is not allowed.
    #[error("the token's algorithm is not allowed; only EdDSA is")]
    Algorithm,
    /// Signed by a key that is not ours, or no longer.
    #[error("the token was signed by a key that is not known here")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// Well signed, but without the claims of an access token.
    #[error("the token does not have the claims of an access token")]
    Claims,
    /// From somebody else.
    #[error("the token is from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// The only header that is read. Serde refuses a member twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
    kid: String,
}

impl Verifier {
    /// A verifier that knows these keys and wants this issuer and audience.
    pub fn new(keys: Keys, expected: Expected) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        // The claims are checked here, against the time that the caller gives, and more strictly than there.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let leeway_seconds = expected.leeway_seconds.min(MAX_LEEWAY_SECONDS);
        let expected = Expected { leeway_seconds, ..expected };
        Self { keys, expected: Arc::new(expected), signature_only: Arc::new(validation) }
    }

    /// The claims of a good access token.
    ///
    /// # Errors
    /// The first rule that the token breaks, in the order: length, form, header, type, algorithm, key, signature,
    /// claims, issuer, audience, times.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, VerifyError> {
        let header = read_header(token)?;
        if !is_access_type(&header.typ) {
            return Err(VerifyError::Type);
        }
        if header.alg != "EdDSA" {
            return Err(VerifyError::Algorithm);
        }
        let keys = self.keys.current();
        let key = keys.verifying(&header.kid).ok_or(VerifyError::UnknownKey)?;
        let decoded = jsonwebtoken::decode::<AccessClaims>(token, key, &self.signature_only);
        let claims = decoded.map_err(|error| from_library(&error))?.claims;
        self.check(&claims, now.as_second())?;
        Ok(claims)
    }

    fn check(&self, claims: &AccessClaims, now: i64) -> Result<(), VerifyError> {
        let leeway = i64::from(self.expected.leeway_seconds);
        if claims.iss != self.expected.issuer {
            return Err(VerifyError::Issuer);
        }
        if !claims.aud.contains(&self.expected.audience) {
            return Err(VerifyError::Audience);
        }
        if claims.exp.saturating_add(leeway) <= now {
            return Err(VerifyError::Expired);
        }
        if claims.nbf.max(claims.iat).saturating_sub(leeway) > now {
            return Err(VerifyError::NotYetValid);
        }
        Ok(())
    }
}

fn read_header(token: &str) -> Result<StrictHeader, VerifyError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(VerifyError::TooLong);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, _, _] = parts.as_slice() else { return Err(VerifyError::Malformed) };
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| VerifyError::Malformed)?;
    serde_json::from_slice(&header).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => VerifyError::Header,
        _ => VerifyError::Malformed,
    })
}

/// RFC 9068 section 4: either spelling, letters of either case.
fn is_access_type(typ: &str) -> bool {
    let short = match typ.split_once('/') {
        Some((prefix, short)) if prefix.eq_ignore_ascii_case("application") => short,
        _ => typ,
    };
    short.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE)
}

fn from_library(error: &jsonwebtoken::errors::Error) -> VerifyError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => VerifyError::Signature,
        ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidClaimFormat(_) => VerifyError::Claims,
        ErrorKind::InvalidAlgorithm => VerifyError::Algorithm,
        _ => VerifyError::Malformed,
    }
}

#[cfg(test)]
mod tests;
