//! Certificates of builtin engines: a CA for each namespace, a certificate for each instance, and how both are replaced
//! without a connection that fails.
//!
//! Pure: from what is in the Secrets and the time to what should be in them. Keys are drawn by the crypto library.
//!
//! One rule makes every replacement safe: a certificate is served only after the CA that signed it has stood in the
//! bundle of that instance for the overlap, and a CA leaves the bundle only when for the overlap nothing that it signed
//! was in use. Bundles are kept for each instance, so an instance that was paused, or a CA that was lost, needs no
//! further rule.

pub mod authority;
pub mod cert_manager;
pub mod leaf;
mod sign;
#[cfg(test)]
mod tests;
pub mod x509;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use portico_crds::common::durations;

pub use sign::{Pair, SigningError};
pub use x509::Certificate;

/// The Secret with a namespace's CA.
pub const AUTHORITY: &str = "portico-ca";
/// On the Secret [`AUTHORITY`], how long an old and a new CA are trusted side by side in each phase of a replacement.
/// Default: one day; at most seven.
pub const OVERLAP_ANNOTATION: &str = "portico.dev/rotation-overlap";
/// The last request for a replacement that was acted upon, on the Secret that was replaced.
pub const REQUEST_ANNOTATION: &str = "portico.dev/rotation-request";
/// Since when: the phase of a CA's replacement, or the bundle of an instance.
pub const SINCE_ANNOTATION: &str = "portico.dev/trust-since";
/// The certificate.
pub const CERTIFICATE_KEY: &str = "tls.crt";
/// Its private key.
pub const PRIVATE_KEY: &str = "tls.key";
/// The certificates that consumers trust.
pub const BUNDLE_KEY: &str = "ca.crt";
/// The type of Secrets with a certificate.
pub const SECRET_TYPE: &str = "kubernetes.io/tls";

const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);
const MOST_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// What a replacement depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The time.
    pub now: Timestamp,
    /// The value of the annotation that asks for a replacement; empty when there is none.
    pub request: &'a str,
    /// How long old and new are trusted side by side.
    pub overlap: Duration,
}

/// The overlap that the Secret of the CA asks for. What cannot be read is the default.
pub fn overlap(authority: &Secret) -> Duration {
    let asked = annotation(authority, OVERLAP_ANNOTATION).and_then(|text| durations::parse(text).ok());
    asked.unwrap_or(DEFAULT_OVERLAP).min(MOST_OVERLAP)
}

/// The overlap of a CA that has just been made.
pub const fn default_overlap() -> Duration {
    DEFAULT_OVERLAP
}

pub(crate) fn annotation<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn entry<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok()
}

fn data(entries: impl IntoIterator<Item = (&'static str, String)>) -> BTreeMap<String, ByteString> {
    entries.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).collect()
}

fn time(secret: &Secret, key: &str) -> Option<Timestamp> {
    annotation(secret, key)?.parse().ok()
}

/// Annotations and certificates have whole seconds.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// Certificates in an order that depends on nothing but themselves, each once.
fn bundle(mut certificates: Vec<Certificate>) -> Vec<Certificate> {
    certificates.sort();
    certificates.dedup();
    certificates
}

fn bundle_pem(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::pem).collect()
}
