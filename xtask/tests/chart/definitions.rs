//! The custom resource definitions: the same in the code, in the files, in the chart and in the API server.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use portico_test_servers::kubernetes::ApiServer;
use serde_json::{Value, json};

use crate::render::{find, of_kind, render, repository};

fn plural(definition: &CustomResourceDefinition) -> String {
    definition.spec.names.plural.clone()
}

/// The committed file of a definition.
fn file(definition: &CustomResourceDefinition) -> String {
    let path = repository().join("crds/generated").join(format!("{}.yaml", plural(definition)));
    std::fs::read_to_string(path).unwrap()
}

/// Has the API server read a body without keeping it, and gives what it made of it.
async fn read_by_the_server(client: &Client, content_type: &str, body: String) -> Value {
    let request = http::Request::post(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All&fieldValidation=Strict",
    )
    .header("content-type", content_type)
    .body(body.into_bytes())
    .unwrap();
    let mut answer: Value = client.request(request).await.unwrap();
    for own in ["uid", "creationTimestamp", "managedFields"] {
        answer["metadata"].as_object_mut().unwrap().remove(own);
    }
    answer["status"].take();
    answer
}

#[tokio::test]
async fn the_api_server_reads_the_yaml_as_the_code_meant_it() {
    let client = ApiServer::start().await.unwrap();
    let client = (client.client().await.unwrap(), client);
    for definition in portico_crds::all() {
        let meant =
            read_by_the_server(&client.0, "application/json", serde_json::to_string(&definition).unwrap()).await;
        let written = read_by_the_server(&client.0, "application/yaml", file(&definition)).await;
        assert_eq!(written, meant);
        assert_eq!(meant["metadata"]["name"], format!("{}.portico.dev", plural(&definition)));
    }
}

/// A tool that compares Git with the cluster must find no difference in what Git says.
#[tokio::test]
async fn what_the_api_server_stores_holds_all_that_was_applied() {
    let server = ApiServer::start().await.unwrap();
    let client = server.client().await.unwrap();
    for definition in portico_crds::all() {
        let applied: Value = serde_saphyr::from_str(&file(&definition)).unwrap();
        let stored = read_by_the_server(&client, "application/yaml", file(&definition)).await;
        assert_contains("", &stored, &applied);
    }
}

fn assert_contains(path: &str, stored: &Value, applied: &Value) {
    match (stored, applied) {
        (Value::Object(stored), Value::Object(applied)) => {
            for (key, value) in applied {
                let stored = stored.get(key).unwrap_or_else(|| panic!("{path}.{key} was dropped"));
                assert_contains(&format!("{path}.{key}"), stored, value);
            }
        }
        (Value::Array(stored), Value::Array(applied)) => {
            assert_eq!(stored.len(), applied.len(), "{path}");
            for (index, (stored, applied)) in stored.iter().zip(applied).enumerate() {
                assert_contains(&format!("{path}[{index}]"), stored, applied);
            }
        }
        (Value::Number(stored), Value::Number(applied)) => assert_eq!(stored.as_f64(), applied.as_f64(), "{path}"),
        _ => assert_eq!(stored, applied, "{path}"),
    }
}

#[test]
fn the_chart_installs_every_definition_unchanged_and_keeps_it() {
    let objects = render(&[]);
    assert_eq!(of_kind(&objects, "CustomResourceDefinition").count(), portico_crds::all().len());
    for definition in portico_crds::all() {
        let rendered = find(&objects, "CustomResourceDefinition", definition.metadata.name.as_deref().unwrap());
        assert_eq!(rendered["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        let meant = serde_json::to_value(&definition).unwrap();
        assert_contains("", rendered, &json!({"spec": meant["spec"], "metadata": meant["metadata"]}));
        assert_contains("", &meant["spec"], &rendered["spec"]);
    }
    assert_eq!(of_kind(&render(&["--set=crds.enabled=false"]), "CustomResourceDefinition").count(), 0);
}

#[test]
fn the_manifest_for_installing_without_helm_is_what_the_chart_renders() {
    let text = std::fs::read_to_string(repository().join("manifests/install.yaml")).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    assert_eq!(documents[0]["kind"], "Namespace", "the namespace comes before what is in it");
    assert_eq!(documents[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let rendered = render(&[]);
    assert_eq!(documents.len(), rendered.len() + 1);
    for object in rendered {
        assert!(documents.contains(&object), "{} {} differs", object["kind"], object["metadata"]["name"]);
    }
}
