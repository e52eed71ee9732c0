//! Pieces of pods that hold to Pod Security "restricted", with a read-only root file system and bounded scratch space.

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, EmptyDirVolumeSource, ExecAction, HTTPGetAction, PodSecurityContext, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, ServiceAccount, TCPSocketAction, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use portico_crds::common::{self, labels::Identity, quantities::Quantity};
use std::collections::BTreeMap;

/// Files of Secrets are for the pod's group only.
const SECRET_MODE: i32 = 0o440;

/// The pod's part of Pod Security "restricted", running as `uid`. Volumes that can be given to a group belong to the
/// group of the same number.
pub fn pod_security(uid: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(uid),
        run_as_group: Some(uid),
        fs_group: Some(uid),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// The container's part of Pod Security "restricted".
pub fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

/// An account without a token: our pods do not talk to the API server.
pub fn service_account(name: String, identity: Identity<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Scratch space in the node's file system (`medium: None`) or in memory (`"Memory"`).
pub fn scratch(name: &str, size: &str, medium: Option<&str>) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            size_limit: Some(ApiQuantity(size.to_owned())),
        }),
        ..Volume::default()
    }
}

/// The keys of a Secret as files.
pub fn secret(name: &str, secret: String) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            default_mode: Some(SECRET_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The keys of a `ConfigMap` as files.
pub fn config(name: &str, config_map: String) -> Volume {
    Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource { name: config_map, ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    }
}

/// Where a volume appears in the container.
pub fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// How often a probe asks and how many failures count.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Seconds between two questions.
    pub period: i32,
    /// Seconds until a question has failed.
    pub timeout: i32,
    /// Failures in a row until it matters.
    pub failures: i32,
}

/// A probe by a script.
pub fn exec_probe(script: &str, rhythm: Rhythm) -> Probe {
    let command = vec!["/bin/sh".to_owned(), script.to_owned()];
    Probe { exec: Some(ExecAction { command: Some(command) }), ..probe(rhythm) }
}

/// A probe by HTTP.
pub fn http_probe(path: &str, port: &str, rhythm: Rhythm) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        ..probe(rhythm)
    }
}

/// A probe by opening a connection.
pub fn tcp_probe(port: &str, rhythm: Rhythm) -> Probe {
    let port = IntOrString::String(port.to_owned());
    Probe { tcp_socket: Some(TCPSocketAction { port, host: None }), ..probe(rhythm) }
}

fn probe(rhythm: Rhythm) -> Probe {
    Probe {
        period_seconds: Some(rhythm.period),
        timeout_seconds: Some(rhythm.timeout),
        failure_threshold: Some(rhythm.failures),
        ..Probe::default()
    }
}

/// The resources of a container when the spec names none.
#[derive(Clone, Copy, Debug)]
pub struct DefaultResources {
    /// Requested CPU.
    pub cpu: &'static str,
    /// Requested memory.
    pub memory: &'static str,
    /// Memory limit. CPU has none: throttling helps nobody.
    pub memory_limit: &'static str,
}

/// The spec's resources, with the defaults where it is silent. A default yields to what was given: a request above the
/// default limit raises the limit, a limit below the default request lowers the request.
pub fn resources(given: Option<&common::ResourceRequirements>, defaults: DefaultResources) -> ResourceRequirements {
    let given = given.cloned().unwrap_or_default();
    let (requests, limits) = (given.requests.unwrap_or_default(), given.limits.unwrap_or_default());
    let memory_limit = limits.memory.unwrap_or_else(|| match &requests.memory {
        Some(request) if above(request, defaults.memory_limit) => request.clone(),
        _ => defaults.memory_limit.to_owned(),
    });
    let memory_request = requests.memory.unwrap_or_else(|| at_most(defaults.memory, Some(&memory_limit)));
    let cpu_request = requests.cpu.unwrap_or_else(|| at_most(defaults.cpu, limits.cpu.as_deref()));
    ResourceRequirements {
        requests: Some(amounts(Some(cpu_request), memory_request)),
        limits: Some(amounts(limits.cpu, memory_limit)),
        claims: None,
    }
}

fn amounts(cpu: Option<String>, memory: String) -> BTreeMap<String, ApiQuantity> {
    let cpu = cpu.map(|cpu| ("cpu".to_owned(), ApiQuantity(cpu)));
    cpu.into_iter().chain([("memory".to_owned(), ApiQuantity(memory))]).collect()
}

fn above(left: &str, right: &str) -> bool {
    matches!((Quantity::parse(left), Quantity::parse(right)), (Ok(left), Ok(right)) if left > right)
}

fn at_most(default: &str, limit: Option<&str>) -> String {
    limit.filter(|limit| above(default, limit)).unwrap_or(default).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portico_crds::common::{ResourceAmounts, ResourceRequirements as Given};

    const DEFAULTS: DefaultResources = DefaultResources { cpu: "100m", memory: "128Mi", memory_limit: "512Mi" };

    fn shown(requests: [Option<&str>; 2], limits: [Option<&str>; 2]) -> String {
        let amounts = |[cpu, memory]: [Option<&str>; 2]| {
            Some(ResourceAmounts { cpu: cpu.map(str::to_owned), memory: memory.map(str::to_owned) })
        };
        let resources = resources(Some(&Given { requests: amounts(requests), limits: amounts(limits) }), DEFAULTS);
        let text = |map: Option<BTreeMap<String, ApiQuantity>>| {
            map.unwrap().into_values().map(|quantity| quantity.0).collect::<Vec<_>>().join(" ")
        };
        format!("{} | {}", text(resources.requests), text(resources.limits))
    }

    #[test]
    fn defaults_yield_to_what_is_given() {
        assert_eq!(shown([None, None], [None, None]), "100m 128Mi | 512Mi");
        assert_eq!(shown([Some("1"), Some("1Gi")], [None, None]), "1 1Gi | 1Gi");
        assert_eq!(shown([None, None], [Some("50m"), Some("64Mi")]), "50m 64Mi | 50m 64Mi");
        assert_eq!(shown([None, Some("256Mi")], [None, Some("1Gi")]), "100m 256Mi | 1Gi");
    }
}
