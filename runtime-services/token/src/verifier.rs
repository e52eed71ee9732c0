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

use crate::{ACCESS_TOKEN_TYPE, AccessClaims, KeySet};

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
    keys: Arc<KeySet>,
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
    pub fn new(keys: Arc<KeySet>, expected: Expected) -> Self {
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
        let key = self.keys.verifying(&header.kid).ok_or(VerifyError::UnknownKey)?;
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
    let short = typ.get(..12).filter(|prefix| prefix.eq_ignore_ascii_case("application/")).and(typ.get(12..));
    short.unwrap_or(typ).eq_ignore_ascii_case(ACCESS_TOKEN_TYPE)
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
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::{hmac, signature::Ed25519KeyPair};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Signer, testing};

    const NOW: i64 = 1_800_000_000;

    static KEYS: LazyLock<Arc<KeySet>> = LazyLock::new(|| testing::key_set(&[1, 2]));

    fn verifier() -> Verifier {
        let (issuer, audience) = ("https://id.example".to_owned(), "portico".to_owned());
        Verifier::new(KEYS.clone(), Expected { issuer, audience, leeway_seconds: 30 })
    }

    fn verify(token: &str) -> Result<AccessClaims, VerifyError> {
        verifier().verify(token, Timestamp::from_second(NOW).unwrap())
    }

    fn good() -> String {
        Signer::new(KEYS.clone()).sign(&testing::claims(NOW)).unwrap()
    }

    /// A token with this header and payload, rightly signed by key 1, whatever the header says.
    fn forge(header: &str, payload: &Value) -> String {
        let message = format!("{}.{}", b64(header.as_bytes()), b64(payload.to_string().as_bytes()));
        let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        format!("{message}.{}", b64(pair.sign(message.as_bytes()).as_ref()))
    }

    fn b64(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn payload() -> Value {
        serde_json::to_value(testing::claims(NOW)).unwrap()
    }

    fn with(member: &str, value: Value) -> Value {
        let mut payload = payload();
        payload[member] = value;
        payload
    }

    fn header() -> String {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KEYS.active_kid()}).to_string()
    }

    #[test]
    fn what_was_signed_is_verified() {
        assert_eq!(verify(&good()).unwrap(), testing::claims(NOW));
        assert_eq!(verify(&forge(&header(), &payload())).unwrap(), testing::claims(NOW));
    }

    #[test]
    fn a_key_that_no_longer_signs_still_verifies() {
        let older = testing::key_set(&[2]);
        assert_ne!(older.active_kid(), KEYS.active_kid());
        verify(&Signer::new(older).sign(&testing::claims(NOW)).unwrap()).unwrap();
    }

    #[test]
    fn malicious_headers_are_refused_although_the_signature_fits() {
        let kid = KEYS.active_kid();
        let plus = |member: &str, value: Value| {
            let mut header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
            header[member] = value;
            header.to_string()
        };
        let public = serde_json::to_value(&KEYS.jwks().keys[0]).unwrap();
        let table = [
            (plus("jku", json!("https://evil.example/jwks.json")), VerifyError::Header),
            (plus("x5u", json!("https://evil.example/cert.pem")), VerifyError::Header),
            (plus("jwk", public), VerifyError::Header),
            (plus("x5c", json!(["MIIB"])), VerifyError::Header),
            (plus("x5t#S256", json!("AAAA")), VerifyError::Header),
            (plus("crit", json!(["exp"])), VerifyError::Header),
            (plus("crit", json!([])), VerifyError::Header),
            (plus("b64", json!(false)), VerifyError::Header),
            (plus("cty", json!("JWT")), VerifyError::Header),
            (plus("zip", json!("DEF")), VerifyError::Header),
            (plus("enc", json!("A256GCM")), VerifyError::Header),
            (plus("alg", json!("none")), VerifyError::Algorithm),
            (plus("alg", json!("None")), VerifyError::Algorithm),
            (plus("alg", json!("NONE")), VerifyError::Algorithm),
            (plus("alg", json!("")), VerifyError::Algorithm),
            (plus("alg", json!("HS256")), VerifyError::Algorithm),
            (plus("alg", json!("RS256")), VerifyError::Algorithm),
            (plus("alg", json!("ES256")), VerifyError::Algorithm),
            (plus("alg", json!("eddsa")), VerifyError::Algorithm),
            (plus("alg", json!(["EdDSA"])), VerifyError::Header),
            (plus("alg", Value::Null), VerifyError::Header),
            (plus("typ", json!("JWT")), VerifyError::Type),
            (plus("typ", json!("refresh+jwt")), VerifyError::Type),
            (plus("typ", json!("id+jwt")), VerifyError::Type),
            (plus("typ", json!("application/")), VerifyError::Type),
            (plus("typ", json!("applicatioé/at+jwt")), VerifyError::Type),
            (plus("typ", Value::Null), VerifyError::Header),
            (plus("kid", json!("../../etc/passwd")), VerifyError::UnknownKey),
            (plus("kid", json!("' OR 1=1 --")), VerifyError::UnknownKey),
            (plus("kid", json!("https://evil.example/key")), VerifyError::UnknownKey),
            (plus("kid", json!("")), VerifyError::UnknownKey),
            (plus("kid", json!("active")), VerifyError::UnknownKey),
            (plus("kid", json!(7)), VerifyError::Header),
            (json!({"alg": "EdDSA", "typ": "at+jwt"}).to_string(), VerifyError::Header),
            (json!({"alg": "EdDSA", "kid": kid}).to_string(), VerifyError::Header),
            (format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#), VerifyError::Header),
            ("[]".to_owned(), VerifyError::Header),
            ("null".to_owned(), VerifyError::Header),
            ("{".to_owned(), VerifyError::Malformed),
            (String::new(), VerifyError::Malformed),
        ];
        for (header, wanted) in table {
            assert_eq!(verify(&forge(&header, &payload())), Err(wanted), "{header}");
        }
    }

    #[test]
    fn the_published_key_is_no_hmac_secret() {
        let jwk = KEYS.jwks().keys.into_iter().find(|k| k.kid == KEYS.active_kid()).unwrap();
        let secret = URL_SAFE_NO_PAD.decode(jwk.x).unwrap();
        for alg in ["HS256", "EdDSA"] {
            let header = json!({"alg": alg, "typ": "at+jwt", "kid": jwk.kid}).to_string();
            let message = format!("{}.{}", b64(header.as_bytes()), b64(payload().to_string().as_bytes()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            assert!(verify(&format!("{message}.{}", b64(tag.as_ref()))).is_err(), "{alg}");
        }
    }

    #[test]
    fn wrong_claims_are_named() {
        let table = [
            (with("iss", json!("https://id.example/")), VerifyError::Issuer),
            (with("iss", json!("https://evil.example")), VerifyError::Issuer),
            (with("aud", json!("other")), VerifyError::Audience),
            (with("aud", json!([])), VerifyError::Audience),
            (with("exp", json!(NOW - 30)), VerifyError::Expired),
            (with("exp", json!(i64::MIN)), VerifyError::Expired),
            (with("nbf", json!(NOW + 31)), VerifyError::NotYetValid),
            (with("iat", json!(NOW + 31)), VerifyError::NotYetValid),
            (with("nbf", json!(i64::MAX)), VerifyError::NotYetValid),
            (with("exp", json!("soon")), VerifyError::Claims),
            (with("exp", json!(1.5)), VerifyError::Claims),
            (with("exp", Value::Null), VerifyError::Claims),
            (with("sub", json!("somebody@example.org")), VerifyError::Claims),
            (with("sid", json!(1)), VerifyError::Claims),
            (with("aud", json!({"a": 1})), VerifyError::Claims),
            (json!({}), VerifyError::Claims),
        ];
        for (payload, wanted) in table {
            assert_eq!(verify(&forge(&header(), &payload)), Err(wanted), "{payload}");
        }
    }

    #[test]
    fn times_are_good_to_the_second() {
        verify(&forge(&header(), &with("exp", json!(NOW - 29)))).unwrap();
        verify(&forge(&header(), &with("nbf", json!(NOW + 30)))).unwrap();
        verify(&forge(&header(), &with("aud", json!(["other", "portico"])))).unwrap();
    }

    #[test]
    fn leeway_has_a_limit() {
        let expected =
            Expected { issuer: "https://id.example".into(), audience: "portico".into(), leeway_seconds: 86_400 };
        let token = forge(&header(), &with("exp", json!(NOW - 60)));
        let now = Timestamp::from_second(NOW).unwrap();
        assert_eq!(Verifier::new(KEYS.clone(), expected).verify(&token, now), Err(VerifyError::Expired));
    }

    #[test]
    fn parts_are_counted() {
        let token = good();
        let (message, _) = token.rsplit_once('.').unwrap();
        let long = "a".repeat(MAX_TOKEN_BYTES + 1);
        let table = [
            (String::new(), VerifyError::Malformed),
            ("a".to_owned(), VerifyError::Malformed),
            (message.to_owned(), VerifyError::Malformed),
            (format!("{message}."), VerifyError::Signature),
            (format!("{token}."), VerifyError::Malformed),
            (format!("{token}.a.b"), VerifyError::Malformed),
            (long, VerifyError::TooLong),
        ];
        for (token, wanted) in table {
            assert_eq!(verify(&token), Err(wanted), "{token}");
        }
    }

    proptest! {
        #[test]
        fn any_claims_survive_the_round_trip(sub: u128, jti: u128, sid: u128, roles: Vec<String>, scope: String) {
            let mut claims = testing::claims(NOW);
            (claims.sub, claims.jti, claims.sid) =
                (uuid::Uuid::from_u128(sub), uuid::Uuid::from_u128(jti), uuid::Uuid::from_u128(sid));
            (claims.roles, claims.scope) = (roles, scope);
            let token = Signer::new(KEYS.clone()).sign(&claims).unwrap();
            // Longer ones are refused by length, which another test covers.
            prop_assume!(token.len() <= MAX_TOKEN_BYTES);
            prop_assert_eq!(verify(&token).unwrap(), claims);
        }

        #[test]
        fn no_changed_character_goes_unnoticed(at in 0..good().len(), by in 1u8..64) {
            let mut bytes = good().into_bytes();
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let place = alphabet.iter().position(|c| *c == bytes[at]);
            bytes[at] = place.map_or(b'A', |p| alphabet[(p + usize::from(by)) % 64]);
            prop_assert!(verify(&String::from_utf8(bytes).unwrap()).is_err());
        }

        #[test]
        fn no_text_at_all_is_a_token(text in ".{0,300}") {
            prop_assert!(verify(&text).is_err());
        }

        #[test]
        fn no_header_and_payload_at_all_make_the_verifier_panic(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
            let token = format!("{}.{}.AAAA", b64(&header), b64(&payload));
            prop_assert!(verify(&token).is_err());
        }
    }
}
