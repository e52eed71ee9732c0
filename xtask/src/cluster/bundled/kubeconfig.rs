//! Kubeconfig files: one for the administrator, one for each component that talks to the API server.

use std::fs;

use anyhow::Context as _;
use serde_json::json;

use super::names::{Layout, text};

/// Users with a kubeconfig of their own under `config/`, named as their certificates.
const COMPONENTS: [&str; 4] = ["controller-manager", "scheduler", "kubelet", "proxy"];

/// Writes every kubeconfig.
pub(super) fn write(layout: &Layout) -> anyhow::Result<()> {
    for user in COMPONENTS {
        let path = layout.config(&format!("{user}.kubeconfig"));
        fs::write(&path, render(layout, user)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let path = layout.kubeconfig();
    fs::write(&path, render(layout, "admin")?).with_context(|| format!("cannot write {}", path.display()))
}

/// Refers to the certificates by path: the file stays readable, and a key is in one place.
fn render(layout: &Layout, user: &str) -> anyhow::Result<String> {
    let name = layout.name.to_string();
    let cluster = json!({"server": layout.server(), "certificate-authority": text(&layout.pki("ca.crt"))});
    let credentials = json!({
        "client-certificate": text(&layout.pki(&format!("{user}.crt"))),
        "client-key": text(&layout.pki(&format!("{user}.key"))),
    });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    });
    Ok(serde_saphyr::to_string(&config)?)
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::layout;
    use super::*;

    #[test]
    fn a_client_reads_the_kubeconfig() {
        let config = kube::config::Kubeconfig::from_yaml(&render(&layout(), "admin").unwrap()).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("demo"));
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://198.18.0.10:6443"));
        let user = config.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.client_key.as_deref(), Some("/data/demo/pki/admin.key"));
    }
}
