//! The keys that sign tokens: Ed25519, made once, kept in a Secret as one PEM file a key.
//!
//! Every replica signs with the same key and every other service verifies by its public half, so the Secret is never
//! made anew while it exists.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::labels::Identity;
use portico_operator_backends::binding::data_digest;
use portico_operator_core::rng::{Rng, RngError};
use std::collections::BTreeMap;
use std::fmt;

use crate::instance::inputs::Data;

/// The entry that names the key that signs.
const ACTIVE: &str = "active";

/// A key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No randomness.
    #[error(transparent)]
    Rng(#[from] RngError),
    /// The library refused the seed.
    #[error("a signing key could not be made: {0}")]
    Rejected(#[from] KeyRejected),
    /// The library could not encode the key.
    #[error("a signing key could not be encoded")]
    Encoding(#[from] Unspecified),
}

/// The Secret was changed so that the service cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Secret {secret}: key {key:?} {problem}; restore the Secret from a backup, or delete it to have a new signing key \
     made (all tokens become invalid)"
)]
pub struct InvalidKeys {
    /// The Secret.
    pub secret: String,
    /// The entry.
    pub key: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The entries of the Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeys {
    data: Data,
    exist: bool,
}

impl SigningKeys {
    /// One new key, which signs.
    ///
    /// # Errors
    /// [`KeyError`] when there is no randomness.
    pub fn generate(rng: &dyn Rng) -> Result<Self, KeyError> {
        let mut seed = [0_u8; 32];
        rng.fill(&mut seed)?;
        let (kid, pem) = encode(&seed)?;
        let entry = |key: String, text: String| (key, k8s_openapi::ByteString(text.into_bytes()));
        Ok(Self { data: [entry(format!("{kid}.pem"), pem), entry(ACTIVE.to_owned(), kid)].into(), exist: false })
    }

    /// The keys of an existing Secret.
    ///
    /// # Errors
    /// [`InvalidKeys`] names the entry that is missing or cannot be used.
    pub fn read(secret: &str, data: &Data) -> Result<Self, InvalidKeys> {
        let invalid = |key: String, problem| Err(InvalidKeys { secret: secret.to_owned(), key, problem });
        let text = |key: &str| data.get(key).and_then(|value| std::str::from_utf8(&value.0).ok()).map(str::trim_end);
        let Some(active) = text(ACTIVE).filter(|kid| !kid.is_empty()) else {
            return invalid(ACTIVE.to_owned(), "is missing or empty");
        };
        let file = format!("{active}.pem");
        match text(&file) {
            None => invalid(file, "is missing, although the entry \"active\" names it"),
            Some(pem) if !pem.starts_with("-----BEGIN PRIVATE KEY-----") => {
                invalid(file, "is no private key in PKCS#8 PEM form")
            }
            Some(_) => Ok(Self { data: data.clone(), exist: true }),
        }
    }

    /// Whether they were read from a Secret.
    pub fn exist(&self) -> bool {
        self.exist
    }

    /// The hash that rolls the pods.
    pub fn digest(&self) -> String {
        data_digest(&self.data)
    }

    /// The Secret that keeps them.
    pub fn secret(&self, name: String, identity: Identity<'_>) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
            type_: Some("Opaque".to_owned()),
            data: Some(self.data.clone()),
            ..Secret::default()
        }
    }

    /// The entries, for tests that verify what was made.
    pub fn entries(&self) -> &BTreeMap<String, k8s_openapi::ByteString> {
        &self.data
    }
}

impl fmt::Debug for SigningKeys {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({:?})", self.data.keys())
    }
}

/// The key id (RFC 7638: SHA-256 of the public key as a canonical JWK) and the private key as PKCS#8 PEM.
fn encode(seed: &[u8; 32]) -> Result<(String, String), KeyError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
    let document = pair.to_pkcs8v1()?;
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let pem = pem::encode_config(&pem::Pem::new("PRIVATE KEY", document.as_ref()), config);
    Ok((kid, pem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use portico_operator_core::rng::SeededRng;

    fn keys() -> SigningKeys {
        SigningKeys::generate(&SeededRng::new(1)).unwrap()
    }

    /// The example of RFC 8037, appendix A.3: seed, public key and thumbprint.
    #[test]
    fn the_key_id_is_the_thumbprint_of_rfc_8037() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let (kid, pem) = encode(&seed.try_into().unwrap()).unwrap();
        assert_eq!(kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert!(
            pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("-----END PRIVATE KEY-----\n"),
            "{pem}"
        );
    }

    #[test]
    fn what_was_made_is_read_again_and_hidden_in_debug() {
        let keys = keys();
        let read = SigningKeys::read("s", &keys.data).unwrap();
        assert_eq!((read.digest(), read.exist(), keys.exist()), (keys.digest(), true, false));
        assert!(!format!("{keys:?}").contains("PRIVATE"));
        let pair = keys.data.iter().find(|(key, _)| *key != ACTIVE).unwrap().1;
        let document = pem::parse(&pair.0).unwrap();
        Ed25519KeyPair::from_pkcs8(document.contents()).unwrap_or_else(|_| {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.contents()).expect("PKCS#8 that the library reads")
        });
    }

    #[test]
    fn damage_is_named() {
        let mut data = keys().data;
        let kid = String::from_utf8(data["active"].0.clone()).unwrap();
        data.insert(format!("{kid}.pem"), ByteString(b"zzz".to_vec()));
        assert!(SigningKeys::read("s", &data).unwrap_err().to_string().contains("PKCS#8"));
        data.remove(&format!("{kid}.pem"));
        assert_eq!(SigningKeys::read("s", &data).unwrap_err().key, format!("{kid}.pem"));
        data.remove("active");
        assert_eq!(SigningKeys::read("s", &data).unwrap_err().key, "active");
    }
}
