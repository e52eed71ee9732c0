//! An API server in memory: enough of server-side apply, creation, deletion and metadata lists to run the applier
//! against, with a log of every request and a failure at a chosen one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};

/// The state of the server.
#[derive(Default)]
struct State {
    /// By path.
    objects: BTreeMap<String, Value>,
    /// `METHOD path?query` of each request.
    log: Vec<String>,
    /// The request, counted from zero, that is answered by 500 after it was (or, if odd, before it was) carried out.
    fail_at: Option<usize>,
    version: u64,
}

/// The server. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

impl FakeApi {
    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Requests since the last call.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    /// Fails request `index` of those that follow.
    pub(crate) fn fail_at(&self, index: Option<usize>) {
        let mut state = self.0.lock().unwrap();
        state.log.clear();
        state.fail_at = index;
    }

    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut state = self.0.lock().unwrap();
        stamp(&mut state, &mut object);
        state.objects.insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        change(self.0.lock().unwrap().objects.get_mut(path).expect("the object is there"));
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }

    /// All objects without what differs from run to run.
    pub(crate) fn contents(&self) -> BTreeMap<String, Value> {
        let mut objects = self.0.lock().unwrap().objects.clone();
        for object in objects.values_mut() {
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.remove("uid");
            metadata.remove("resourceVersion");
        }
        objects
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut state = self.0.lock().unwrap();
        let index = state.log.len();
        let uri = parts.uri.to_string();
        state.log.push(format!("{} {}", parts.method, uri.trim_end_matches(['?', '&'])));
        let fails = state.fail_at == Some(index);
        // Half of the failures lose the request, half only the answer.
        if fails && index % 2 == 1 {
            return status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        let answer = carry_out(&mut state, &parts.method, parts.uri.path(), &body);
        if fails { status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError") } else { answer }
    }
}

fn carry_out(state: &mut State, method: &Method, path: &str, body: &Value) -> Response<Body> {
    let collection =
        path.rsplit('/').next().is_some_and(|last| last.ends_with('s') && path.ends_with(last) && is_collection(path));
    match (method.as_str(), collection) {
        ("GET", true) => {
            let items: Vec<Value> = state
                .objects
                .iter()
                .filter(|(key, _)| key.starts_with(&format!("{path}/")))
                .map(|(_, v)| v.clone())
                .collect();
            answer(
                StatusCode::OK,
                &json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                    "metadata": { "resourceVersion": "1" }, "items": items,
                }),
            )
        }
        ("GET", false) => match state.objects.get(path) {
            Some(object) => answer(StatusCode::OK, object),
            None => status(StatusCode::NOT_FOUND, "NotFound"),
        },
        ("POST", _) => {
            let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
            if state.objects.contains_key(&path) {
                return status(StatusCode::CONFLICT, "AlreadyExists");
            }
            let mut object = body.clone();
            stamp(state, &mut object);
            state.objects.insert(path, object.clone());
            answer(StatusCode::CREATED, &object)
        }
        ("PATCH", _) => {
            let mut object = state.objects.get(path).cloned().unwrap_or_else(|| json!({ "metadata": {} }));
            object["metadata"].as_object_mut().unwrap().remove("ownerReferences");
            merge(&mut object, body);
            // A default that nobody asked for.
            object["spec"].as_object_mut().map(|spec| spec.entry("defaulted").or_insert(true.into()));
            stamp(state, &mut object);
            state.objects.insert(path.to_owned(), object.clone());
            answer(StatusCode::OK, &object)
        }
        ("DELETE", _) => match state.objects.remove(path) {
            Some(object) => answer(StatusCode::OK, &object),
            None => status(StatusCode::NOT_FOUND, "NotFound"),
        },
        _ => status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

/// `/api/v1/namespaces/n/configmaps` has an odd number of parts behind `namespaces`.
fn is_collection(path: &str) -> bool {
    path.split("/namespaces/").nth(1).is_some_and(|rest| rest.split('/').count() == 2)
}

fn stamp(state: &mut State, object: &mut Value) {
    state.version += 1;
    let (version, metadata) = (state.version.to_string(), object["metadata"].as_object_mut().unwrap());
    metadata.entry("uid").or_insert_with(|| format!("uid-{version}").into());
    metadata.insert("resourceVersion".to_owned(), version.into());
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Object(Map::new())), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn answer(code: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(serde_json::to_vec(body).unwrap()))
        .unwrap()
}

fn status(code: StatusCode, reason: &str) -> Response<Body> {
    answer(
        code,
        &json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure",
            "reason": reason, "message": reason, "code": code.as_u16(),
        }),
    )
}
