//! What a token must be, and everything that it must not.

use std::sync::LazyLock;

use aws_lc_rs::{hmac, signature::Ed25519KeyPair};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Signer, testing};

const NOW: i64 = 1_800_000_000;

static KEYS: LazyLock<Keys> = LazyLock::new(|| testing::key_set(&[1, 2]));

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
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KEYS.current().active_kid()}).to_string()
}

#[test]
fn what_was_signed_is_verified() {
    assert_eq!(verify(&good()).unwrap(), testing::claims(NOW));
    assert_eq!(verify(&forge(&header(), &payload())).unwrap(), testing::claims(NOW));
}

#[test]
fn a_key_that_no_longer_signs_still_verifies() {
    let older = testing::key_set(&[2]);
    assert_ne!(older.current().active_kid(), KEYS.current().active_kid());
    verify(&Signer::new(older).sign(&testing::claims(NOW)).unwrap()).unwrap();
}

#[test]
fn malicious_headers_are_refused_although_the_signature_fits() {
    let keys = KEYS.current();
    let kid = keys.active_kid();
    let plus = |member: &str, value: Value| {
        let mut header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        header[member] = value;
        header.to_string()
    };
    let public = serde_json::to_value(&KEYS.current().jwks().keys[0]).unwrap();
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
    let keys = KEYS.current();
    let jwk = keys.jwks().keys.into_iter().find(|k| k.kid == keys.active_kid()).unwrap();
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
    let expected = Expected { issuer: "https://id.example".into(), audience: "portico".into(), leeway_seconds: 86_400 };
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
