//! Which crate of ours may use which (design: crates know as little as they can). Read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{cargo, shell};

/// Every crate, and those of ours that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("portico-crds", &[]),
    ("portico-operator-core", &["portico-crds"]),
    ("portico-operator-backends", &["portico-operator-core", "portico-crds"]),
    // It knows engines and nothing of Kubernetes.
    ("portico-operator-admin", &["portico-crds"]),
    (
        "portico-operator-controllers",
        &[
            "portico-operator-core",
            "portico-operator-backends",
            "portico-operator-admin",
            "portico-crds",
            "portico-service-config",
        ],
    ),
    (
        "portico-operator",
        &["portico-operator-core", "portico-operator-controllers", "portico-operator-admin", "portico-crds"],
    ),
    ("portico-service-config", &[]),
    ("portico-token", &[]),
    ("portico-service-kit", &["portico-token", "portico-service-config"]),
    ("auth-service", &["portico-service-kit", "portico-token", "portico-service-config"]),
    ("portico-test-servers", &[]),
    ("portico-e2e", &["portico-crds"]),
    // A consumer: it knows the binding and nothing of us.
    ("portico-load-client", &[]),
    // Measures the service alone, between real servers.
    ("portico-bench", &["portico-crds", "portico-service-config", "portico-test-servers", "portico-token"]),
    // Generates from the definitions and from the controllers' access rights.
    ("xtask", &["portico-crds", "portico-operator-controllers", "portico-test-servers"]),
];

/// What tests may use beside that.
const FOR_TESTS: &[&str] = &["portico-test-servers"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

pub(super) fn complaints() -> anyhow::Result<Vec<String>> {
    let mut command = cargo::command(&["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let metadata = serde_json::from_str(&shell::capture(&mut command)?).context("`cargo metadata` is not readable")?;
    Ok(judge(&metadata))
}

fn judge(metadata: &Metadata) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut complaints = Vec::new();
    for package in &metadata.packages {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            complaints.push(format!("crate {} has no place yet: add it to xtask/src/tidy/arrows.rs", package.name));
            continue;
        };
        // A crate may be named twice, once for tests.
        let mut forbidden = BTreeSet::new();
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let name = dependency.name.as_str();
            let for_tests =
                dependency.kind.as_deref() == Some("dev") && (FOR_TESTS.contains(&name) || name == package.name);
            if !allowed.contains(&name) && !for_tests {
                forbidden.insert(name);
            }
        }
        complaints.extend(forbidden.iter().map(|name| format!("crate {} must not use {name}", package.name)));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(package: &str, dependency: &str, kind: Option<&str>) -> Vec<String> {
        let dependency = json!({"name": dependency, "kind": kind, "path": "/somewhere"});
        judge(&serde_json::from_value(json!({"packages": [{"name": package, "dependencies": [dependency]}]})).unwrap())
    }

    #[test]
    fn a_forbidden_arrow_is_named() {
        assert_eq!(
            judged("portico-operator-core", "portico-operator-controllers", None),
            ["crate portico-operator-core must not use portico-operator-controllers"]
        );
        assert_eq!(judged("portico-e2e", "portico-operator-core", Some("dev")).len(), 1);
        assert_eq!(judged("auth-service", "portico-operator-core", Some("dev")).len(), 1);
    }

    #[test]
    fn allowed_arrows_and_servers_for_tests_pass() {
        assert!(judged("portico-operator-core", "portico-crds", None).is_empty());
        assert!(judged("portico-operator-core", "portico-test-servers", Some("dev")).is_empty());
        assert_eq!(judged("portico-operator-core", "portico-test-servers", None).len(), 1);
    }

    #[test]
    fn a_new_crate_has_to_be_placed() {
        assert!(judged("portico-novelty", "portico-crds", None)[0].contains("has no place yet"));
    }

    #[test]
    fn the_table_has_no_circle() {
        fn reaches(arrows: &BTreeMap<&str, &[&str]>, from: &str, to: &str, depth: usize) -> bool {
            depth > 0 && arrows[from].iter().any(|&next| next == to || reaches(arrows, next, to, depth - 1))
        }
        let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
        for (name, _) in ARROWS {
            assert!(!reaches(&arrows, name, name, ARROWS.len()), "{name}");
        }
    }
}
