//! Makes keys and certificates: ECDSA on P-256, the curve that every engine and client knows.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};

use super::{Certificate, whole_seconds};

/// How long a CA lives.
const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3652);
/// How long an engine's certificate lives.
const LEAF_LIFE: Duration = Duration::from_hours(24 * 90);
/// Certificates are valid a little before they are made: clocks differ.
const BACKDATE: Duration = Duration::from_mins(5);

/// The crypto library refused. Nothing that a spec can change.
#[derive(Debug, thiserror::Error)]
#[error("a certificate cannot be made: {0}")]
pub struct SigningError(#[from] rcgen::Error);

/// A certificate and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: Certificate,
    key: String,
}

impl Pair {
    /// From PEM; `None` unless both can be read and belong together.
    pub fn read(certificate: &str, key: &str) -> Option<Self> {
        let certificate = Certificate::first(certificate)?;
        let pair = KeyPair::from_pem(key).ok()?;
        let belongs = pair.subject_public_key_info() == certificate.public_key();
        belongs.then(|| Self { certificate, key: key.to_owned() })
    }

    /// The private key (PKCS #8, PEM), for the Secret that holds it.
    pub fn expose_key(&self) -> &str {
        &self.key
    }

    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Result<Self, SigningError> {
        let certificate = Certificate::of(certificate.der()).ok_or(rcgen::Error::CouldNotParseCertificate)?;
        Ok(Self { certificate, key: key.serialize_pem() })
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({:?})", self.certificate)
    }
}

/// A new CA for a namespace. Two of them never have the same name, because some clients find a signer by its name.
pub(super) fn authority(namespace: &str, now: Timestamp) -> Result<Pair, SigningError> {
    let key = KeyPair::generate()?;
    let mut params = lasting(now, AUTHORITY_LIFE);
    let id = params.key_identifier(&key).iter().take(4).fold(0, |id: u32, byte| id << 8 | u32::from(*byte));
    params.distinguished_name.push(DnType::OrganizationName, namespace);
    params.distinguished_name.push(DnType::CommonName, format!("Portico CA {id:08x}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Pair::of(&params.self_signed(&key)?, &key)
}

/// A new certificate for a server, the first of `names` its subject.
pub(super) fn leaf(authority: &Pair, names: &[String], now: Timestamp) -> Result<Pair, SigningError> {
    let issuer = Issuer::from_ca_cert_der(&authority.certificate.der().into(), KeyPair::from_pem(&authority.key)?)?;
    let key = KeyPair::generate()?;
    let dated = lasting(now, LEAF_LIFE);
    let mut params = CertificateParams::new(names)?;
    (params.not_before, params.not_after) = (dated.not_before, dated.not_after);
    params.distinguished_name = dated.distinguished_name;
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("", String::as_str));
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Pair::of(&params.signed_by(&key, &issuer)?, &key)
}

fn lasting(now: Timestamp, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let begin = whole_seconds(now).duration_since(Timestamp::UNIX_EPOCH);
    let begin = Duration::try_from(begin.saturating_sub(SignedDuration::try_from(BACKDATE).unwrap_or_default()));
    params.not_before = epoch + begin.unwrap_or_default();
    params.not_after = params.not_before + life;
    params
}
