//! The one writer of objects: brings the desired set of one owner into shape, in order, and removes what the owner no
//! longer asks for.
//!
//! For each object: read the live one by name; refuse when it belongs to somebody else; write nothing when it is
//! already as desired; otherwise server-side apply by one field manager, with force, since a field that we render is
//! ours. Objects are written in the order of the set and the first failure ends the run, so that a later object never
//! starts before one that it needs. Orphans go last: a replacement stands before the old object falls.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use portico_crds::common::labels::{INSTANCE_LABEL, KIND_LABEL, MANAGED_BY, MANAGED_BY_LABEL};
use serde_json::Value;

use crate::FIELD_MANAGER;
use crate::desired::{Applied, Desired, Entry, Mode, Prepared};
use crate::error::{ApiError, ApplyError, Target};
use crate::orphans::{self, Key, Owner};
use crate::{handover, json, subset};

/// Holds the digest of what was applied last, so that a field that is no longer rendered is noticed.
pub const HASH_ANNOTATION: &str = "portico.dev/applied-hash";

/// Applies sets of objects. Cheap to clone; clones share what they know about orphans.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    kinds: Arc<[ApiResource]>,
    writes: bool,
    /// By owner UID: the names that the set had when orphans were last looked for.
    swept: Arc<Mutex<HashMap<String, BTreeSet<Key>>>>,
}

impl Applier {
    /// An applier that looks for no orphans yet.
    pub fn new(client: Client) -> Self {
        Self { client, kinds: Arc::new([]), writes: true, swept: Arc::default() }
    }

    /// An applier that looks for orphans among these kinds.
    #[must_use]
    pub fn with_kinds(&self, kinds: impl IntoIterator<Item = ApiResource>) -> Self {
        Self { kinds: kinds.into_iter().collect(), swept: Arc::default(), ..self.clone() }
    }

    /// An applier that reads the live objects and writes nothing, for paused resources.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { writes: false, ..self.clone() }
    }

    /// Whether it writes at all.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, uid: &str) {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Brings the set into shape. Doing it twice writes nothing the second time; a run that failed in the middle is
    /// finished by the next one.
    pub async fn apply<K>(&self, owner: &K, desired: Desired<Prepared>) -> Result<Desired<Applied>, ApplyError>
    where
        K: Resource<DynamicType = ()>,
    {
        let owner = Ours::new(owner, &desired)?;
        let mut answers = Vec::with_capacity(desired.entries().len());
        for entry in desired.entries() {
            answers.extend(self.one(&owner, entry).await?);
        }
        self.sweep(&owner, &desired).await?;
        Ok(desired.applied(answers))
    }

    /// Brings one object into shape and gives it back as it is now; `None` when it is missing and must not be made.
    async fn one(&self, owner: &Ours, entry: &Entry) -> Result<Option<DynamicObject>, ApplyError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &owner.namespace, &entry.resource);
        let target = entry.target(&owner.namespace);
        let live = api.get_opt(entry.name()).await.map_err(|error| ApiError::new("get", target.clone(), error))?;
        if let Some(live) = &live {
            owner.guard(entry, live, &target)?;
        }
        if !self.writes {
            return Ok(live);
        }
        if live.as_ref().is_some_and(|live| live.metadata.deletion_timestamp.is_some()) {
            return Err(ApplyError::Terminating { target });
        }
        let live = create_generated(&api, entry, live, &target).await?;
        let body = owner.body(entry);
        if let Some(live) = live {
            let Some(difference) = difference(entry, &body, &live) else { return Ok(Some(live)) };
            tracing::debug!(object.ref = %target, difference, "applying");
            if let Some(replicas) = handover::needed(&body, &live) {
                let held = handover::hold(&api, &live, entry.name(), replicas).await;
                held.map_err(|error| ApiError::new("apply", target.clone(), error))?;
            }
        } else {
            tracing::debug!(object.ref = %target, "creating");
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let answer = api.patch(entry.name(), &params, &Patch::Apply(&body)).await;
        answer.map(Some).map_err(|error| refusal(entry, target, error))
    }

    async fn sweep(&self, owner: &Ours, desired: &Desired<Prepared>) -> Result<(), ApplyError> {
        let names: BTreeSet<Key> =
            desired.entries().iter().map(|entry| (entry.resource.kind.clone(), entry.name().to_owned())).collect();
        let known = self.swept.lock().unwrap_or_else(PoisonError::into_inner).get(&owner.reference.uid) == Some(&names);
        if known || !self.writes || self.kinds.is_empty() {
            return Ok(());
        }
        let whose = Owner { namespace: &owner.namespace, name: &owner.reference.name, uid: &owner.reference.uid };
        let deleted = orphans::sweep(&self.client, whose, &self.kinds, &names).await?;
        for target in deleted {
            tracing::info!(object.ref = %target, "deleted, no longer asked for");
        }
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.reference.uid.clone(), names);
        Ok(())
    }
}

/// The owner of a set.
struct Ours {
    namespace: String,
    reference: OwnerReference,
}

impl Ours {
    fn new<K>(owner: &K, desired: &Desired<Prepared>) -> Result<Self, ApplyError>
    where
        K: Resource<DynamicType = ()>,
    {
        let namespace = owner.namespace().unwrap_or_default();
        let bug = |problem: String| ApplyError::Bug {
            target: Target::new(&K::kind(&()), &namespace, &owner.name_any()),
            problem,
        };
        if !desired.problems().is_empty() {
            return Err(bug(desired.problems().join("; ")));
        }
        let reference = owner.controller_owner_ref(&()).ok_or_else(|| bug("the owner has no UID".to_owned()))?;
        Ok(Self { reference: OwnerReference { block_owner_deletion: Some(true), ..reference }, namespace })
    }

    /// Refuses an object that is not ours to write: one that another owner controls, or one that nobody controls and
    /// that was not made for an owner of our name and kind. The latter is how a retained object finds its next owner.
    fn guard(&self, entry: &Entry, live: &DynamicObject, target: &Target) -> Result<(), ApplyError> {
        let conflict = |holder: String| Err(ApplyError::NameConflict { target: target.clone(), holder });
        match live.owner_references().iter().find(|reference| reference.controller == Some(true)) {
            Some(controller) if controller.uid == self.reference.uid => Ok(()),
            Some(controller) => conflict(format!("{} {}", controller.kind, controller.name)),
            None if made_for(entry, live) => Ok(()),
            None => conflict("nobody that Portico knows".to_owned()),
        }
    }

    /// The object as it is sent: in the owner's namespace, with owner reference and digest. A generated Secret is sent
    /// without its data.
    fn body(&self, entry: &Entry) -> Value {
        let mut object = entry.object.clone();
        object.metadata.namespace = Some(self.namespace.clone());
        object.metadata.owner_references = entry.mode.owned().then(|| vec![self.reference.clone()]);
        if matches!(entry.mode, Mode::Generated { .. }) {
            object.data = Value::Object(serde_json::Map::new());
        }
        let sent = Entry { object, ..entry.clone() };
        let hash = json::digest(&sent.body());
        let mut object = sent.object;
        object.annotations_mut().insert(HASH_ANNOTATION.to_owned(), hash);
        Entry { object, ..entry.clone() }.body()
    }
}

/// Whether the live object carries the labels of an object made for an owner of the same name and kind.
fn made_for(entry: &Entry, live: &DynamicObject) -> bool {
    let (wanted, found) = (entry.object.labels(), live.labels());
    found.get(MANAGED_BY_LABEL).is_some_and(|value| value == MANAGED_BY)
        && [INSTANCE_LABEL, KIND_LABEL].iter().all(|label| found.get(*label) == wanted.get(*label))
}

/// The first field that differs from what is sent; `None` when there is nothing to write.
fn difference(entry: &Entry, body: &Value, live: &DynamicObject) -> Option<String> {
    let live = serde_json::to_value(live).unwrap_or_default();
    let hash =
        |object: &Value| object.pointer("/metadata/annotations").and_then(|all| all.get(HASH_ANNOTATION)).cloned();
    if hash(body) != hash(&live) {
        return Some(format!(".metadata.annotations[{HASH_ANNOTATION}]"));
    }
    subset::first_difference(&entry.resource.kind, body, &live)
}

/// Makes a generated Secret when neither the inputs step nor we see one. A create cannot overwrite: whoever comes
/// second gets an error and looks again.
///
/// The owner is not part of the create but of the apply that follows: a field that a create set stays when a later
/// apply leaves it out, and a Secret could never be changed from `Delete` to `Retain`.
async fn create_generated(
    api: &Api<DynamicObject>,
    entry: &Entry,
    live: Option<DynamicObject>,
    target: &Target,
) -> Result<Option<DynamicObject>, ApplyError> {
    let Mode::Generated { exists, .. } = entry.mode else { return Ok(live) };
    let raced = |what| Err(ApplyError::Raced { target: target.clone(), what });
    match (exists, live) {
        (true, Some(live)) => Ok(Some(live)),
        (true, None) => raced("vanished"),
        (false, Some(_)) => raced("appeared"),
        (false, None) => {
            let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            match api.create(&params, &entry.object).await {
                Ok(made) => Ok(Some(made)),
                Err(kube::Error::Api(status)) if status.code == 409 => raced("appeared"),
                Err(error) => Err(refusal(entry, target.clone(), error)),
            }
        }
    }
}

/// Sorts the API server's refusals into those that a person must mend and those that may pass.
fn refusal(entry: &Entry, target: Target, error: kube::Error) -> ApplyError {
    match &error {
        kube::Error::Api(status) if status.code == 422 => {
            let detail = status.message.clone();
            let fixed = ["immutable", "updates to statefulset spec", "may not be changed", "cannot be changed"];
            if fixed.iter().any(|words| detail.contains(words)) {
                ApplyError::Immutable { target, plural: entry.resource.plural.clone(), detail }
            } else {
                ApplyError::Invalid { target, detail }
            }
        }
        _ => ApplyError::Api(ApiError::new("apply", target, error)),
    }
}
