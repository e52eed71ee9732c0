//! The certificates of one throw-away API server: one CA, one server, one administrator.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Paths of PEM files.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) ca: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
    pub(super) admin: PathBuf,
    pub(super) admin_key: PathBuf,
    /// Signs service-account tokens.
    pub(super) tokens_key: PathBuf,
    /// Verifies them; the server does not read the public half out of a PKCS#8 file.
    pub(super) tokens_public: PathBuf,
}

impl Certificates {
    /// Writes all of them into `folder`. Keys are EC P-256.
    pub(super) fn write(folder: &Path) -> Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut ca = named("portico-test-ca", None)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca_certificate = ca.self_signed(&ca_key)?;
        let issuer = Issuer::new(ca, ca_key);

        let mut server = CertificateParams::new(vec![
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
            "kubernetes.default.svc".to_owned(),
        ])?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;

        let mut admin = named("portico-test-admin", Some("system:masters"))?;
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let admin_key = KeyPair::generate()?;
        let tokens_key = KeyPair::generate()?;

        let write = |name: &str, pem: String| -> Result<PathBuf> {
            let path = folder.join(name);
            std::fs::write(&path, pem)?;
            Ok(path)
        };
        Ok(Self {
            ca: write("ca.crt", ca_certificate.pem())?,
            server: write("server.crt", server.signed_by(&server_key, &issuer)?.pem())?,
            server_key: write("server.key", server_key.serialize_pem())?,
            admin: write("admin.crt", admin.signed_by(&admin_key, &issuer)?.pem())?,
            admin_key: write("admin.key", admin_key.serialize_pem())?,
            tokens_key: write("tokens.key", tokens_key.serialize_pem())?,
            tokens_public: write("tokens.pub", tokens_key.public_key_pem())?,
        })
    }
}

fn named(common_name: &str, organisation: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    Ok(params)
}
