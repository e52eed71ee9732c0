//! What the operator may do, from what each controller needs. The chart's roles are generated from this.

use k8s_openapi::api::rbac::v1::PolicyRule;

/// One need: an API group, its resources, the verbs.
struct Need {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

/// Read by name, watched as metadata, searched for orphans.
const READ: &[&str] = &["get", "list", "watch"];
/// What server-side apply and the removal of orphans need beside reading.
const MANAGE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// The resources themselves: read, and their status written. Owner references that block deletion need `finalizers`.
const KINDS: &[Need] = &[
    Need { group: "portico.dev", resources: &["authservices"], verbs: READ },
    // Managed instances are children of an AuthService.
    Need { group: "portico.dev", resources: &["accessgrants", "cacheinstances", "databaseinstances"], verbs: MANAGE },
    // Finalizers are set by a patch of the metadata.
    Need {
        group: "portico.dev",
        resources: &["brokerinstances", "objectstores"],
        verbs: &["get", "list", "watch", "patch"],
    },
    Need {
        group: "portico.dev",
        resources: &[
            "accessgrants/status",
            "authservices/status",
            "brokerinstances/status",
            "cacheinstances/status",
            "databaseinstances/status",
            "objectstores/status",
        ],
        verbs: &["patch"],
    },
    Need {
        group: "portico.dev",
        resources: &[
            "accessgrants/finalizers",
            "authservices/finalizers",
            "brokerinstances/finalizers",
            "cacheinstances/finalizers",
            "databaseinstances/finalizers",
            "objectstores/finalizers",
        ],
        verbs: &["update"],
    },
];

/// The children of all kinds.
const CHILDREN: &[Need] = &[
    Need {
        group: "",
        resources: &["configmaps", "persistentvolumeclaims", "secrets", "serviceaccounts", "services"],
        verbs: MANAGE,
    },
    Need { group: "apps", resources: &["deployments", "statefulsets"], verbs: MANAGE },
    Need { group: "autoscaling", resources: &["horizontalpodautoscalers"], verbs: MANAGE },
    Need { group: "networking.k8s.io", resources: &["networkpolicies"], verbs: MANAGE },
    Need { group: "policy", resources: &["poddisruptionbudgets"], verbs: MANAGE },
    // Asked for only where cert-manager is installed and named in a spec; never watched.
    Need { group: "cert-manager.io", resources: &["certificates"], verbs: &["get", "create", "patch", "delete"] },
    // Why pods do not run, and where unready ones answer; pods are never written.
    Need { group: "", resources: &["pods"], verbs: &["list"] },
];

/// What the machinery needs.
const MACHINERY: &[Need] = &[Need { group: "events.k8s.io", resources: &["events"], verbs: &["create", "patch"] }];

/// The rules of the operator's `ClusterRole`. The lease has its own, see [`lease_rules`].
pub fn rbac_rules() -> Vec<PolicyRule> {
    KINDS.iter().chain(CHILDREN).chain(MACHINERY).map(rule).collect()
}

/// The rules of the operator's `Role` in its own namespace: leader election.
pub fn lease_rules() -> Vec<PolicyRule> {
    vec![rule(&Need {
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["get", "list", "watch", "create", "patch", "update"],
    })]
}

fn rule(need: &Need) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![need.group.to_owned()]),
        resources: Some(owned(need.resources)),
        verbs: owned(need.verbs),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_is_a_wildcard_and_none_is_listed_twice() {
        let mut seen = Vec::new();
        for rule in rbac_rules().into_iter().chain(lease_rules()) {
            let (group, resources) = (rule.api_groups.unwrap().concat(), rule.resources.unwrap());
            for text in resources.iter().chain(&rule.verbs).chain([&group]) {
                assert!(!text.contains('*'), "{text}");
            }
            seen.extend(resources.into_iter().map(|resource| (group.clone(), resource)));
        }
        let total = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), total);
    }

    #[test]
    fn every_kind_may_be_read_and_its_status_written() {
        let resources: Vec<String> = rbac_rules().into_iter().flat_map(|rule| rule.resources.unwrap()).collect();
        for definition in portico_crds::all() {
            let plural = definition.spec.names.plural;
            assert!(resources.contains(&plural), "{plural}");
            assert!(resources.contains(&format!("{plural}/status")), "{plural}/status");
        }
    }
}
