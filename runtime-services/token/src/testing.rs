//! Keys and claims for the tests of this crate.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{AccessClaims, Jwk, KeySet, Keys};

/// RFC 8410 section 7: the PKCS#8 form of an Ed25519 seed, here 32 times the same byte.
pub(crate) fn pem_of(seed: u8) -> String {
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend([seed; 32]);
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// The public half, RFC 8410 section 4.
pub(crate) fn public_pem_of(seed: u8) -> String {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    der.extend(pair.public_key().as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// A folder with a key for each seed, and their kids. The first is active.
pub(crate) fn write_keys(seeds: &[u8]) -> (TempDir, Vec<String>) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let folder = tempfile::tempdir().unwrap();
    let mut kids = Vec::new();
    for seed in seeds {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[*seed; 32]).unwrap();
        let kid = Jwk::ed25519(pair.public_key().as_ref()).kid;
        fs::write(folder.path().join(format!("{kid}.pem")), pem_of(*seed)).unwrap();
        kids.push(kid);
    }
    fs::write(folder.path().join("active"), format!("{}\n", kids[0])).unwrap();
    (folder, kids)
}

pub(crate) fn key_set(seeds: &[u8]) -> Keys {
    Keys::from(KeySet::load(write_keys(seeds).0.path()).unwrap())
}

/// Good claims, issued at second `iat` for 900 seconds.
pub(crate) fn claims(iat: i64) -> AccessClaims {
    AccessClaims {
        iss: "https://id.example".to_owned(),
        sub: Uuid::from_u128(1),
        aud: vec!["portico".to_owned()],
        exp: iat + 900,
        nbf: iat,
        iat,
        jti: Uuid::from_u128(2),
        sid: Uuid::from_u128(3),
        roles: vec!["user".to_owned()],
        scope: String::new(),
    }
}
