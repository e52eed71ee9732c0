//! The CA of a namespace and how it is replaced: the next one is trusted before it signs, and the previous one is
//! trusted for as long again after it signed last.
//!
//! Everything that is known about the replacement is in the Secret itself, so that any instance of the namespace can go
//! on with it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::labels::{MANAGED_BY, MANAGED_BY_LABEL};

use super::{
    AUTHORITY, BUNDLE_KEY, CERTIFICATE_KEY, Certificate, Facts, PRIVATE_KEY, Pair, REQUEST_ANNOTATION, SECRET_TYPE,
    SINCE_ANNOTATION, SigningError, after, annotation, bundle, bundle_pem, data, entry, sign, time, whole_seconds,
};

const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";

/// A namespace's CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The one that signs.
    current: Pair,
    phase: Phase,
    /// When the phase began; unknown while nothing is replaced, or when somebody took the annotation away.
    since: Option<Timestamp>,
    /// The last request for a replacement that was acted upon.
    request: String,
}

/// How far a replacement has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// There is one CA.
    Settled,
    /// The next one is in the bundles and does not sign yet.
    Introducing(Box<Pair>),
    /// The next one has become the current one; previous ones stay in the bundles.
    Retiring(Vec<Certificate>),
}

/// The Secret was changed so that nothing can be signed with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "keys {0} and {1} of Secret portico-ca are missing, cannot be read or do not belong together; restore them, or \
     delete the Secret to have a new CA made"
)]
pub struct DamagedAuthority(&'static str, &'static str);

impl Authority {
    /// A new CA.
    ///
    /// # Errors
    /// [`SigningError`] when the crypto library refuses.
    pub fn new(namespace: &str, now: Timestamp) -> Result<Self, SigningError> {
        let current = sign::authority(namespace, now)?;
        Ok(Self { current, phase: Phase::Settled, since: None, request: String::new() })
    }

    /// The CA in its Secret.
    ///
    /// # Errors
    /// [`DamagedAuthority`] names the keys that cannot be used.
    pub fn read(secret: &Secret) -> Result<Self, DamagedAuthority> {
        let pair = |certificate, key| Pair::read(entry(secret, certificate)?, entry(secret, key)?);
        let current = pair(CERTIFICATE_KEY, PRIVATE_KEY).ok_or(DamagedAuthority(CERTIFICATE_KEY, PRIVATE_KEY))?;
        let phase = if let Some(next) = pair(NEXT_CERTIFICATE, NEXT_KEY) {
            Phase::Introducing(Box::new(next))
        } else {
            let mut previous = Certificate::all(entry(secret, BUNDLE_KEY).unwrap_or_default());
            previous.retain(|certificate| *certificate != current.certificate);
            if previous.is_empty() { Phase::Settled } else { Phase::Retiring(previous) }
        };
        let since = time(secret, SINCE_ANNOTATION).filter(|_| phase != Phase::Settled);
        let request = annotation(secret, REQUEST_ANNOTATION).unwrap_or_default().to_owned();
        Ok(Self { current, phase, since, request })
    }

    /// The Secret of a CA that is made for the first time.
    pub fn secret(&self) -> Secret {
        let mut secret = Secret {
            metadata: ObjectMeta {
                name: Some(AUTHORITY.to_owned()),
                labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            ..Secret::default()
        };
        self.write(&mut secret);
        secret
    }

    /// Puts the CA into its Secret, and leaves everything else of it as it is.
    pub fn write(&self, secret: &mut Secret) {
        let mut entries = vec![
            (CERTIFICATE_KEY, self.current.certificate.pem()),
            (PRIVATE_KEY, self.current.expose_key().to_owned()),
            (BUNDLE_KEY, bundle_pem(&self.bundle())),
        ];
        if let Phase::Introducing(next) = &self.phase {
            entries.push((NEXT_CERTIFICATE, next.certificate.pem()));
            entries.push((NEXT_KEY, next.expose_key().to_owned()));
        }
        secret.data = Some(data(entries));
        let annotations = secret.metadata.annotations.get_or_insert_default();
        set(annotations, SINCE_ANNOTATION, self.since.map(|since| since.to_string()));
        set(annotations, REQUEST_ANNOTATION, Some(self.request.clone()).filter(|request| !request.is_empty()));
    }

    /// What consumers trust.
    pub fn bundle(&self) -> Vec<Certificate> {
        let mut all = vec![self.current.certificate.clone()];
        match &self.phase {
            Phase::Settled => {}
            Phase::Introducing(next) => all.push(next.certificate.clone()),
            Phase::Retiring(previous) => all.extend(previous.iter().cloned()),
        }
        bundle(all)
    }

    /// The one that signs.
    pub(super) fn current(&self) -> &Pair {
        &self.current
    }

    /// The next state when it is due; `None` while everything may stay as it is.
    ///
    /// # Errors
    /// [`SigningError`] when the crypto library refuses.
    pub fn advance(&self, namespace: &str, facts: Facts<'_>) -> Result<Option<Self>, SigningError> {
        if facts.now < self.due(facts.overlap) && !self.asked(facts) {
            return Ok(None);
        }
        let since = Some(whole_seconds(facts.now));
        Ok(Some(match &self.phase {
            Phase::Settled => Self {
                phase: Phase::Introducing(Box::new(sign::authority(namespace, facts.now)?)),
                since,
                request: facts.request.to_owned(),
                ..self.clone()
            },
            _ if self.since.is_none() => Self { since, ..self.clone() },
            Phase::Introducing(next) => Self {
                current: next.as_ref().clone(),
                phase: Phase::Retiring(vec![self.current.certificate.clone()]),
                since,
                ..self.clone()
            },
            Phase::Retiring(_) => Self { phase: Phase::Settled, since: None, ..self.clone() },
        }))
    }

    /// When the next step is due.
    pub fn due(&self, overlap: Duration) -> Timestamp {
        let spread = self.since.map_or(Timestamp::MIN, |since| after(since, overlap));
        match &self.phase {
            Phase::Settled => self.current.certificate.renewal(),
            // A CA that is over protects nobody.
            Phase::Introducing(_) => spread.min(self.current.certificate.not_after()),
            Phase::Retiring(_) => spread,
        }
    }

    /// A request during a replacement waits for its end.
    fn asked(&self, facts: Facts<'_>) -> bool {
        self.phase == Phase::Settled && !facts.request.is_empty() && facts.request != self.request
    }
}

fn set(annotations: &mut BTreeMap<String, String>, key: &str, value: Option<String>) {
    match value {
        Some(value) => annotations.insert(key.to_owned(), value),
        None => annotations.remove(key),
    };
}
