//! Growing, pausing, deleting, and coming back.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use portico_crds::common::ConditionType::{Paused, Ready, Stalled, StorageResized, WorkloadAvailable};
use portico_crds::{AuthService, CacheInstance, DatabaseInstance};
use serde_json::json;

use crate::world::{World, kinds, resource};

impl World {
    /// Deletes a resource and plays the garbage collector: what it owns goes, and what that owns.
    async fn delete_with_children(&self, kind: &str, name: &str) {
        let objects = self.objects().await;
        let mut doomed = vec![(kind.to_owned(), name.to_owned(), objects[&format!("{kind}/{name}")].uid().unwrap())];
        while let Some((kind, name, uid)) = doomed.pop() {
            let children = objects.values().filter(|child| {
                let owner = |reference: &OwnerReference| reference.uid == uid;
                child.owner_references().iter().any(owner)
            });
            doomed.extend(
                children.map(|child| (child.types.clone().unwrap().kind, child.name_any(), child.uid().unwrap())),
            );
            let resource = kinds().into_iter().find(|one| one.kind == kind).unwrap();
            self.remove(&resource, &name).await;
        }
    }

    /// Deletes an object for good, also past the protection that a controller would lift.
    async fn remove(&self, kind: &ApiResource, name: &str) {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, kind);
        api.delete(name, &DeleteParams::background()).await.unwrap();
        if api.get_opt(name).await.unwrap().is_some() {
            let lift = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            api.patch(name, &PatchParams::default(), &lift).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_volume_grows_with_the_spec() {
    let world = World::new("grows").await;
    let sized =
        |size: &str| resource("AuthService", "members", json!({"database": {"managed": {"storage": {"size": size}}}}));
    world.apply(sized("1Gi")).await;
    world.settle().await;
    let claim = async || world.api::<PersistentVolumeClaim>().get("data-members-db-postgresql-0").await.unwrap();
    let size =
        |claim: PersistentVolumeClaim| claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0.clone();
    assert_eq!(size(claim().await), "1Gi");
    // The API server lets only a bound claim be changed, so the request arrives and is refused.
    world.apply(sized("2Gi")).await;
    world.settle().await;
    let condition = world.condition::<DatabaseInstance>("members-db", StorageResized).await;
    assert!(
        condition.starts_with("False Resizing") && condition.contains("data-members-db-postgresql-0"),
        "{condition}"
    );
    assert_eq!(size(claim().await), "1Gi");
    assert!(world.condition::<DatabaseInstance>("members-db", Stalled).await.starts_with("False"));
}

#[tokio::test]
async fn an_instance_whose_volume_cannot_grow_goes_on_and_says_so() {
    let world = World::new("stuck").await;
    let class = format!("slow-{}", world.namespace);
    let body = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "test.example/none"});
    let classes: Api<k8s_openapi::api::storage::v1::StorageClass> = Api::all(world.client.clone());
    classes.patch(&class, &PatchParams::apply("test"), &Patch::Apply(&body)).await.unwrap();
    let asked = |size: &str, memory: &str| {
        let limits = json!({"limits": {"memory": memory}});
        let storage = json!({"size": size, "storageClassName": class});
        resource("CacheInstance", "box", json!({"engine": "Valkey", "storage": storage, "resources": limits}))
    };
    world.apply(asked("1Gi", "256Mi")).await;
    world.bring_up().await;
    let bound = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]});
    world.set_status::<PersistentVolumeClaim>("data-box-valkey-0", bound).await;
    world.settle().await;
    assert!(world.condition::<CacheInstance>("box", StorageResized).await.starts_with("True Resized"));

    world.apply(asked("2Gi", "512Mi")).await;
    world.settle().await;
    let condition = world.condition::<CacheInstance>("box", StorageResized).await;
    assert!(condition.starts_with("False ExpansionNotSupported") && condition.contains("1Gi"), "{condition}");
    assert!(world.condition::<CacheInstance>("box", Stalled).await.starts_with("False"));
    let set: StatefulSet = world.api().get("box-valkey").await.unwrap();
    let container = &set.spec.unwrap().template.spec.unwrap().containers[0];
    let memory = &container.resources.as_ref().unwrap().limits.as_ref().unwrap()["memory"].0;
    assert_eq!(memory, "512Mi", "all the rest is applied");

    let allowed = Patch::Merge(json!({"allowVolumeExpansion": true}));
    classes.patch(&class, &PatchParams::default(), &allowed).await.unwrap();
    world.bring_up().await;
    let condition = world.condition::<CacheInstance>("box", StorageResized).await;
    assert_eq!(condition, "False Resizing: PersistentVolumeClaim data-box-valkey-0 has 1Gi of 2Gi");
    let words = json!({"type": "FileSystemResizePending", "status": "True", "message": "Waiting for a pod"});
    let status = json!({"conditions": [words]});
    world.set_status::<PersistentVolumeClaim>("data-box-valkey-0", status).await;
    world.settle().await;
    assert!(world.condition::<CacheInstance>("box", StorageResized).await.contains("Waiting for a pod"));
    let grown = json!({"capacity": {"storage": "2Gi"}, "conditions": null});
    world.set_status::<PersistentVolumeClaim>("data-box-valkey-0", grown).await;
    world.settle().await;
    assert!(world.condition::<CacheInstance>("box", StorageResized).await.starts_with("True Resized"));
}

#[tokio::test]
async fn copies_that_are_not_ready_keep_the_instance_from_being_available() {
    let world = World::new("copies").await;
    world.apply(resource("DatabaseInstance", "ledger", json!({"engine": "MariaDB", "readReplicas": 2}))).await;
    world.bring_up().await;
    assert!(world.condition::<DatabaseInstance>("ledger", WorkloadAvailable).await.starts_with("True"));
    world.set_status::<StatefulSet>("ledger-mariadb-read", json!({"readyReplicas": 1, "availableReplicas": 1})).await;
    world.settle().await;
    let condition = world.condition::<DatabaseInstance>("ledger", WorkloadAvailable).await;
    assert_eq!(condition, "False RollingOut: a pod of StatefulSet ledger-mariadb-read is not ready");
}

#[tokio::test]
async fn a_backend_that_nobody_can_be_asked_for_is_a_matter_for_a_person() {
    let world = World::new("delegated").await;
    world.apply(resource("DatabaseInstance", "ledger", json!({"engine": "PostgreSQL", "backend": "Delegated"}))).await;
    let failure = world.pass().await.unwrap_err();
    assert_eq!((failure.reason(), failure.stalled()), ("BackendUnavailable", true), "{}", failure.message());
    assert_eq!(world.names().await, ["DatabaseInstance/ledger"]);
}

#[tokio::test]
async fn retained_data_is_taken_up_by_a_successor_of_the_same_name() {
    let world = World::new("retain").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.bring_up().await;
    let secrets = ["members-db-postgresql-credentials", "members-db-postgresql-logins", "members-signing-keys"];
    let mut before = Vec::new();
    for name in secrets {
        before.push(world.secret(name).await);
    }
    world.delete_with_children("AuthService", "members").await;
    assert_eq!(
        world.names().await,
        [
            "PersistentVolumeClaim/data-members-cache-valkey-0",
            "PersistentVolumeClaim/data-members-db-postgresql-0",
            "Secret/members-cache-valkey-credentials",
            "Secret/members-cache-valkey-logins",
            "Secret/members-db-postgresql-credentials",
            "Secret/members-db-postgresql-logins",
            "Secret/members-signing-keys",
            "Secret/portico-ca",
        ]
    );
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.bring_up().await;
    for (name, before) in secrets.into_iter().zip(before) {
        assert_eq!(world.secret(name).await, before, "{name} was made anew");
    }
    world.bring_up().await;
    let published = world.secret("members-db-postgresql-binding").await;
    assert_eq!(published["password"], world.login("members-db-postgresql").await);
    assert!(world.condition::<AuthService>("members", Ready).await.starts_with("True"));
}

#[tokio::test]
async fn nothing_stays_with_the_policy_delete_also_when_it_was_chosen_later() {
    let world = World::new("delete").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.settle().await;
    world.apply(resource("AuthService", "members", json!({"deletionPolicy": "Delete"}))).await;
    world.settle().await;
    world.delete_with_children("AuthService", "members").await;
    assert_eq!(world.names().await, ["Secret/portico-ca"], "the CA belongs to the namespace");
}

#[tokio::test]
async fn the_policy_can_be_changed_back_to_retain() {
    let world = World::new("change").await;
    for policy in ["Delete", "Retain"] {
        world.apply(resource("CacheInstance", "box", json!({"engine": "Valkey", "deletionPolicy": policy}))).await;
        world.settle().await;
    }
    world.delete_with_children("CacheInstance", "box").await;
    let kept = ["PersistentVolumeClaim/data-box-valkey-0", "Secret/box-valkey-credentials", "Secret/box-valkey-logins"];
    assert_eq!(world.names().await[..3], kept);
}

#[tokio::test]
async fn a_deleted_child_comes_back_with_the_same_content() {
    let world = World::new("comes-back").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.bring_up().await;
    for name in &world.names().await {
        // What was deleted before may have another content now: a grant that was deleted has another login.
        let object = &world.objects().await[name];
        let kind = object.types.clone().unwrap().kind;
        // Data cannot come back; everything else has to.
        let drawn = ["-credentials", "-signing-keys", "-logins", "-tls", "portico-ca"];
        if ["AuthService", "PersistentVolumeClaim"].contains(&kind.as_str())
            || drawn.iter().any(|end| name.ends_with(end))
        {
            continue;
        }
        if kind.ends_with("Instance") || kind == "AccessGrant" {
            world.delete_with_children(&kind, &object.name_any()).await;
        } else {
            let resource = kinds().into_iter().find(|one| one.kind == kind).unwrap();
            world.remove(&resource, &object.name_any()).await;
        }
        world.bring_up().await;
        let after = world.objects().await;
        let found = after.get(name).unwrap_or_else(|| panic!("{name} did not come back"));
        assert_ne!(found.uid(), object.uid(), "{name} was never deleted");
        assert_eq!(found.data["spec"]["template"], object.data["spec"]["template"], "{name}");
        assert_eq!(found.data["data"], object.data["data"], "{name}");
    }
}

#[tokio::test]
async fn lost_passwords_are_made_anew_and_roll_the_pod() {
    let world = World::new("lost").await;
    world.apply(resource("DatabaseInstance", "ledger", json!({"engine": "PostgreSQL"}))).await;
    world.bring_up().await;
    let (credentials, binding) = ("ledger-postgresql-credentials", "ledger-postgresql-binding");
    let set = async || world.api::<StatefulSet>().get("ledger-postgresql").await.unwrap().spec.unwrap().template;
    let before = (world.secret(credentials).await, set().await, world.secret(binding).await);
    world.api::<Secret>().delete(credentials, &DeleteParams::default()).await.unwrap();
    world.settle().await;
    assert_ne!(world.secret(credentials).await, before.0);
    assert_ne!(set().await, before.1, "the engine learns its passwords when it starts");
    assert_eq!(world.secret(binding).await, before.2, "consumers have logins of their own");
}

#[tokio::test]
async fn a_paused_resource_is_watched_and_not_touched() {
    let world = World::new("paused").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.bring_up().await;
    let mut paused = resource("AuthService", "members", json!({"replicas": 3}));
    paused["metadata"]["annotations"] = json!({"portico.dev/paused": "true"});
    world.apply(paused).await;
    world.settle().await;
    let service: AuthService = world.api().get("members").await.unwrap();
    assert_eq!(service.status.as_ref().unwrap().observed_generation, service.meta().generation);
    assert!(world.condition::<AuthService>("members", Paused).await.starts_with("True"));
    let deployment: k8s_openapi::api::apps::v1::Deployment = world.api().get("members").await.unwrap();
    assert_eq!(deployment.spec.unwrap().replicas, Some(1));
}
