//! What pods have of what they need. It is remembered on their workload, so that a service that runs keeps what it has
//! while something else is not there, and so that what it leaves stays until its last pod has left. Pure.

use portico_crds::common::names::EngineName;
use portico_crds::common::{Backend, TypedInstanceRef, reasons};
use portico_operator_backends::binding::Binding;
use serde::{Deserialize, Serialize};

use super::observe::Observed;
use super::{Edge, verdict};
use crate::verdict::Verdict;

/// What pods are given of one edge. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The binding Secret that is mounted.
    pub secret: String,
    /// The grant that publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The instance behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<TypedInstanceRef>,
    /// The program of the instance's pods, as their label has it; `None` when they are not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// An edge as the build step needs it.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) edge: Edge,
    /// What pods get: what is wanted when it is bound, else what they have; `None` when there is nothing yet.
    pub(crate) link: Option<Link>,
    pub(crate) verdict: Verdict,
}

/// Judges an edge. `previous` is what running pods have.
pub(crate) fn resolve(edge: Edge, engine: EngineName, observed: &Observed, previous: Option<Link>) -> Resolved {
    let secret = edge.secret().unwrap_or_default();
    let (current, binding) = match observed.secret.as_ref().map(|data| Binding::read(engine, data)) {
        Some(Ok(binding)) => {
            let link = link(&edge, engine, observed, secret, &binding);
            (Some(link), Verdict::good(reasons::HEALTHY))
        }
        Some(Err(problem)) => {
            let text = format!("{}: Secret {secret}: {problem}", edge.role);
            (None, Verdict::bad(reasons::SECRET_INVALID, text))
        }
        None => (None, verdict::missing(&edge, &secret)),
    };
    let verdict = verdict::blocking(&edge, engine, observed).unwrap_or(binding);
    Resolved { edge, link: current.or(previous), verdict }
}

fn link(edge: &Edge, engine: EngineName, observed: &Observed, secret: String, binding: &Binding) -> Link {
    let backend = observed.instance.as_ref().and_then(|(_, seen)| seen.status.as_ref()?.backend.clone());
    let ours = edge.instance().is_some() && backend.as_deref() != Some(Backend::External.as_str());
    Link {
        secret,
        grant: edge.grant().map(str::to_owned),
        instance: edge.instance().cloned(),
        program: ours.then(|| engine.as_str().to_owned()),
        host: binding.host.clone(),
        port: binding.port,
    }
}

/// What is remembered of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What its present template gives to pods: one an edge, in the order of the edges.
    pub links: Vec<Option<Link>>,
    /// What pods of templates before may still use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Link>,
}

impl Note {
    /// What is to be remembered when pods get `links` from now on. `rolled_out` says whether all pods are of the present
    /// template.
    pub(crate) fn follow(self, links: Vec<Option<Link>>, rolled_out: bool) -> Self {
        let has = |links: &[Option<Link>], one: &Link| links.iter().flatten().any(|other| other.secret == one.secret);
        let replaced: Vec<Link> = self.links.iter().flatten().filter(|one| !has(&links, one)).cloned().collect();
        // Only when nothing changes now does a finished rollout mean that nobody uses what was.
        let done = rolled_out && replaced.is_empty();
        let before = if done { Vec::new() } else { self.leaving };
        let mut leaving: Vec<Link> = Vec::new();
        for one in before.into_iter().chain(replaced) {
            if !has(&links, &one) && !leaving.iter().any(|other| other.secret == one.secret) {
                leaving.push(one);
            }
        }
        Self { links, leaving }
    }

    /// Everything that pods may use.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().flatten().chain(&self.leaving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(secret: &str) -> Link {
        Link { secret: secret.into(), grant: None, instance: None, program: None, host: "h".into(), port: 1 }
    }

    fn secrets(note: &Note) -> Vec<&str> {
        note.leaving.iter().map(|link| link.secret.as_str()).collect()
    }

    #[test]
    fn what_is_left_stays_until_the_last_pod_has_left_it() {
        let note = Note::default().follow(vec![Some(link("one"))], false);
        assert!(secrets(&note).is_empty());
        // The rollout that was finished is that of the template before.
        let note = note.follow(vec![Some(link("two"))], true);
        assert_eq!(secrets(&note), ["one"]);
        let note = note.follow(vec![Some(link("two"))], false);
        assert_eq!(secrets(&note), ["one"]);
        let note = note.follow(vec![Some(link("three"))], false);
        assert_eq!(secrets(&note), ["one", "two"]);
        let note = note.follow(vec![Some(link("one"))], true);
        assert_eq!(secrets(&note), ["two", "three"], "who goes back leaves nothing of it");
        assert!(secrets(&note.follow(vec![Some(link("one"))], true)).is_empty());
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let note = Note { links: vec![Some(link("one")), None], leaving: vec![link("two")] };
        let text = serde_json::to_string(&note).unwrap();
        assert_eq!(serde_json::from_str::<Note>(&text).unwrap(), note);
    }
}
