//! How the number of pods follows the load, and how many may be taken away at once.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{metadata, pod_selector};
use crate::auth_service::validate::ValidAuthService;

/// Scales by CPU: password hashing is what a login costs.
pub(super) fn autoscaler(service: &ValidAuthService, min: i32, max: i32, cpu: i32) -> HorizontalPodAutoscaler {
    let target =
        MetricTarget { type_: "Utilization".to_owned(), average_utilization: Some(cpu), ..MetricTarget::default() };
    let metric = MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource { name: "cpu".to_owned(), target }),
        ..MetricSpec::default()
    };
    HorizontalPodAutoscaler {
        metadata: metadata(&service.name, service.name.as_str().to_owned()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: service.name.as_str().to_owned(),
            },
            min_replicas: Some(min),
            max_replicas: max,
            metrics: Some(vec![metric]),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        ..HorizontalPodAutoscaler::default()
    }
}

/// One pod at a time may be taken away on purpose. Pods that are not ready do not count, so that a broken one never
/// blocks the draining of a node.
pub(super) fn disruption_budget(service: &ValidAuthService) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(&service.name, service.name.as_str().to_owned()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(pod_selector(&service.name)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
