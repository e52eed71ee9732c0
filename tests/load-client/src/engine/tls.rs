//! TLS as a careful consumer has it: the binding's authorities and no others, and the host's name is checked.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::Failure;

/// A configuration that trusts the certificates in `ca` (PEM); without any it trusts nobody.
pub(crate) fn config(ca: Option<&str>) -> Result<ClientConfig, Failure> {
    let unusable = |problem: String| Failure::Engine(format!("ca.crt cannot be used: {problem}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.unwrap_or_default().as_bytes()) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unusable(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
