//! The node's certificates: EC P-256, all from one small authority, made once and used again at every later start.
//!
//! Nothing is renewed: the cluster is for development, and its keys never leave the data folder, which only root reads.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::names::{API_SERVICE, DOMAIN, Layout};

/// What a certificate is for.
struct Leaf {
    /// `<file>.crt` and `<file>.key`.
    file: &'static str,
    common_name: String,
    organization: Option<&'static str>,
    /// Names and addresses of a server; a certificate without any is a client's only.
    names: Vec<String>,
}

/// Makes every certificate and key that is not there yet.
pub(super) fn ensure(layout: &Layout) -> anyhow::Result<()> {
    let authority = authority(layout)?;
    for leaf in leaves(layout) {
        issue(layout, &authority, &leaf).with_context(|| format!("cannot make the certificate {}", leaf.file))?;
    }
    let key = layout.pki("sa.key");
    if !key.exists() || !layout.pki("sa.pub").exists() {
        let pair = KeyPair::generate()?;
        write(&layout.pki("sa.pub"), &pair.public_key_pem())?;
        write(&key, &pair.serialize_pem())?;
    }
    Ok(())
}

fn leaves(layout: &Layout) -> Vec<Leaf> {
    let node = layout.node_address().to_string();
    let host = layout.name.to_string();
    let user =
        |file, name: &str, organization| Leaf { file, common_name: name.to_owned(), organization, names: Vec::new() };
    let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned);
    let mut names = vec![format!("kubernetes.default.svc.{DOMAIN}"), "localhost".to_owned(), host.clone()];
    names.extend(service);
    names.extend(["127.0.0.1".to_owned(), API_SERVICE.to_owned(), node.clone()]);
    vec![
        Leaf { file: "apiserver", common_name: "kube-apiserver".to_owned(), organization: None, names },
        Leaf {
            file: "kubelet",
            common_name: format!("system:node:{host}"),
            organization: Some("system:nodes"),
            names: vec![host, node],
        },
        user("admin", "portico-admin", Some("system:masters")),
        user("apiserver-kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters")),
        user("controller-manager", "system:kube-controller-manager", None),
        user("scheduler", "system:kube-scheduler", None),
        user("proxy", "system:kube-proxy", None),
        user("front-proxy-client", "front-proxy-client", None),
    ]
}

/// The authority's parameters. The same each time, so that its key alone is enough to sign again after a restart.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Portico bundled node");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn authority(layout: &Layout) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let (certificate, key) = (layout.pki("ca.crt"), layout.pki("ca.key"));
    let pair = if key.exists() && certificate.exists() {
        let pem = fs::read_to_string(&key).with_context(|| format!("cannot read {}", key.display()))?;
        KeyPair::from_pem(&pem).with_context(|| format!("{} is damaged: run `cargo xtask down`", key.display()))?
    } else {
        let pair = KeyPair::generate()?;
        write(&certificate, &authority_params().self_signed(&pair)?.pem())?;
        write(&key, &pair.serialize_pem())?;
        pair
    };
    Ok(Issuer::new(authority_params(), pair))
}

fn issue(layout: &Layout, authority: &Issuer<'_, KeyPair>, leaf: &Leaf) -> anyhow::Result<()> {
    let certificate = layout.pki(&format!("{}.crt", leaf.file));
    let key = layout.pki(&format!("{}.key", leaf.file));
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let mut params = CertificateParams::new(leaf.names.clone())?;
    params.distinguished_name.push(DnType::CommonName, leaf.common_name.clone());
    if let Some(organization) = leaf.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if !leaf.names.is_empty() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    let pair = KeyPair::generate()?;
    write(&key, &pair.serialize_pem())?;
    write(&certificate, &params.signed_by(&pair, authority)?.pem())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::layout;
    use super::*;

    fn in_folder() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pki")).unwrap();
        let layout = Layout { data: folder.path().to_owned(), ..layout() };
        (folder, layout)
    }

    fn verified(layout: &Layout, certificate: &str) -> String {
        let (ca, path) = (layout.pki("ca.crt"), layout.pki(certificate));
        let output =
            std::process::Command::new("openssl").arg("verify").arg("-CAfile").args([ca, path]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn a_second_start_uses_the_same_certificates() {
        let (_folder, layout) = in_folder();
        ensure(&layout).unwrap();
        let read = || {
            ["ca.crt", "ca.key", "apiserver.crt", "admin.key", "sa.key"].map(|file| fs::read(layout.pki(file)).unwrap())
        };
        let first = read();
        ensure(&layout).unwrap();
        assert_eq!(read(), first);
    }

    #[test]
    fn a_lost_certificate_is_made_again_by_the_same_authority() {
        let (_folder, layout) = in_folder();
        ensure(&layout).unwrap();
        let authority = fs::read(layout.pki("ca.crt")).unwrap();
        fs::remove_file(layout.pki("apiserver.crt")).unwrap();
        ensure(&layout).unwrap();
        assert_eq!(fs::read(layout.pki("ca.crt")).unwrap(), authority);
        for certificate in ["apiserver.crt", "admin.crt"] {
            assert!(verified(&layout, certificate).contains(": OK"), "{certificate} does not fit the authority");
        }
    }

    #[test]
    fn keys_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, layout) = in_folder();
        ensure(&layout).unwrap();
        assert_eq!(fs::metadata(layout.pki("ca.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
