//! Renders the chart with Helm and finds objects in the result.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The namespace of the release.
pub(crate) const NAMESPACE: &str = "portico-system";

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A program of the Kubernetes tool set.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("PORTICO_KUBERNETES_BIN")
        .map_or_else(|| portico_test_servers::process::cache_folder().join("kubernetes/current"), PathBuf::from);
    portico_test_servers::process::program(&folder, name).unwrap()
}

/// The objects that the chart renders with these further arguments of `helm template`.
pub(crate) fn render(arguments: &[&str]) -> Vec<Value> {
    let output = helm(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// What Helm says when it refuses these arguments.
pub(crate) fn refusal(arguments: &[&str]) -> String {
    let output = helm(arguments);
    assert!(!output.status.success(), "{arguments:?} is accepted");
    String::from_utf8(output.stderr).unwrap()
}

fn helm(arguments: &[&str]) -> Output {
    Command::new(program("helm"))
        .args(["template", "portico", "charts/portico", "--namespace", NAMESPACE, "--kube-version", "1.35.0"])
        .args(arguments)
        .current_dir(repository())
        .env_remove("KUBECONFIG")
        .output()
        .unwrap()
}

/// The one object of this kind and name.
pub(crate) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found: Vec<&Value> =
        objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name).collect();
    assert_eq!(found.len(), 1, "{kind} {name}: {found:#?}");
    found[0]
}

/// All objects of this kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// The operator's Deployment.
pub(crate) fn deployment(objects: &[Value]) -> &Value {
    find(objects, "Deployment", "portico-operator")
}
