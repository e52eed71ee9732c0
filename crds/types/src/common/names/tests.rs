//! Names are checked, and no two resources want the same object.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn names_are_checked() {
    assert!(ServiceName::new(&"a".repeat(32)).is_ok());
    for bad in ["", "A", "1a", "a-", "-a", "a_b", "a.b", "ä", &"a".repeat(33), "x-postgresql", "x-valkey"] {
        assert!(ServiceName::new(bad).is_err(), "{bad}");
    }
    assert!(InstanceName::new(&"a".repeat(40), EngineName::Valkey).is_ok());
    assert!(InstanceName::new(&"a".repeat(41), EngineName::Valkey).is_err());
}

#[test]
fn a_declared_instance_has_a_grant_of_its_own() {
    let name = ServiceName::new("members").unwrap();
    assert_eq!(
        (name.database_grant(None), name.cache_grant(None)),
        ("members-database".into(), "members-cache-access".into())
    );
    // The name must never change: the grant would be another one.
    assert_eq!(name.database_grant(Some("ledger")), "members-database-ee7c1c8c");
    assert_eq!(name.database_grant(Some("members-db")), "members-database");
}

#[test]
fn the_message_says_what_to_do() {
    let error = ServiceName::new(&"a".repeat(33)).unwrap_err().to_string();
    assert!(error.contains("metadata.name") && error.contains("32"), "{error}");
}

/// The grants to the managed instances and to two declared ones.
fn grants_of(name: &ServiceName) -> [String; 6] {
    let [none, one, two] = [None, Some("x-db"), Some("ledger")];
    let cache = [none, one, two].map(|declared| name.cache_grant(declared));
    let [first, second, third] = cache;
    [name.database_grant(none), name.database_grant(one), name.database_grant(two), first, second, third]
}

/// Every object of a service, as (kind, name).
fn of_service(name: &ServiceName) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = ["ServiceAccount", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"]
        .map(|kind| (kind, name.as_str().to_owned()))
        .into();
    all.extend([("ConfigMap", name.config()), ("Secret", name.signing_keys())]);
    all.extend([("DatabaseInstance", name.database()), ("CacheInstance", name.cache())]);
    for grant in grants_of(name) {
        let grant = GrantName::new(&grant).unwrap();
        all.extend([("AccessGrant", grant.as_str().to_owned())]);
        all.extend([("Secret", grant.binding()), ("Secret", grant.logins())]);
    }
    all
}

/// Every object of an instance, as (kind, name).
fn of_instance(name: &InstanceName) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = ["ServiceAccount", "StatefulSet", "Service", "NetworkPolicy", "ConfigMap"]
        .map(|kind| (kind, name.workload()))
        .into();
    all.extend([("Secret", name.credentials()), ("Secret", name.binding()), ("Claim", name.claim())]);
    all
}

prop_compose! {
    /// Names that are likely to collide: made of the suffixes themselves.
    fn name()(parts in prop::collection::vec(
        prop::sample::select(vec!["a", "db", "cache", "postgresql", "valkey", "config", "binding", "data", "credentials", "0"]), 1..4,
    )) -> String { format!("x-{}", parts.join("-")) }
}

proptest! {
    #[test]
    fn no_two_resources_want_the_same_object(a in name(), b in name()) {
        let mut wanted = BTreeSet::new();
        let mut total = 0;
        let mut add = |objects: Vec<(&'static str, String)>| {
            total += objects.len();
            wanted.extend(objects);
        };
        let names: BTreeSet<String> = [a, b].into();
        for text in &names {
            if let Ok(name) = ServiceName::new(text) {
                // The managed instances are resources of their own here; their names may equal declared ones,
                // which the operator reports as a conflict.
                add(of_service(&name).into_iter().filter(|(kind, _)| !kind.ends_with("Instance")).collect());
            }
            for engine in [EngineName::PostgreSql, EngineName::Valkey] {
                if let Ok(name) = InstanceName::new(text, engine) {
                    add(of_instance(&name));
                }
            }
        }
        prop_assert_eq!(wanted.len(), total);
    }

    #[test]
    fn derived_names_fit(service in "[a-z]([-a-z0-9]{0,30}[a-z0-9])?", instance in "[a-z]([-a-z0-9]{0,38}[a-z0-9])?") {
        let mut all = Vec::new();
        if let Ok(name) = ServiceName::new(&service) {
            all.extend(of_service(&name));
            prop_assert!(InstanceName::new(&name.database(), EngineName::PostgreSql).is_ok());
            prop_assert!(InstanceName::new(&name.cache(), EngineName::Valkey).is_ok());
        }
        for engine in [EngineName::PostgreSql, EngineName::Valkey] {
            let name = InstanceName::new(&instance, engine).unwrap();
            // The revision label of the pods adds a hyphen and ten characters.
            all.push(("Label", format!("{}-0123456789", name.workload())));
            all.extend(of_instance(&name));
        }
        for (kind, name) in all {
            // Secrets and claims are no label values; they may have 253 characters, and stay under 64 anyway.
            prop_assert!(name.len() <= 63, "{} {} has {} characters", kind, name, name.len());
        }
    }
}
