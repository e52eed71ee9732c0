//! Who uses an instance. Pure.

use kube::ResourceExt as _;
use portico_crds::AccessGrant;
use portico_crds::common::TypedInstanceRef;

use super::{Edge, Needs as _};

/// The instances at the other end of a grant.
pub fn ends(grant: &AccessGrant) -> Vec<TypedInstanceRef> {
    grant.edges().iter().filter_map(Edge::instance).cloned().collect()
}

/// Who uses the instance, in words, sorted: the owner of a grant where it has one, else the grant. The grant behind the
/// instance's own binding, which the instance (`uid`) owns, does not count: it goes with the instance.
pub fn of(grants: &[AccessGrant], instance: &TypedInstanceRef, uid: &str) -> Vec<String> {
    let uses = grants.iter().filter(|grant| ends(grant).contains(instance));
    let others = uses.filter(|grant| !grant.owner_references().iter().any(|owner| owner.uid == uid));
    let mut consumers: Vec<_> = others.map(consumer).collect();
    consumers.sort();
    consumers.dedup();
    consumers
}

fn consumer(grant: &AccessGrant) -> String {
    let controller = grant.owner_references().iter().find(|owner| owner.controller == Some(true));
    controller
        .map_or_else(|| format!("AccessGrant {}", grant.name_any()), |owner| format!("{} {}", owner.kind, owner.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portico_crds::common::InstanceKindName;
    use serde_json::{Value, json};

    fn grant(name: &str, instance: &str, owner: &Value) -> AccessGrant {
        let object = json!({"apiVersion": "portico.dev/v1alpha1", "kind": "AccessGrant",
            "metadata": {"name": name, "ownerReferences": owner},
            "spec": {"instanceRef": {"kind": "DatabaseInstance", "name": instance}}});
        serde_json::from_value(object).unwrap()
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        json!([{"apiVersion": "portico.dev/v1alpha1", "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    #[test]
    fn owners_speak_for_their_grants_and_the_own_grant_for_nobody() {
        let grants = [
            grant("members-database", "ledger", &owner("AuthService", "members", "1")),
            grant("members-other", "ledger", &owner("AuthService", "members", "1")),
            grant("by-hand", "ledger", &json!([])),
            grant("ledger-postgresql", "ledger", &owner("DatabaseInstance", "ledger", "2")),
            grant("elsewhere", "archive", &json!([])),
        ];
        let ledger = TypedInstanceRef { kind: InstanceKindName::DatabaseInstance, name: "ledger".into() };
        assert_eq!(of(&grants, &ledger, "2"), ["AccessGrant by-hand", "AuthService members"]);
        let cache = TypedInstanceRef { kind: InstanceKindName::CacheInstance, ..ledger };
        assert!(of(&grants, &cache, "2").is_empty());
    }
}
