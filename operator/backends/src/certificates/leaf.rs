//! The certificate of one instance, and the bundle that its consumers check it against.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::labels::Identity;

use super::authority::Authority;
use super::{
    BUNDLE_KEY, CERTIFICATE_KEY, Certificate, Facts, PRIVATE_KEY, Pair, REQUEST_ANNOTATION, SECRET_TYPE,
    SINCE_ANNOTATION, SigningError, after, annotation, bundle, bundle_pem, data, entry, sign, time, whole_seconds,
};

/// So long before its end a certificate is replaced also when its successor's CA is not known everywhere yet.
const LAST_MOMENT: Duration = Duration::from_hours(24);

/// What the Secret of an instance holds. What cannot be read is as if it were not there.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pair: Option<Pair>,
    bundle: Vec<Certificate>,
    /// When the bundle last got a further CA, or the certificate another signer.
    since: Option<Timestamp>,
    /// The last request for a new certificate that was acted upon.
    request: String,
}

impl Found {
    /// Reads the Secret.
    pub fn read(secret: Option<&Secret>) -> Self {
        let Some(secret) = secret else { return Self::default() };
        let text = |key| entry(secret, key).unwrap_or_default();
        Self {
            pair: Pair::read(text(CERTIFICATE_KEY), text(PRIVATE_KEY)),
            bundle: Certificate::all(text(BUNDLE_KEY)),
            since: time(secret, SINCE_ANNOTATION),
            request: annotation(secret, REQUEST_ANNOTATION).unwrap_or_default().to_owned(),
        }
    }

    /// Whether the certificate can be served and checked for the time being.
    fn usable(&self, now: Timestamp) -> Option<&Pair> {
        let known = |pair: &&Pair| self.bundle.iter().any(|authority| pair.certificate.signed_by(authority));
        self.pair.as_ref().filter(|pair| pair.certificate.is_valid(now)).filter(known)
    }
}

/// What the Secret of an instance should hold.
#[derive(Clone, Debug)]
pub struct Leaf {
    pair: Pair,
    bundle: Vec<Certificate>,
    since: Timestamp,
    request: String,
    due: Timestamp,
}

impl Leaf {
    /// From what is there to what should be there. `names` are DNS names and addresses, the first is the subject.
    ///
    /// # Errors
    /// [`SigningError`] when the crypto library refuses.
    pub fn plan(
        found: &Found,
        authority: &Authority,
        names: &[String],
        facts: Facts<'_>,
    ) -> Result<Self, SigningError> {
        let now = whole_seconds(facts.now);
        let trusted = authority.bundle();
        let grown = trusted.iter().any(|certificate| !found.bundle.contains(certificate));
        let since = found.since.filter(|_| !grown).unwrap_or(now);
        let kept = found.usable(now).filter(|pair| {
            let wanted = wanted(&pair.certificate, found, authority, names, facts);
            let same_signer = pair.certificate.signed_by(&authority.current().certificate);
            let spread = same_signer || now >= after(since, facts.overlap);
            let ending = after(now, LAST_MOMENT) >= pair.certificate.not_after();
            !wanted || !(spread || ending)
        });
        let (pair, request) = match kept {
            Some(pair) => (pair.clone(), found.request.clone()),
            None => (sign::leaf(authority.current(), names, now)?, facts.request.to_owned()),
        };
        let moved =
            kept.is_none() && found.pair.as_ref().is_some_and(|old| !old.certificate.same_signer(&pair.certificate));
        let since = if moved { now } else { since };
        let leaving = after(since, facts.overlap);
        let needed = |one: &&Certificate| one.is_valid(now) && (pair.certificate.signed_by(one) || now < leaving);
        let bundle = self::bundle(trusted.iter().chain(found.bundle.iter().filter(needed)).cloned().collect());
        let mut leaf = Self { pair, bundle, since, request, due: Timestamp::MAX };
        leaf.due = leaf.next(authority, &trusted, leaving);
        Ok(leaf)
    }

    /// When there is something to do again.
    fn next(&self, authority: &Authority, trusted: &[Certificate], spread: Timestamp) -> Timestamp {
        let renewal = self.pair.certificate.renewal();
        let waits = !self.pair.certificate.signed_by(&authority.current().certificate);
        let lingers = self.bundle.iter().any(|certificate| !trusted.contains(certificate));
        if waits || lingers { renewal.min(spread) } else { renewal }
    }

    /// When there is something to do again.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.pair.certificate
    }

    /// What consumers check it against (PEM).
    pub fn bundle(&self) -> String {
        bundle_pem(&self.bundle)
    }

    /// The Secret.
    pub fn secret(&self, name: String, identity: Identity<'_>) -> Secret {
        let request = Some((REQUEST_ANNOTATION, self.request.clone())).filter(|(_, request)| !request.is_empty());
        let annotations = [(SINCE_ANNOTATION, self.since.to_string())].into_iter().chain(request);
        Secret {
            metadata: ObjectMeta {
                name: Some(name),
                labels: Some(identity.labels()),
                annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).collect()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(data([
                (CERTIFICATE_KEY, self.pair.certificate.pem()),
                (PRIVATE_KEY, self.pair.expose_key().to_owned()),
                (BUNDLE_KEY, self.bundle()),
            ])),
            ..Secret::default()
        }
    }
}

/// Whether another certificate should take the place of this one.
fn wanted(certificate: &Certificate, found: &Found, authority: &Authority, names: &[String], facts: Facts<'_>) -> bool {
    let names: BTreeSet<String> = names.iter().cloned().collect();
    facts.now >= certificate.renewal()
        || *certificate.names() != names
        || !certificate.signed_by(&authority.current().certificate)
        || (!facts.request.is_empty() && facts.request != found.request)
}
