//! The operator's pod is as safe as it can be, can be probed, and is told what it has to know.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use portico_test_servers::kubernetes::ApiServer;
use serde_json::{Value, json};

use crate::render::{deployment, find, of_kind, render};

/// The pod template with the chart's defaults and with everything that can be added to it.
fn templates() -> Vec<Value> {
    let full = [
        "--set=replicas=3,podLabels.team=a,podAnnotations.note=b,priorityClassName=high,nodeSelector.disk=ssd",
        "--set=imagePullSecrets[0].name=registry,tolerations[0].operator=Exists",
    ];
    [render(&[]), render(&full)].iter().map(|objects| deployment(objects)["spec"]["template"].clone()).collect()
}

#[tokio::test]
async fn a_restricted_namespace_admits_the_pod() {
    let server = ApiServer::shared().await;
    let namespace = server.namespace("operator").await.unwrap();
    let api = Api::<Pod>::namespaced(server.client().await.unwrap(), &namespace);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for mut template in templates() {
        // Classes of priority are objects of their own, and none is made here.
        template["spec"].as_object_mut().unwrap().remove("priorityClassName");
        template["metadata"]["name"] = json!("operator");
        api.create(&dry, &serde_json::from_value(template).unwrap()).await.unwrap();
    }
}

#[test]
fn the_pod_is_restricted_beyond_what_is_enforced() {
    for template in templates() {
        let spec = &template["spec"];
        assert_eq!(spec["automountServiceAccountToken"], true, "the operator talks to the API server");
        assert_eq!(spec["enableServiceLinks"], false);
        assert_eq!(spec["securityContext"]["runAsUser"], 65532);
        assert!(spec["hostNetwork"].is_null() && spec["hostPID"].is_null() && spec["volumes"].is_null());
        for container in spec["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            for amount in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                assert!(container["resources"].pointer(amount).is_some(), "no {amount}");
            }
        }
    }
}

#[test]
fn nobody_else_gets_a_token_by_default() {
    let objects = render(&[]);
    assert_eq!(find(&objects, "ServiceAccount", "portico-operator")["automountServiceAccountToken"], false);
    assert_eq!(deployment(&objects)["spec"]["template"]["spec"]["serviceAccountName"], "portico-operator");
}

#[test]
fn probes_ask_ports_that_the_container_names() {
    for template in templates() {
        let container = &template["spec"]["containers"][0];
        let ports: Vec<(&str, i64)> = container["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_i64().unwrap()))
            .collect();
        assert_eq!(ports, [("http", 8080), ("metrics", 9090)]);
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "http"}), "{probe}");
        }
    }
}

#[test]
fn selectors_select_the_pod() {
    let objects =
        render(&["--set=replicas=2,metrics.serviceMonitor.enabled=true", "--api-versions=monitoring.coreos.com/v1"]);
    let labels = &deployment(&objects)["spec"]["template"]["metadata"]["labels"];
    let service = find(&objects, "Service", "portico-operator-metrics");
    let selectors = [
        &deployment(&objects)["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &find(&objects, "NetworkPolicy", "portico-operator")["spec"]["podSelector"]["matchLabels"],
        &find(&objects, "PodDisruptionBudget", "portico-operator")["spec"]["selector"]["matchLabels"],
    ];
    for selector in selectors {
        assert_within(selector, labels);
    }
    let monitor = find(&objects, "ServiceMonitor", "portico-operator");
    assert_within(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "metrics");
}

/// Every label of a selector, of which there is at least one, is among the labels.
fn assert_within(selector: &Value, labels: &Value) {
    let selector = selector.as_object().unwrap();
    assert!(!selector.is_empty());
    for (key, value) in selector {
        assert_eq!(&labels[key], value, "{key} in {labels}");
    }
}

#[test]
fn the_network_policy_denies_by_default_and_lets_through_what_is_needed() {
    let objects = render(&[]);
    let spec = &find(&objects, "NetworkPolicy", "portico-operator")["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    for rule in spec["ingress"].as_array().unwrap() {
        assert_eq!(rule["ports"], json!([{"port": "metrics", "protocol": "TCP"}]));
        assert!(!rule["from"].as_array().unwrap().is_empty());
    }
    let egress = spec["egress"].as_array().unwrap();
    assert!(egress.iter().all(|rule| rule["to"].is_array() || rule["ports"].is_array()), "everything is open");
    let text = spec["egress"].to_string();
    for needed in ["6443", "kube-dns", "8080"] {
        assert!(text.contains(needed), "no way to {needed}: {text}");
    }
    let none = render(&["--set=networkPolicy.enabled=false"]);
    assert_eq!(of_kind(&none, "NetworkPolicy").count(), 0);
}

#[test]
fn everything_in_a_namespace_is_in_that_of_the_release() {
    let cluster_wide = ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"];
    for object in render(&["--set=replicas=2"]) {
        let kind = object["kind"].as_str().unwrap();
        if cluster_wide.contains(&kind) {
            assert!(object["metadata"]["namespace"].is_null(), "{kind}");
        } else {
            assert_eq!(object["metadata"]["namespace"], crate::render::NAMESPACE, "{kind}");
        }
    }
}
