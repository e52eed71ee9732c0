//! One namespace of the shared API server with the controllers, called directly: no watch, no timing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, TypeMeta};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Client, Resource as _, ResourceExt as _};
use portico_crds::common::names::EngineName;
use portico_crds::common::{ConditionType, PorticoResource};
use portico_crds::{AccessGrant, AuthService, BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore};
use portico_operator_backends::certificates::Certificate;
use portico_operator_controllers::{
    AccessGrantController, AuthServiceController, BrokerInstanceController, CacheInstanceController,
    DatabaseInstanceController, DependencyProbe, FailingCheck, Images, ObjectStoreController, Platform,
};
use portico_operator_core::clock::{Clock as _, ManualClock, SystemClock};
use portico_operator_core::metrics::Metrics;
use portico_operator_core::rng::SystemRng;
use portico_operator_core::{Context, Controller, Failure, conditions};
use portico_test_servers::kubernetes::ApiServer;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::engines::{Engines, reach};

/// Who plays everybody but the operator.
const OTHERS: &str = "test";

/// The API server with our definitions, once per test binary.
pub(crate) async fn server() -> &'static ApiServer {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let server = ApiServer::shared().await;
    INSTALLED.get_or_init(|| install(server)).await;
    server
}

/// An API server of its own with our definitions, for tests of an operator that acts on all namespaces.
pub(crate) async fn own_server() -> ApiServer {
    let server = ApiServer::start().await.unwrap();
    install(&server).await;
    server
}

async fn install(server: &ApiServer) {
    let client = server.client().await.unwrap();
    for definition in portico_crds::all() {
        let api = Api::all(client.clone());
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply(OTHERS), &Patch::Apply(&definition)).await.unwrap();
        await_condition(api, &name, is_crd_established()).await.unwrap();
    }
}

/// What the operator of the tests was installed with.
pub(crate) fn platform() -> Platform {
    Platform {
        images: Images {
            auth_service: "registry.test/auth-service:1".into(),
            engines: EngineName::ALL.map(|engine| (engine, format!("registry.test/{}:2", engine.as_str()))).into(),
        },
        image_pull_policy: "IfNotPresent".into(),
        cluster_domain: "cluster.local".into(),
        namespace: "portico-system".into(),
    }
}

/// Pods that say what the test lets them say.
#[derive(Clone, Default)]
pub(crate) struct Said(pub(crate) Arc<Mutex<Vec<FailingCheck>>>);

impl DependencyProbe for Said {
    fn failing(&self, _: IpAddr) -> BoxFuture<'_, Vec<FailingCheck>> {
        let said = self.0.lock().unwrap().clone();
        async move { said }.boxed()
    }
}

/// One namespace and an operator that works when it is told to.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) said: Said,
    pub(crate) engines: Engines,
    pub(crate) clock: Arc<ManualClock>,
    cx: Context,
    auth: AuthServiceController,
    databases: DatabaseInstanceController,
    caches: CacheInstanceController,
    brokers: BrokerInstanceController,
    stores: ObjectStoreController,
    grants: AccessGrantController,
}

impl World {
    /// A new namespace, with Pod Security `restricted` enforced.
    pub(crate) async fn new(prefix: &str) -> Self {
        Self::on(server().await, prefix).await
    }

    /// A new namespace of this server.
    pub(crate) async fn on(server: &ApiServer, prefix: &str) -> Self {
        let namespace = server.namespace(prefix).await.unwrap();
        Self::within(namespace, server.client().await.unwrap(), Engines::default())
    }

    /// A new process of the operator in the same namespace.
    pub(crate) fn restarted(&self, client: Client) -> Self {
        Self::within(self.namespace.clone(), client, self.engines.clone())
    }

    fn within(namespace: String, client: Client, engines: Engines) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let (rng, metrics) = (Arc::new(SystemRng), Metrics::default());
        let cx = Context::new(client.clone(), "test", Arc::<ManualClock>::clone(&clock), rng, metrics);
        let cx = Context { applier: cx.applier.with_kinds(kinds()), ..cx };
        let (platform, said) = (Arc::new(platform()), Said::default());
        let reach = reach(&said, &engines);
        Self {
            auth: AuthServiceController::new(Arc::clone(&platform), Arc::clone(&reach.probe)),
            databases: DatabaseInstanceController::new(Arc::clone(&platform), reach.clone()),
            caches: CacheInstanceController::new(Arc::clone(&platform), reach.clone()),
            brokers: BrokerInstanceController::new(Arc::clone(&platform), reach.clone()),
            stores: ObjectStoreController::new(platform, reach.clone()),
            grants: AccessGrantController::new(reach.administration),
            client,
            namespace,
            said,
            engines,
            clock,
            cx,
        }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies an object as a person would.
    pub(crate) async fn apply(&self, object: Value) {
        apply(&self.client, &self.namespace, object).await.unwrap();
    }

    /// Reconciles every resource once. The first failure ends it.
    pub(crate) async fn pass(&self) -> Result<(), Failure> {
        Box::pin(self.reconcile_all(&self.auth)).await?;
        Box::pin(self.reconcile_all(&self.databases)).await?;
        Box::pin(self.reconcile_all(&self.caches)).await?;
        Box::pin(self.reconcile_all(&self.brokers)).await?;
        Box::pin(self.reconcile_all(&self.stores)).await?;
        Box::pin(self.reconcile_all(&self.grants)).await
    }

    /// Reconciles every instance once, those of different kinds side by side.
    pub(crate) async fn pass_at_once(&self) -> Result<(), Failure> {
        let databases = Box::pin(self.reconcile_all(&self.databases));
        let caches = Box::pin(self.reconcile_all(&self.caches));
        let brokers = Box::pin(self.reconcile_all(&self.brokers));
        tokio::try_join!(databases, caches, brokers).map(drop)
    }

    async fn reconcile_all<C: Controller>(&self, controller: &C) -> Result<(), Failure> {
        let resources = self.api::<C::Kind>().list(&ListParams::default()).await.map_err(unreachable_server)?;
        for resource in resources {
            if resource.meta().deletion_timestamp.is_none() {
                let cx = if resource.paused() { self.cx.read_only() } else { self.cx.clone() };
                controller.reconcile(Arc::new(resource), &cx).await?;
            }
        }
        Ok(())
    }

    /// Reconciles until nothing is written any more.
    pub(crate) async fn settle(&self) {
        for _ in 0..20 {
            let before = self.versions().await;
            self.pass().await.unwrap_or_else(|failure| panic!("{}: {}", failure.reason(), failure.message()));
            if self.versions().await == before {
                return;
            }
        }
        panic!("the operator writes for ever");
    }

    /// Reconciles and lets pods become ready until everything is up.
    pub(crate) async fn bring_up(&self) {
        // Instances, then those that wait for them.
        for _ in 0..2 {
            self.settle().await;
            self.make_ready().await;
        }
        self.settle().await;
    }

    /// Every object of the namespace that has to do with us, by kind and name.
    pub(crate) async fn objects(&self) -> BTreeMap<String, DynamicObject> {
        let mut all = BTreeMap::new();
        for kind in kinds() {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
            for mut object in api.list(&ListParams::default()).await.unwrap() {
                // Items of a list do not say their kind.
                object.types = Some(TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
                all.insert(format!("{}/{}", kind.kind, object.name_any()), object);
            }
        }
        all.retain(|name, _| name != "ConfigMap/kube-root-ca.crt" && name != "ServiceAccount/default");
        all
    }

    /// The names of [`Self::objects`].
    pub(crate) async fn names(&self) -> Vec<String> {
        self.objects().await.into_keys().collect()
    }

    /// The version of each object: what the next write changes.
    pub(crate) async fn versions(&self) -> BTreeMap<String, String> {
        self.objects().await.into_iter().map(|(name, object)| (name, object.resource_version().unwrap())).collect()
    }

    /// Plays the kubelet: all pods of all workloads are ready.
    pub(crate) async fn make_ready(&self) {
        for set in self.api::<StatefulSet>().list(&ListParams::default()).await.unwrap() {
            let replicas = set.spec.as_ref().unwrap().replicas.unwrap();
            let status = json!({"observedGeneration": set.metadata.generation, "replicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas,
                "currentRevision": "a", "updateRevision": "a"});
            self.set_status::<StatefulSet>(&set.name_any(), status).await;
        }
        self.deliver_certificates().await;
        for deployment in self.api::<Deployment>().list(&ListParams::default()).await.unwrap() {
            let replicas = deployment.spec.as_ref().unwrap().replicas.unwrap();
            let status = json!({"observedGeneration": deployment.metadata.generation, "replicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas});
            self.set_status::<Deployment>(&deployment.name_any(), status).await;
        }
    }

    /// Plays the kubelet and the engines: what is in the Secrets is served.
    pub(crate) async fn deliver_certificates(&self) {
        for secret in self.api::<Secret>().list(&ListParams::default()).await.unwrap() {
            let name = secret.name_any();
            let Some(workload) = name.strip_suffix("-tls") else { continue };
            let served = Certificate::first(&self.secret(&name).await["tls.crt"]).unwrap();
            let namespace = &self.namespace;
            self.engines.serve(&format!("{workload}.{namespace}.svc"), &served.fingerprint());
            for copy in 0..5 {
                let host = format!("{workload}-read-{copy}.{workload}-read-pods.{namespace}.svc");
                self.engines.serve(&host, &served.fingerprint());
            }
        }
    }

    pub(crate) async fn set_status<K>(&self, name: &str, status: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api::<K>().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The entries of a Secret as text.
    pub(crate) async fn secret(&self, name: &str) -> BTreeMap<String, String> {
        let secret: Secret = self.api().get(name).await.unwrap();
        let text = |value: k8s_openapi::ByteString| String::from_utf8(value.0).unwrap();
        secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, text(value))).collect()
    }

    /// The password of a grant's published login.
    pub(crate) async fn login(&self, grant: &str) -> String {
        let logins = self.secret(&format!("{grant}-logins")).await;
        logins[&format!("{}.password", logins["active"])].clone()
    }

    /// A condition as `status reason: message`.
    pub(crate) async fn condition<K: PorticoResource>(&self, name: &str, type_: ConditionType) -> String {
        let object: K = self.api().get(name).await.unwrap();
        let found = conditions::find(object.conditions(), type_).unwrap_or_else(|| panic!("{name} has no {type_}"));
        format!("{} {}: {}", found.status, found.reason, found.message)
    }
}

/// Applies an object, refusing unknown fields as `kubectl` does.
pub(crate) async fn apply(client: &Client, namespace: &str, object: Value) -> Result<DynamicObject, kube::Error> {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.clone().unwrap();
    let kind = kinds().into_iter().find(|kind| kind.kind == types.kind).unwrap();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let params = PatchParams::apply(OTHERS).force().validation_strict();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await
}

/// A resource of ours.
pub(crate) fn resource(kind: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "portico.dev/v1alpha1", "kind": kind, "metadata": {"name": name}});
    object["spec"] = spec;
    object
}

/// A Secret.
pub(crate) fn secret(name: &str, entries: &[(&str, &str)]) -> Value {
    let entries: BTreeMap<_, _> = entries.iter().copied().collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries})
}

/// Every kind that the operator reads or makes.
pub(crate) fn kinds() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<AuthService>(&()),
        ApiResource::erase::<DatabaseInstance>(&()),
        ApiResource::erase::<CacheInstance>(&()),
        ApiResource::erase::<BrokerInstance>(&()),
        ApiResource::erase::<ObjectStore>(&()),
        ApiResource::erase::<AccessGrant>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<PersistentVolumeClaim>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
    ]
}

fn unreachable_server(error: kube::Error) -> Failure {
    let target = portico_operator_core::Target::new("resources", "", "");
    portico_operator_core::ApiError::new("list", target, error).into()
}
