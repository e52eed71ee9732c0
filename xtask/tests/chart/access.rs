//! Access rights, asked of a real API server on which the chart is installed.

use std::process::Command;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use portico_test_servers::kubernetes::ApiServer;
use tokio::sync::OnceCell;

use crate::render::{NAMESPACE, find, program, render, repository};

const OPERATOR: &str = "system:serviceaccount:portico-system:portico-operator";
const KINDS: [&str; 3] = ["authservices", "databaseinstances", "cacheinstances"];

/// The server with `manifests/install.yaml` applied, once for all tests.
async fn installed() -> &'static ApiServer {
    static DONE: OnceCell<()> = OnceCell::const_new();
    let server = ApiServer::shared().await;
    DONE.get_or_init(|| async {
        let output = Command::new(program("kubectl"))
            .args(["apply", "--server-side", "--filename", "manifests/install.yaml"])
            .env("KUBECONFIG", server.kubeconfig())
            .current_dir(repository())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    })
    .await;
    server
}

/// Whether the client's user may do this, in a namespace or (`""`) in all of them.
async fn may(client: &Client, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(subresource.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::<SelfSubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await;
    answer.unwrap().status.unwrap().allowed
}

#[tokio::test]
async fn the_operator_may_do_its_work_in_every_namespace() {
    let client = installed().await.client_as(OPERATOR, &[]).await.unwrap();
    for kind in KINDS {
        for verb in ["get", "list", "watch"] {
            assert!(may(&client, verb, "portico.dev", kind, "").await, "{verb} {kind}");
        }
        assert!(may(&client, "patch", "portico.dev", &format!("{kind}/status"), "").await, "patch {kind}/status");
        assert!(may(&client, "update", "portico.dev", &format!("{kind}/finalizers"), "").await, "{kind}/finalizers");
    }
    for (group, resource) in [
        ("", "configmaps"),
        ("", "secrets"),
        ("", "serviceaccounts"),
        ("", "services"),
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("autoscaling", "horizontalpodautoscalers"),
        ("networking.k8s.io", "networkpolicies"),
        ("policy", "poddisruptionbudgets"),
    ] {
        for verb in ["get", "list", "watch", "create", "patch", "delete"] {
            assert!(may(&client, verb, group, resource, "").await, "{verb} {resource}");
        }
    }
    assert!(may(&client, "create", "events.k8s.io", "events", "").await);
}

#[tokio::test]
async fn the_operator_leads_in_its_own_namespace_only() {
    let client = installed().await.client_as(OPERATOR, &[]).await.unwrap();
    for verb in ["get", "create", "update", "patch", "watch"] {
        assert!(may(&client, verb, "coordination.k8s.io", "leases", NAMESPACE).await, "{verb}");
        assert!(!may(&client, verb, "coordination.k8s.io", "leases", "default").await, "{verb} elsewhere");
    }
}

#[tokio::test]
async fn the_operator_may_do_no_more() {
    let client = installed().await.client_as(OPERATOR, &[]).await.unwrap();
    for (verb, group, resource) in [
        ("create", "", "pods"),
        ("create", "", "pods/exec"),
        ("get", "", "nodes"),
        ("create", "", "namespaces"),
        ("delete", "", "namespaces"),
        ("create", "", "serviceaccounts/token"),
        ("impersonate", "", "users"),
        ("create", "rbac.authorization.k8s.io", "clusterroles"),
        ("create", "rbac.authorization.k8s.io", "rolebindings"),
        ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
        ("deletecollection", "", "secrets"),
        ("create", "portico.dev", "authservices"),
        ("delete", "portico.dev", "authservices"),
        ("*", "*", "*"),
    ] {
        assert!(!may(&client, verb, group, resource, "").await, "{verb} {resource} is allowed");
    }
}

#[test]
fn the_bindings_name_the_operators_account_and_its_own_roles() {
    let objects = render(&[]);
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        let binding = find(&objects, kind, "portico-operator");
        assert_eq!(binding["subjects"][0]["name"], "portico-operator");
        assert_eq!(binding["subjects"][0]["namespace"], NAMESPACE);
        find(&objects, binding["roleRef"]["kind"].as_str().unwrap(), binding["roleRef"]["name"].as_str().unwrap());
    }
}

/// The controller that adds them to `view`, `edit` and `admin` does not run here: it goes by these labels.
#[test]
fn users_roles_are_aggregated_when_asked_for() {
    let objects = render(&[]);
    let label = |role: &str, to: &str| {
        let key = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
        find(&objects, "ClusterRole", role)["metadata"]["labels"][key] == "true"
    };
    assert!(label("portico-view", "view") && label("portico-edit", "edit") && label("portico-edit", "admin"));
    assert!(!label("portico-edit", "view"), "whoever may look could write");
    for role in ["portico-view", "portico-edit"] {
        let rules = &find(&objects, "ClusterRole", role)["rules"];
        assert!(rules.as_array().unwrap().iter().all(|rule| rule["apiGroups"] == serde_json::json!(["portico.dev"])));
    }
    let without = render(&["--set=rbac.aggregate=false"]);
    assert!(without.iter().all(|object| !object["metadata"]["labels"].to_string().contains("aggregate-to")));
}
