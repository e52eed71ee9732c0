//! What a certificate says. Nothing here judges whether it is to be trusted.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use pem::{EncodeConfig, LineEnding, Pem};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};

const TAG: &str = "CERTIFICATE";

/// A certificate that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    names: BTreeSet<String>,
    public_key: Vec<u8>,
    own_key_id: Option<Vec<u8>>,
    signer_key_id: Option<Vec<u8>>,
}

impl Certificate {
    /// The first certificate of a PEM text, which in a chain is the server's own.
    pub fn first(pem: &str) -> Option<Self> {
        Self::all(pem).into_iter().next()
    }

    /// The certificates of a PEM text. What cannot be read is left out.
    pub fn all(pem: &str) -> Vec<Self> {
        let blocks = pem::parse_many(pem).unwrap_or_default();
        blocks.into_iter().filter(|block| block.tag() == TAG).filter_map(|block| Self::of(block.contents())).collect()
    }

    /// The certificate in DER.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (_, read) = x509_parser::parse_x509_certificate(der).ok()?;
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        let (own_key_id, signer_key_id) = key_ids(&read);
        Some(Self {
            der: der.to_owned(),
            not_before: time(read.validity().not_before)?,
            not_after: time(read.validity().not_after)?,
            names: names(&read),
            public_key: read.public_key().raw.to_owned(),
            own_key_id,
            signer_key_id,
        })
    }

    /// As PEM, with a line break at the end.
    pub fn pem(&self) -> String {
        pem::encode_config(&Pem::new(TAG, self.der.clone()), EncodeConfig::new().set_line_ending(LineEnding::LF))
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// SHA-256 of the certificate in 64 hexadecimal digits of lower case.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(&self.der).iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The last second of its life.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// DNS names and addresses that it is for.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Whether it is valid at that time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// When two thirds of its life are over.
    pub fn renewal(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        let spent = SignedDuration::from_secs(life.as_secs() / 3 * 2);
        self.not_before.saturating_add(spent).unwrap_or(self.not_after)
    }

    /// Whether it names this CA's key as the one that signed it.
    pub fn signed_by(&self, authority: &Self) -> bool {
        self.signer_key_id.is_some() && self.signer_key_id == authority.own_key_id
    }

    /// Whether one CA signed both.
    pub fn same_signer(&self, other: &Self) -> bool {
        self.signer_key_id == other.signer_key_id
    }
}

fn names(read: &X509Certificate<'_>) -> BTreeSet<String> {
    let alternatives = read.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn key_ids(read: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut own, mut signer) = (None, None);
    for extension in read.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0.to_owned()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                signer = id.key_identifier.as_ref().map(|id| id.0.to_owned());
            }
            _ => {}
        }
    }
    (own, signer)
}

impl Ord for Certificate {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.not_before, &self.der).cmp(&(other.not_before, &other.der))
    }
}

impl PartialOrd for Certificate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} until {})", self.fingerprint().get(..8).unwrap_or_default(), self.not_after)
    }
}
