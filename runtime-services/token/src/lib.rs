//! Access tokens (RFC 9068): issuing them, verifying them, and the keys for both.
//!
//! This crate reads no clock and no random source: times and identifiers are arguments. It opens no connection, and
//! a key comes from nowhere but the folder that was configured; what a token's header says about keys is refused.
//!
//! # The folder of signing keys
//! One file `<kid>.pem` a key, PKCS#8 (RFC 5958) in PEM with the label `PRIVATE KEY`, Ed25519 (RFC 8410). The kid is
//! the RFC 7638 thumbprint of the public key (SHA-256, base64url without padding; RFC 8037 appendix A.3 has an
//! example). The file `active` holds the kid of the key that signs. All keys verify and are published. Of a key that
//! signs no more the public half is enough, under the same name with the label `PUBLIC KEY`.
//! `openssl genpkey -algorithm ED25519` writes a key.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

mod claims;
mod jwks;
mod keys;
mod signer;
#[cfg(test)]
mod testing;
mod verifier;

pub use claims::AccessClaims;
pub use jwks::{Jwk, Jwks};
pub use keys::{KeyError, KeySet, Keys};
pub use signer::{SignError, Signer};
pub use verifier::{Expected, MAX_LEEWAY_SECONDS, MAX_TOKEN_BYTES, Verifier, VerifyError};

/// The `typ` of an access token's header, RFC 9068 section 2.1.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
