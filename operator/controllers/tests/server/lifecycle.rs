//! Growing, pausing, deleting, and coming back.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use portico_crds::common::ConditionType::{Paused, Ready};
use portico_crds::{AuthService, DatabaseInstance};
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
    // The API server lets only a bound claim of a class that can grow be changed, and there is no such class here: the
    // request arrives, and its refusal is what the person reads.
    world.apply(sized("2Gi")).await;
    let failure = loop {
        if let Err(failure) = world.pass().await {
            break failure;
        }
    };
    assert!(failure.message().contains("data-members-db-postgresql-0"), "{}", failure.message());
    let instance: DatabaseInstance = world.api().get("members-db").await.unwrap();
    assert_eq!(instance.spec.storage.unwrap().size.unwrap(), "2Gi");
}

#[tokio::test]
async fn retained_data_is_taken_up_by_a_successor_of_the_same_name() {
    let world = World::new("retain").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.settle().await;
    let secrets = ["members-db-postgresql-credentials", "members-cache-valkey-credentials", "members-signing-keys"];
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
            "Secret/members-db-postgresql-credentials",
            "Secret/members-signing-keys",
        ]
    );
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.settle().await;
    for (name, before) in secrets.into_iter().zip(before) {
        assert_eq!(world.secret(name).await, before, "{name} was made anew");
    }
    let published = world.secret("members-db-postgresql-binding").await;
    assert_eq!(published["password"], world.secret(secrets[0]).await["password"]);
    world.make_ready().await;
    world.settle().await;
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
    assert_eq!(world.names().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_policy_can_be_changed_back_to_retain() {
    let world = World::new("change").await;
    for policy in ["Delete", "Retain"] {
        world.apply(resource("CacheInstance", "box", json!({"engine": "Valkey", "deletionPolicy": policy}))).await;
        world.settle().await;
    }
    world.delete_with_children("CacheInstance", "box").await;
    assert_eq!(world.names().await, ["PersistentVolumeClaim/data-box-valkey-0", "Secret/box-valkey-credentials"]);
}

#[tokio::test]
async fn a_deleted_child_comes_back_with_the_same_content() {
    let world = World::new("comes-back").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.settle().await;
    world.make_ready().await;
    world.settle().await;
    let before = world.objects().await;
    for (name, object) in &before {
        let kind = object.types.clone().unwrap().kind;
        // Data cannot come back; everything else has to.
        if ["AuthService", "PersistentVolumeClaim"].contains(&kind.as_str())
            || name.ends_with("-credentials")
            || name.ends_with("-signing-keys")
        {
            continue;
        }
        if kind.ends_with("Instance") {
            world.delete_with_children(&kind, &object.name_any()).await;
        } else {
            let resource = kinds().into_iter().find(|one| one.kind == kind).unwrap();
            world.remove(&resource, &object.name_any()).await;
        }
        world.settle().await;
        let after = world.objects().await;
        let found = after.get(name).unwrap_or_else(|| panic!("{name} did not come back"));
        assert_ne!(found.uid(), object.uid(), "{name} was never deleted");
        assert_eq!(found.data["spec"]["template"], object.data["spec"]["template"], "{name}");
        assert_eq!(found.data["data"], object.data["data"], "{name}");
    }
}

#[tokio::test]
async fn lost_passwords_are_made_anew_and_published() {
    let world = World::new("lost").await;
    world.apply(resource("DatabaseInstance", "ledger", json!({"engine": "PostgreSQL"}))).await;
    world.settle().await;
    let before = world.secret("ledger-postgresql-binding").await;
    world.api::<Secret>().delete("ledger-postgresql-credentials", &DeleteParams::default()).await.unwrap();
    world.settle().await;
    let after = world.secret("ledger-postgresql-binding").await;
    assert_ne!(after["password"], before["password"]);
    assert_eq!(after["password"], world.secret("ledger-postgresql-credentials").await["password"]);
}

#[tokio::test]
async fn a_paused_resource_is_watched_and_not_touched() {
    let world = World::new("paused").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.settle().await;
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
