//! Issuing access tokens.

use jsonwebtoken::{Algorithm, Header};

use crate::{ACCESS_TOKEN_TYPE, AccessClaims, Keys};

/// Signs claims with the active key.
#[derive(Debug, Clone)]
pub struct Signer {
    keys: Keys,
}

/// Why a token could not be signed. It means a fault of this program or its keys, never of a request.
#[derive(Debug, thiserror::Error)]
#[error("the access token could not be signed: {reason}")]
pub struct SignError {
    reason: String,
}

impl Signer {
    /// A signer with these keys.
    pub fn new(keys: Keys) -> Self {
        Self { keys }
    }

    /// The token for these claims, in compact form (RFC 7515 section 7.1).
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, SignError> {
        // Key and kid of one and the same set.
        let keys = self.keys.current();
        let key = keys.signing().ok_or_else(|| SignError { reason: "there is no active key".to_owned() })?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(ACCESS_TOKEN_TYPE.to_owned());
        header.kid = Some(keys.active_kid().to_owned());
        jsonwebtoken::encode(&header, claims, key).map_err(|error| SignError { reason: error.to_string() })
    }
}
