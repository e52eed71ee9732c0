//! Portico on a cluster: images, chart, manifests. Works the same with every provider and may be repeated at any time.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::cluster::provider::Provider;
use crate::images::PlatformImages;
use crate::poll::poll;
use crate::{paths, shell, ui};

/// The namespace of the chart's release.
const NAMESPACE: &str = "portico-system";
/// Longest wait for the operator's pod.
const OPERATOR_WITHIN: &str = "--timeout=120s";

/// `kubectl` for a cluster.
pub(crate) fn kubectl(cluster: &dyn Provider, arguments: &[&str]) -> anyhow::Result<Command> {
    program(cluster, "kubectl", arguments)
}

fn program(cluster: &dyn Provider, name: &str, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = shell::command(paths::kubernetes_programs()?.join(name), arguments);
    command.env("KUBECONFIG", cluster.kubeconfig()).current_dir(paths::repository());
    Ok(command)
}

/// Loads the images and installs or upgrades the chart; waits until the operator is ready.
pub(crate) fn install(cluster: &dyn Provider, images: &PlatformImages) -> anyhow::Result<()> {
    ui::step("load the images", || cluster.load_images(&images.all()))?;
    ui::step("install the chart", || {
        let settings = settings(images)?;
        let mut helm = program(cluster, "helm", &["upgrade", "--install", "portico", "charts/portico"])?;
        helm.args(["--namespace", NAMESPACE, "--create-namespace", "--wait", OPERATOR_WITHIN]);
        helm.args(settings.iter().flat_map(|setting| ["--set-string", setting]));
        let installed = shell::capture(&mut helm).map(drop);
        installed.map_err(|error| error.context(diagnosis(cluster)))
    })
}

/// The chart's values for these images.
fn settings(images: &PlatformImages) -> anyhow::Result<Vec<String>> {
    let (repository, tag) = images.operator.reference.rsplit_once(':').context("the operator's image has no tag")?;
    let own = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        format!("images.authService={}", images.auth_service.reference),
    ];
    let engines = images.engines.iter().map(|(engine, image)| format!("images.{engine}={}", image.reference));
    Ok(own.into_iter().chain(engines).collect())
}

/// Applies a manifest of the repository.
pub(crate) fn apply(cluster: &dyn Provider, manifest: &str) -> anyhow::Result<()> {
    shell::capture(&mut kubectl(cluster, &["apply", "--server-side", "-f", manifest])?).map(drop)
}

/// What the API server itself says to every manifest of the repository: nothing is written.
pub(crate) fn check_manifests(cluster: &dyn Provider) -> anyhow::Result<()> {
    for manifest in ["manifests/install.yaml", "manifests/samples"] {
        let arguments =
            ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", manifest];
        shell::capture(&mut kubectl(cluster, &arguments)?)?;
    }
    Ok(())
}

/// Waits until the sample says that it is Ready.
pub(crate) fn wait_ready(cluster: &dyn Provider, object: &str) -> anyhow::Result<()> {
    let arguments = ["wait", "--for=condition=Ready", "--timeout=300s", object];
    let outcome = shell::capture(&mut kubectl(cluster, &arguments)?).map(drop);
    outcome.map_err(|error| error.context(diagnosis(cluster)))
}

/// Waits until an HTTP server answers 200: what the cluster's objects say may be from before a restart.
pub(crate) fn wait_http(url: &str, patience: Duration) -> anyhow::Result<()> {
    let mut curl =
        shell::command("curl", ["--silent", "--show-error", "--fail", "--max-time", "5", "--output", "/dev/null", url]);
    let mut last = None;
    let answer = poll(patience, Duration::from_millis(250), || match shell::capture(&mut curl) {
        Ok(_) => Some(()),
        Err(error) => {
            last = Some(error);
            None
        }
    });
    match (answer, last) {
        (None, Some(error)) => Err(error.context(format!("{url} did not answer within {}", ui::seconds(patience)))),
        _ => Ok(()),
    }
}

/// What helps to see why a cluster does not do what it should: objects, events, the operator's log.
pub(crate) fn diagnosis(cluster: &dyn Provider) -> String {
    let questions: [&[&str]; 5] = [
        &["get", "pods,persistentvolumeclaims", "--all-namespaces", "--output=wide"],
        &["get", "portico", "--all-namespaces"],
        &["describe", "authservices,databaseinstances,cacheinstances", "--all-namespaces", "--show-events=false"],
        &["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"],
        &["logs", "deployment/portico-operator", "--namespace=portico-system", "--tail=60"],
    ];
    let mut text = String::new();
    for question in questions {
        let answer =
            kubectl(cluster, question).and_then(|mut kubectl| shell::capture(kubectl.arg("--request-timeout=10s")));
        let answer = answer.unwrap_or_else(|error| format!("{error:#}"));
        // Writing to a string does not fail.
        let _ = writeln!(text, "--- kubectl {}\n{}", question.join(" "), shell::last_lines(&answer, 80));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::ImageArchive;

    #[test]
    fn the_chart_gets_the_images_that_were_built() {
        let image = |name: &str| ImageArchive { reference: format!("portico.dev/{name}:dev-1"), path: "/i.tar".into() };
        let images = PlatformImages {
            operator: image("operator"),
            auth_service: image("auth-service"),
            engines: [("mariadb", image("mariadb")), ("valkey", image("valkey"))].into(),
        };
        let wanted = [
            "image.repository=portico.dev/operator",
            "image.tag=dev-1",
            "images.authService=portico.dev/auth-service:dev-1",
            "images.mariadb=portico.dev/mariadb:dev-1",
            "images.valkey=portico.dev/valkey:dev-1",
        ];
        assert_eq!(settings(&images).unwrap(), wanted);
        assert_eq!(images.all().len(), 4);
    }
}
