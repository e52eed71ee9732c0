//! The objects that one custom resource asks for, in the order in which they are applied. Pure: nothing here talks to
//! the API server.
//!
//! The type says how far the set has come: [`Desired<Prepared>`] comes out of a kind's build step,
//! [`Desired<Applied>`] only out of [`crate::Applier::apply`], so a status step cannot judge what was not applied.

use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject};
use kube::{Resource, ResourceExt};
use portico_crds::common::labels::{MANAGED_BY, MANAGED_BY_LABEL};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::Target;
use crate::json;

/// Built, not applied.
#[derive(Debug, Default)]
pub struct Prepared(());

/// Applied; holds the objects as the API server answered.
#[derive(Debug)]
pub struct Applied(Vec<DynamicObject>);

/// How an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Applied, and collected by Kubernetes when its owner goes.
    Owned,
    /// Applied, and left when its owner goes.
    Retained,
    /// Made once; afterwards only its metadata is kept in shape.
    Generated {
        /// Whether the inputs step saw it.
        exists: bool,
        /// Whether it is left when its owner goes.
        retained: bool,
    },
}

impl Mode {
    /// Whether the object carries an owner reference.
    pub(crate) fn owned(self) -> bool {
        matches!(self, Self::Owned | Self::Generated { retained: false, .. })
    }
}

/// One object of the set.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) resource: ApiResource,
    pub(crate) object: DynamicObject,
    pub(crate) mode: Mode,
}

impl Entry {
    pub(crate) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn target(&self, namespace: &str) -> Target {
        Target::new(&self.resource.kind, namespace, self.name())
    }

    /// The object as JSON, keys in order, without nulls.
    pub(crate) fn body(&self) -> Value {
        json::sorted(json::without_nulls(serde_json::to_value(&self.object).unwrap_or_default()))
    }
}

/// A set of objects in apply order.
pub struct Desired<S = Prepared> {
    entries: Vec<Entry>,
    /// What was handed in and cannot be applied; empty unless a build step has a bug.
    problems: Vec<String>,
    state: S,
}

impl Default for Desired<Prepared> {
    fn default() -> Self {
        Self::new()
    }
}

impl Desired<Prepared> {
    /// An empty set.
    pub fn new() -> Self {
        Self { entries: Vec::new(), problems: Vec::new(), state: Prepared(()) }
    }

    /// Adds an object that its owner controls: it gets the controller owner reference and goes with the owner.
    /// Namespace and owner reference are set when it is applied; a status is left out.
    #[expect(clippy::needless_pass_by_value, reason = "whoever builds an object has no use for it afterwards")]
    pub fn push<K>(&mut self, object: K)
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        self.add(&object, Mode::Owned);
    }

    /// Adds an object without an owner reference: it outlives its owner, and a later owner of the same name and kind
    /// takes it over by its labels.
    #[expect(clippy::needless_pass_by_value, reason = "whoever builds an object has no use for it afterwards")]
    pub fn push_retained<K>(&mut self, object: K)
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        self.add(&object, Mode::Retained);
    }

    /// Adds a Secret whose data is made once. `exists` says whether the inputs step saw it: only when it did not, the
    /// data is written, by a create that cannot overwrite. Later only labels, annotations and owner are kept in shape.
    /// `retained` as in [`Self::push_retained`].
    #[expect(clippy::needless_pass_by_value, reason = "whoever builds an object has no use for it afterwards")]
    pub fn push_generated(&mut self, secret: Secret, exists: bool, retained: bool) {
        self.add(&secret, Mode::Generated { exists, retained });
    }

    /// Adds all objects of another set behind those of this one.
    pub fn extend(&mut self, other: Self) {
        self.problems.extend(other.problems);
        for entry in other.entries {
            self.insert(entry);
        }
    }

    fn add<K>(&mut self, object: &K, mode: Mode)
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let resource = ApiResource::erase::<K>(&());
        match dynamic(object, &resource) {
            Ok(object) => self.insert(Entry { resource, object, mode }),
            Err(problem) => self.problems.push(format!("{} {}: {problem}", resource.kind, object.name_any())),
        }
    }

    fn insert(&mut self, entry: Entry) {
        let same = |other: &Entry| other.resource.kind == entry.resource.kind && other.name() == entry.name();
        if entry.name().is_empty() {
            self.problems.push(format!("a {} has no name", entry.resource.kind));
        } else if self.entries.iter().any(same) {
            self.problems.push(format!("{} {} is asked for twice", entry.resource.kind, entry.name()));
        } else {
            self.entries.push(entry);
        }
    }

    /// What the build step did wrong; such a set is not applied.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn applied(self, answers: Vec<DynamicObject>) -> Desired<Applied> {
        Desired { entries: self.entries, problems: self.problems, state: Applied(answers) }
    }

    /// All objects in apply order as YAML, for snapshots: keys sorted, values of Secrets hidden, and before each
    /// object a comment that says how it is kept.
    pub fn to_yaml(&self) -> String {
        self.entries.iter().fold(String::new(), |text, entry| {
            let mut body = entry.body();
            hide_secret(&entry.resource, &mut body);
            let kept = match entry.mode {
                Mode::Owned => "owned",
                Mode::Retained => "retained",
                Mode::Generated { retained: false, .. } => "owned, data generated once",
                Mode::Generated { retained: true, .. } => "retained, data generated once",
            };
            let yaml = serde_saphyr::to_string(&body).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"));
            text + "---\n# " + kept + "\n" + &yaml
        })
    }

    /// The objects in apply order, without namespace and owner. Holds the data of Secrets.
    pub fn objects(&self) -> impl Iterator<Item = &DynamicObject> {
        self.entries.iter().map(|entry| &entry.object)
    }
}

impl Desired<Applied> {
    /// The object of this kind and name as the API server last answered; `None` when it is not part of the set, or
    /// does not exist because writing is paused.
    pub fn get<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let (kind, version) = (K::kind(&()), K::api_version(&()));
        self.state
            .0
            .iter()
            .find(|object| {
                object.metadata.name.as_deref() == Some(name)
                    && object.types.as_ref().is_some_and(|types| types.kind == kind && types.api_version == version)
            })
            .and_then(|object| serde_json::from_value(serde_json::to_value(object).ok()?).ok())
    }
}

impl<S> fmt::Debug for Desired<S> {
    /// Names only: the objects hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(|entry| format!("{}/{}", entry.resource.kind, entry.name())))
            .finish()
    }
}

/// The object as it is applied: no nulls, no status, `managed-by` set, the text data of a Secret encoded (the API
/// server never shows `stringData`, so it could not be compared).
fn dynamic<K>(object: &K, resource: &ApiResource) -> Result<DynamicObject, String>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let value = serde_json::to_value(object).map_err(|error| format!("cannot be encoded: {error}"))?;
    let Value::Object(mut body) = json::without_nulls(value) else {
        return Err("is not an object".to_owned());
    };
    body.remove("status");
    body.insert("apiVersion".to_owned(), resource.api_version.clone().into());
    body.insert("kind".to_owned(), resource.kind.clone().into());
    if resource.kind == "Secret" {
        encode_string_data(&mut body);
    }
    let mut object: DynamicObject = serde_json::from_value(Value::Object(body)).map_err(|error| error.to_string())?;
    object.labels_mut().entry(MANAGED_BY_LABEL.to_owned()).or_insert_with(|| MANAGED_BY.to_owned());
    Ok(object)
}

fn encode_string_data(secret: &mut Map<String, Value>) {
    use base64::Engine as _;
    let Some(Value::Object(plain)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(data) = data {
        data.extend(plain.into_iter().filter_map(|(key, value)| {
            Some((key, base64::engine::general_purpose::STANDARD.encode(value.as_str()?).into()))
        }));
    }
}

fn hide_secret(resource: &ApiResource, body: &mut Value) {
    if resource.kind != "Secret" {
        return;
    }
    if let Some(Value::Object(data)) = body.get_mut("data") {
        data.values_mut().for_each(|value| *value = "***".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
    use kube::core::ObjectMeta;

    fn named(name: &str) -> ObjectMeta {
        ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
    }

    fn secret(name: &str) -> Secret {
        Secret {
            metadata: named(name),
            string_data: Some([("password".to_owned(), "hunter2".to_owned())].into()),
            ..Secret::default()
        }
    }

    #[test]
    fn keeps_the_order_and_shows_no_secret() {
        let mut desired = Desired::new();
        desired.push(ServiceAccount { metadata: named("a"), ..ServiceAccount::default() });
        desired.push_generated(secret("b"), false, true);
        let yaml = desired.to_yaml();
        assert!(yaml.find("ServiceAccount").unwrap() < yaml.find("kind: Secret").unwrap(), "{yaml}");
        assert!(yaml.contains("# retained, data generated once"), "{yaml}");
        assert!(yaml.contains("password:"), "{yaml}");
        assert!(!yaml.contains("hunter2") && !yaml.contains("aHVudGVyMg"), "{yaml}");
        assert!(!format!("{desired:?}").contains("aHVudGVyMg"));
    }

    #[test]
    fn text_data_becomes_data_that_can_be_compared() {
        let mut desired = Desired::new();
        desired.push(secret("b"));
        let object = desired.objects().next().unwrap();
        assert_eq!(object.data["data"]["password"], "aHVudGVyMg==");
        assert!(object.data.get("stringData").is_none());
    }

    #[test]
    fn every_object_says_who_manages_it() {
        let mut desired = Desired::new();
        desired.push(ConfigMap { metadata: named("c"), ..ConfigMap::default() });
        assert_eq!(desired.objects().next().unwrap().labels()[MANAGED_BY_LABEL], "portico");
    }

    #[test]
    fn a_name_twice_or_none_is_a_problem_and_not_an_overwrite() {
        let mut desired = Desired::new();
        desired.push(secret("b"));
        let mut other = Desired::new();
        other.push(secret("b"));
        other.push(ConfigMap::default());
        desired.extend(other);
        assert_eq!(desired.objects().count(), 1);
        assert_eq!(desired.problems().len(), 2, "{:?}", desired.problems());
    }
}
