//! The keys that sign tokens: Ed25519, kept in a Secret as one PEM file a key, beside the words that say how far their
//! replacement has come.
//!
//! Every replica signs with the same key and every other service verifies by its public half, so the Secret is never
//! made anew while it exists. Of a key that signs no more only the public half is kept. The service reads `active` and
//! the PEM files and nothing else; keys that a person adds verify as long as they are there.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::labels::Identity;
use portico_operator_core::rng::{Rng, RngError};

use crate::instance::inputs::Data;

/// The entry that names the key that signs.
const ACTIVE: &str = "active";
/// Since when it does.
const SINCE: &str = "since";
/// The key that is published and will sign.
const NEXT: &str = "next";
/// Since when it is published.
const NEXT_SINCE: &str = "next-since";
/// The request for a replacement that was last acted upon.
const REQUEST: &str = "request";
/// What follows the kid in the entry that says how long a key that signs no more is kept.
const UNTIL: &str = ".until";

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

/// The content of the Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeys {
    /// The kid of the key that signs.
    pub active: String,
    /// Since when it does. Of a key of unknown age, the beginning of time.
    pub since: Timestamp,
    /// The key that is published and will sign, and since when.
    pub next: Option<(String, Timestamp)>,
    /// Keys that sign no more, each with the time at which the last token signed by it has expired.
    pub retired: BTreeMap<String, Timestamp>,
    /// The request for a replacement that was last acted upon.
    pub request: String,
    /// Everything that is neither of these: the keys themselves.
    rest: Data,
    exist: bool,
}

impl SigningKeys {
    /// One new key, which signs from `now` on.
    ///
    /// # Errors
    /// [`KeyError`] when there is no randomness.
    pub fn generate(rng: &dyn Rng, now: Timestamp) -> Result<Self, KeyError> {
        let mut seed = [0_u8; 32];
        rng.fill(&mut seed)?;
        let (kid, pem) = encode(&seed)?;
        let rest = [(file(&kid), ByteString(pem.into_bytes()))].into();
        let (next, retired, request) = (None, BTreeMap::new(), String::new());
        Ok(Self { active: kid, since: now, next, retired, request, rest, exist: false })
    }

    /// The keys of an existing Secret.
    ///
    /// # Errors
    /// [`InvalidKeys`] names the entry that is missing or cannot be used.
    pub fn read(secret: &str, data: &Data) -> Result<Self, InvalidKeys> {
        let invalid = |key: String, problem| InvalidKeys { secret: secret.to_owned(), key, problem };
        let mut rest = data.clone();
        let mut text = |key: &str| rest.remove(key).and_then(|value| String::from_utf8(value.0).ok());
        let mut word = |key: &str| text(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let time = |key: &str, text: Option<String>| {
            let time = text.and_then(|text| text.parse::<Timestamp>().ok());
            time.ok_or_else(|| invalid(key.to_owned(), "is no time such as 2026-01-02T03:04:05Z"))
        };
        let active = word(ACTIVE).ok_or_else(|| invalid(ACTIVE.to_owned(), "is missing or empty"))?;
        let since = word(SINCE).map_or(Ok(Timestamp::UNIX_EPOCH), |text| time(SINCE, Some(text)))?;
        let (next, next_since) = (word(NEXT), word(NEXT_SINCE));
        let next = next.map(|kid| Ok((kid, time(NEXT_SINCE, next_since)?))).transpose()?;
        let request = word(REQUEST).unwrap_or_default();
        let ends: Vec<String> = data.keys().filter_map(|key| key.strip_suffix(UNTIL).map(str::to_owned)).collect();
        let mut retired = BTreeMap::new();
        for kid in ends {
            let key = format!("{kid}{UNTIL}");
            retired.insert(kid, time(&key, word(&key))?);
        }
        let keys = Self { active, since, next, retired, request, rest, exist: true };
        for kid in std::iter::once(&keys.active).chain(keys.next.as_ref().map(|(kid, _)| kid)) {
            match keys.pem(kid) {
                Some(pem) if pem.starts_with("-----BEGIN PRIVATE KEY-----") => {}
                Some(_) => return Err(invalid(file(kid), "is no private key in PKCS#8 PEM form")),
                None => return Err(invalid(file(kid), "is missing, although \"active\" or \"next\" names it")),
            }
        }
        Ok(keys)
    }

    /// Whether they were read from a Secret.
    pub fn exist(&self) -> bool {
        self.exist
    }

    fn pem(&self, kid: &str) -> Option<&str> {
        self.rest.get(&file(kid)).and_then(|value| std::str::from_utf8(&value.0).ok())
    }

    /// Adds the key of another set.
    pub(crate) fn adopt(&mut self, other: &Self) {
        self.rest.extend(other.rest.clone());
    }

    /// Forgets the private half of a key.
    pub(crate) fn publish_only(&mut self, kid: &str) {
        if let Some(public) = self.pem(kid).and_then(public_pem) {
            self.rest.insert(file(kid), ByteString(public.into_bytes()));
        }
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, kid: &str) {
        self.rest.remove(&file(kid));
    }

    /// The entries of the Secret.
    pub fn entries(&self) -> Data {
        let mut words = vec![(ACTIVE.to_owned(), self.active.clone()), (SINCE.to_owned(), self.since.to_string())];
        if !self.request.is_empty() {
            words.push((REQUEST.to_owned(), self.request.clone()));
        }
        if let Some((kid, since)) = &self.next {
            words.extend([(NEXT.to_owned(), kid.clone()), (NEXT_SINCE.to_owned(), since.to_string())]);
        }
        words.extend(self.retired.iter().map(|(kid, until)| (format!("{kid}{UNTIL}"), until.to_string())));
        let words = words.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes())));
        self.rest.clone().into_iter().chain(words).collect()
    }

    /// The Secret that keeps them.
    pub fn secret(&self, name: String, identity: Identity<'_>) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
            type_: Some("Opaque".to_owned()),
            data: Some(self.entries()),
            ..Secret::default()
        }
    }
}

impl fmt::Debug for SigningKeys {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, since, next, retired, request, .. } = self;
        write!(f, "SigningKeys({active} since {since}, next {next:?}, retired {retired:?}, request {request:?})")
    }
}

fn file(kid: &str) -> String {
    format!("{kid}.pem")
}

/// The public half of a private key, both in PEM.
fn public_pem(private: &str) -> Option<String> {
    let document = pem::parse(private).ok()?;
    let pair = Ed25519KeyPair::from_pkcs8(document.contents()).ok()?;
    Some(pem_of("PUBLIC KEY", pair.public_key().as_der().ok()?.as_ref()))
}

fn pem_of(label: &str, document: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, document), config)
}

/// The key id (RFC 7638: SHA-256 of the public key as a canonical JWK) and the private key as PKCS#8 PEM.
fn encode(seed: &[u8; 32]) -> Result<(String, String), KeyError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
    let document = pair.to_pkcs8v1()?;
    Ok((kid, pem_of("PRIVATE KEY", document.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portico_operator_core::rng::SeededRng;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn keys(seed: u64) -> SigningKeys {
        SigningKeys::generate(&SeededRng::new(seed), at(1_000)).unwrap()
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
        let mut keys = keys(1);
        keys.adopt(&self::keys(2));
        keys.next = Some((self::keys(2).active, at(2_000)));
        keys.retired.insert("old".into(), at(3_000));
        keys.request = "now".into();
        keys.rest.insert("by-hand.pem".into(), ByteString(b"zzz".to_vec()));
        let read = SigningKeys::read("s", &keys.entries()).unwrap();
        assert_eq!(read.entries(), keys.entries());
        assert_eq!((read.exist(), keys.exist()), (true, false));
        assert!(!format!("{keys:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_key_of_unknown_age_is_old() {
        let mut data = keys(1).entries();
        data.remove("since");
        data.remove("request");
        let read = SigningKeys::read("s", &data).unwrap();
        assert_eq!((read.since, read.request.as_str()), (Timestamp::UNIX_EPOCH, ""));
    }

    #[test]
    fn of_a_key_that_signs_no_more_the_private_half_is_forgotten() {
        let mut keys = keys(1);
        let kid = keys.active.clone();
        let pair = Ed25519KeyPair::from_pkcs8(pem::parse(keys.pem(&kid).unwrap()).unwrap().contents()).unwrap();
        keys.publish_only(&kid);
        let public = pem::parse(keys.pem(&kid).unwrap()).unwrap();
        assert_eq!(public.tag(), "PUBLIC KEY");
        assert!(public.contents().ends_with(pair.public_key().as_ref()));
        keys.publish_only(&kid);
        assert_eq!(pem::parse(keys.pem(&kid).unwrap()).unwrap(), public);
    }

    #[test]
    fn damage_is_named() {
        let whole = keys(1);
        let error = |change: &dyn Fn(&mut Data)| {
            let mut data = whole.entries();
            change(&mut data);
            SigningKeys::read("s", &data).unwrap_err()
        };
        let text = |text: &str| ByteString(text.as_bytes().to_vec());
        let pem = file(&whole.active);
        assert!(error(&|data| drop(data.insert(pem.clone(), text("zzz")))).to_string().contains("PKCS#8"));
        assert_eq!(error(&|data| drop(data.remove(&pem))).key, pem);
        assert_eq!(error(&|data| drop(data.remove("active"))).key, "active");
        assert_eq!(error(&|data| drop(data.insert("since".into(), text("yesterday")))).key, "since");
        assert_eq!(error(&|data| drop(data.insert("x.until".into(), text("soon")))).key, "x.until");
        assert_eq!(error(&|data| drop(data.insert("next".into(), text("x")))).key, "next-since");
        let next = error(&|data| {
            data.extend([("next".into(), text("x")), ("next-since".into(), text("2026-01-02T03:04:05Z"))]);
        });
        assert_eq!(next.key, "x.pem");
    }
}
