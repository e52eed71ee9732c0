//! Kubernetes events (`events.k8s.io/v1`), published when something changes and never because time passes. An event
//! that cannot be published is logged and forgotten: it must not fail a reconcile.

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt as _};

/// The controller's name in events.
const REPORTER: &str = "portico-operator";
/// The API server refuses longer notes.
const NOTE_LIMIT: usize = 1024;

/// Whether an event is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As expected.
    Normal,
    /// Somebody may want to look.
    Warning,
}

/// Publishes events. Cheap to clone.
#[derive(Clone)]
pub struct EventRecorder(Recorder);

impl EventRecorder {
    /// A recorder that reports in the name of this pod.
    pub fn new(client: Client, pod_name: &str) -> Self {
        Self(Recorder::new(client, Reporter { controller: REPORTER.to_owned(), instance: Some(pod_name.to_owned()) }))
    }

    /// Publishes one event about `object`: `reason` and `action` in CamelCase, `note` for people.
    pub async fn publish<K>(&self, object: &K, severity: Severity, reason: &str, action: &str, note: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        let event = Event {
            type_: match severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            reason: reason.to_owned(),
            action: action.to_owned(),
            note: (!note.is_empty()).then(|| note[..note.floor_char_boundary(NOTE_LIMIT)].to_owned()),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(object.name = object.name_any(), reason, %error, "event not published");
        }
    }
}
