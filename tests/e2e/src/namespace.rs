//! A namespace of its own for each test, made before it and deleted after it, with what a test does in it.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::{Api, Client, ResourceExt as _};
use portico_crds::common::PorticoResource;
use serde_json::Value;
use tokio::task::JoinError;

use crate::cluster::Cluster;
use crate::{Kind, diagnosis, wait};

/// No test may take longer, unless it says so: one that hangs fails with a diagnosis.
const TEST: Duration = Duration::from_secs(400);
/// The label of every namespace that a test made; its value is the name of the test.
pub const TEST_LABEL: &str = "portico.dev/test";
/// The field manager of what a test applies.
const MANAGER: &str = "e2e";

/// The namespace of one test. Cheap to clone.
#[derive(Clone)]
pub struct TestNamespace {
    cluster: Cluster,
    name: String,
    test: String,
    /// This one and its siblings: what is diagnosed and deleted in the end.
    all: Arc<Mutex<Vec<String>>>,
}

/// How a test ended.
pub type Outcome = Result<(), Report>;

/// Why a test failed, as it is printed: without the backtrace of an error, which would hide the diagnosis.
pub struct Report(String);

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<anyhow::Error> for Report {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// Runs `body` in a namespace of its own, in which the Pod Security level `restricted` is enforced.
///
/// # Errors
/// What `body` returned or panicked with, and a diagnosis of the namespace.
pub async fn with_namespace<F, T>(test: &str, body: F) -> Outcome
where
    F: FnOnce(TestNamespace) -> T,
    T: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    with_namespace_for(TEST, test, body).await
}

/// [`with_namespace`] for a test that may take as long as `limit`.
///
/// # Errors
/// As [`with_namespace`].
pub async fn with_namespace_for<F, T>(limit: Duration, test: &str, body: F) -> Outcome
where
    F: FnOnce(TestNamespace) -> T,
    T: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let cluster = Cluster::connect().await?;
    let namespace = TestNamespace::create(cluster, test).await?;
    let result = run(limit, Box::pin(body(namespace.clone()))).await;
    Ok(namespace.finish(result).await?)
}

/// A task of its own, so that a panic of an assertion can be followed by a diagnosis too.
async fn run(limit: Duration, body: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>) -> anyhow::Result<()> {
    match tokio::spawn(tokio::time::timeout(limit, body)).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(anyhow!("the test did not end within {} s", limit.as_secs())),
        Err(error) => Err(panic_message(error)),
    }
}

fn panic_message(error: JoinError) -> anyhow::Error {
    match error.try_into_panic() {
        Ok(panic) => {
            let text =
                panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            anyhow!("{}", text.unwrap_or("the test panicked"))
        }
        Err(error) => anyhow!(error),
    }
}

impl TestNamespace {
    async fn create(cluster: Cluster, test: &str) -> anyhow::Result<Self> {
        let short: String = test.replace('_', "-").chars().take(30).collect();
        let name = create_namespace(&cluster, generated(&format!("e2e-{short}-")), test, &[]).await?;
        let all = Arc::new(Mutex::new(vec![name.clone()]));
        Ok(Self { cluster, name, test: test.to_owned(), all })
    }

    /// Runs `body` in the namespace called `name`, which is made when it is not there. It stays when `body` succeeds
    /// and `keep` is set: for a test of several programs.
    ///
    /// # Errors
    /// As [`with_namespace`].
    pub async fn fixed<F, T>(name: &str, keep: bool, limit: Duration, body: F) -> Outcome
    where
        F: FnOnce(Self) -> T,
        T: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let cluster = Cluster::connect().await?;
        let known = Api::<Namespace>::all(cluster.client()).get_opt(name).await;
        if known.context("looking for the namespace")?.is_none() {
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            create_namespace(&cluster, metadata, name, &[]).await?;
        }
        let all = Arc::new(Mutex::new(vec![name.to_owned()]));
        let namespace = Self { cluster, name: name.to_owned(), test: name.to_owned(), all };
        let result = run(limit, Box::pin(body(namespace.clone()))).await;
        if keep && result.is_ok() {
            return Ok(());
        }
        Ok(namespace.finish(result).await?)
    }

    /// Another namespace of the same test, with labels of its own.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn sibling(&self, labels: &[(&str, &str)]) -> anyhow::Result<Self> {
        let name = create_namespace(&self.cluster, generated(&format!("{}-", self.name)), &self.test, labels).await?;
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        Ok(Self { name, ..self.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A client.
    pub fn client(&self) -> Client {
        self.cluster.client()
    }

    /// Objects of a kind in this namespace.
    pub fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client(), &self.name)
    }

    /// Applies a manifest as `kubectl apply --server-side` does: unknown fields are refused, fields that are left out
    /// are given up.
    ///
    /// # Errors
    /// The API server refuses it; the error is its message.
    pub async fn apply(&self, manifest: Value) -> anyhow::Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(manifest).context("reading the manifest")?;
        let types = object.types.clone().context("a manifest needs apiVersion and kind")?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.name, &resource_of(&types)?);
        let mut parameters = PatchParams::apply(MANAGER).force();
        parameters.field_validation = Some(ValidationDirective::Strict);
        let name = object.name_any();
        let applied = api.patch(&name, &parameters, &Patch::Apply(&object)).await;
        applied.with_context(|| format!("applying {} {name}", types.kind))
    }

    /// Changes an object by a JSON merge patch, as `kubectl patch --type=merge` does.
    ///
    /// # Errors
    /// The API server refuses it; the error is its message.
    pub async fn patch<K: Kind>(&self, name: &str, change: Value) -> anyhow::Result<K> {
        let mut parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        parameters.field_validation = Some(ValidationDirective::Strict);
        let patched = self.api::<K>().patch(name, &parameters, &Patch::Merge(change)).await;
        patched.with_context(|| format!("patching {} {name}", K::kind(&())))
    }

    /// Reads an object.
    ///
    /// # Errors
    /// It is not there.
    pub async fn get<K: Kind>(&self, name: &str) -> anyhow::Result<K> {
        self.api::<K>().get(name).await.with_context(|| format!("reading {} {name}", K::kind(&())))
    }

    /// Deletes an object and does not wait for its end.
    ///
    /// # Errors
    /// It is not there.
    pub async fn delete<K: Kind>(&self, name: &str) -> anyhow::Result<()> {
        let deleted = self.api::<K>().delete(name, &DeleteParams::background()).await;
        deleted.map(|_| ()).with_context(|| format!("deleting {} {name}", K::kind(&())))
    }

    /// Waits until an object is there and `done` holds for it. `what` ends the sentence "… did not become …".
    ///
    /// # Errors
    /// The deadline passes; the error says all that is known.
    pub async fn wait<K: Kind>(
        &self,
        name: &str,
        deadline: Duration,
        what: &str,
        done: impl Fn(&K) -> bool,
    ) -> anyhow::Result<K> {
        let found = wait::until(self.api(), name, deadline, what, |object| object.is_some_and(&done)).await?;
        found.context("the object was there a moment ago")
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// The deadline passes; the error says all that is known.
    pub async fn wait_gone<K: Kind>(&self, name: &str, deadline: Duration) -> anyhow::Result<()> {
        wait::until(self.api::<K>(), name, deadline, "deleted", |object| object.is_none()).await?;
        Ok(())
    }

    /// Waits until a resource of ours says `Ready` about its current spec.
    ///
    /// # Errors
    /// The deadline passes; the error says all that is known.
    pub async fn wait_ready<K: PorticoResource>(&self, name: &str, deadline: Duration) -> anyhow::Result<K> {
        self.wait_condition(name, deadline, "Ready", "True", "").await
    }

    /// Waits until a condition that judges the current spec has this status and a reason or message that contains
    /// `text`.
    ///
    /// # Errors
    /// The deadline passes; the error says all that is known.
    pub async fn wait_condition<K: PorticoResource>(
        &self,
        name: &str,
        deadline: Duration,
        condition: &str,
        status: &str,
        text: &str,
    ) -> anyhow::Result<K> {
        let what = format!("{condition}={status} with {text:?}");
        self.wait(name, deadline, &what, |object: &K| wait::has_condition(object, condition, status, text)).await
    }

    /// Waits as a user would, by `kubectl wait`, until an object such as `databaseinstance/orders` is ready.
    ///
    /// # Errors
    /// It is not in twice the time of a platform; the error is what `kubectl` said.
    pub async fn kubectl_wait(&self, object: &str) -> anyhow::Result<()> {
        let timeout = format!("--timeout={}s", crate::PLATFORM.as_secs() * 2);
        let command = ["wait", "--for=condition=Ready", &timeout, "--namespace", &self.name, object];
        self.cluster.kubectl(command).await.map(drop)
    }

    async fn finish(self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        let names = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut result = result;
        if let Err(error) = result {
            result = Err(self.explain(error, &names).await);
            if std::env::var_os("PORTICO_E2E_KEEP").is_some_and(|value| value == "1") {
                return result;
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.client());
        for name in &names {
            // The test's own failure says more than one of the clean-up.
            let deleted = namespaces.delete(name, &DeleteParams::background()).await;
            result = result.and_then(|()| deleted.map(|_| ()).context("deleting the namespace of the test"));
        }
        result
    }

    async fn explain(&self, error: anyhow::Error, names: &[String]) -> anyhow::Error {
        let mut report = format!("{error:#}\n");
        for name in names {
            // A wait that failed has said it already.
            if !report.contains(&diagnosis::heading(name)) {
                report.push_str(&diagnosis::of(&self.client(), name).await);
            }
        }
        anyhow!("test {} in namespace {}: {report}", self.test, self.name)
    }
}

/// The API server makes the name unique.
fn generated(prefix: &str) -> ObjectMeta {
    ObjectMeta { generate_name: Some(prefix.to_owned()), ..ObjectMeta::default() }
}

async fn create_namespace(
    cluster: &Cluster,
    name: ObjectMeta,
    test: &str,
    labels: &[(&str, &str)],
) -> anyhow::Result<String> {
    let mut all: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    all.insert(TEST_LABEL.to_owned(), test.to_owned());
    all.insert("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    let metadata = ObjectMeta { labels: Some(all), ..name };
    let namespace = Namespace { metadata, ..Namespace::default() };
    let created = Api::<Namespace>::all(cluster.client()).create(&PostParams::default(), &namespace).await;
    Ok(created.context("creating a namespace")?.name_any())
}

/// The kinds that tests apply all have regular plurals.
fn resource_of(types: &TypeMeta) -> anyhow::Result<ApiResource> {
    let Ok(gvk) = GroupVersionKind::try_from(types) else {
        bail!("apiVersion {:?} cannot be read", types.api_version);
    };
    Ok(ApiResource::from_gvk(&gvk))
}
