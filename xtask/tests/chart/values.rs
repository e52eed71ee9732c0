//! Values: what they change, and that wrong ones are refused with a text that names them.

use portico_crds::common::names::EngineName;
use serde_json::Value;

use crate::render::{deployment, of_kind, refusal, render};

fn container(objects: &[Value]) -> &Value {
    &deployment(objects)["spec"]["template"]["spec"]["containers"][0]
}

/// What a variable of the operator's environment is set to.
fn variable(objects: &[Value], name: &str) -> Value {
    let variables = container(objects)["env"].as_array().unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name);
    found.unwrap_or_else(|| panic!("no variable {name}"))["value"].clone()
}

#[test]
fn the_defaults_are_the_official_images_and_one_replica() {
    let objects = render(&[]);
    assert_eq!(deployment(&objects)["spec"]["replicas"], 1);
    for (variable_of, image) in [
        ("DYNAMODB", "docker.io/amazon/dynamodb-local:3.0.0"),
        ("MARIADB", "docker.io/library/mariadb:11.8"),
        ("POSTGRESQL", "docker.io/library/postgres:17"),
        ("RABBITMQ", "docker.io/library/rabbitmq:4.0"),
        ("VALKEY", "docker.io/valkey/valkey:8.1"),
    ] {
        assert_eq!(variable(&objects, &format!("PORTICO_{variable_of}_IMAGE")), image);
    }
    let operator = container(&objects)["image"].as_str().unwrap();
    let service = variable(&objects, "PORTICO_AUTH_SERVICE_IMAGE");
    let version = operator.strip_prefix("portico.dev/operator:").unwrap();
    assert_eq!(service, format!("portico.dev/auth-service:{version}"), "both come from one release");
    assert_eq!(variable(&objects, "PORTICO_GARAGE_IMAGE"), format!("portico.dev/garage:{version}"));
}

#[test]
fn images_can_be_replaced() {
    let mut arguments = vec![
        "--set=image.repository=registry.example/operator,image.tag=t1,image.pullPolicy=Never".to_owned(),
        "--set=images.authService=registry.example/auth:t2,images.pullPolicy=Always".to_owned(),
    ];
    let engine = |engine: &EngineName| format!("--set=images.{0}=registry.example/{0}:t3", engine.as_str());
    arguments.extend(EngineName::ALL.iter().map(engine));
    let objects = render(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(container(&objects)["image"], "registry.example/operator:t1");
    assert_eq!(container(&objects)["imagePullPolicy"], "Never");
    assert_eq!(variable(&objects, "PORTICO_AUTH_SERVICE_IMAGE"), "registry.example/auth:t2");
    for engine in EngineName::ALL.map(EngineName::as_str) {
        let name = format!("PORTICO_{}_IMAGE", engine.to_uppercase());
        assert_eq!(variable(&objects, &name), format!("registry.example/{engine}:t3"));
    }
    assert_eq!(variable(&objects, "PORTICO_IMAGE_PULL_POLICY"), "Always");
}

#[test]
fn numbers_reach_the_environment_as_text() {
    let objects = render(&["--set=concurrency=8,clusterDomain=example.internal,log.level=debug,log.format=text"]);
    assert_eq!(variable(&objects, "PORTICO_CONCURRENCY"), "8");
    assert_eq!(variable(&objects, "PORTICO_CLUSTER_DOMAIN"), "example.internal");
    assert_eq!(variable(&objects, "RUST_LOG"), "debug");
    assert_eq!(variable(&objects, "PORTICO_LOG_FORMAT"), "text");
}

#[test]
fn several_replicas_get_a_disruption_budget_and_one_does_not() {
    assert_eq!(of_kind(&render(&[]), "PodDisruptionBudget").count(), 0);
    let objects = render(&["--set=replicas=2"]);
    assert_eq!(deployment(&objects)["spec"]["replicas"], 2);
    let budget: Vec<_> = of_kind(&objects, "PodDisruptionBudget").collect();
    assert_eq!(budget[0]["spec"]["maxUnavailable"], 1);
}

#[test]
fn a_service_monitor_needs_both_the_value_and_the_kind() {
    let count = |arguments: &[&str]| of_kind(&render(arguments), "ServiceMonitor").count();
    let (value, kind) = ("--set=metrics.serviceMonitor.enabled=true", "--api-versions=monitoring.coreos.com/v1");
    assert_eq!(count(&[value]), 0);
    assert_eq!(count(&[kind]), 0);
    assert_eq!(count(&[value, kind]), 1);
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (value, named) in [
        ("replica=2", "replica"),
        ("replicas=two", "replicas"),
        ("replicas=-1", "replicas"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("images.mysql=x", "mysql"),
        ("images.postgresql=", "postgresql"),
        ("images.rabbitmq=", "rabbitmq"),
        ("log.format=xml", "format"),
        ("concurrency=0", "concurrency"),
        ("clusterDomain=Not A Domain", "clusterDomain"),
        ("crds.install=true", "install"),
        ("metrics.serviceMonitor.interval=often", "interval"),
    ] {
        let text = refusal(&["--set", value]);
        assert!(text.contains(named), "{value}: {text}");
    }
}

#[test]
fn old_clusters_are_refused() {
    let text = refusal(&["--kube-version=1.32.9"]);
    assert!(text.contains("1.33"), "{text}");
    assert!(!render(&["--kube-version=1.33.0"]).is_empty());
}
