//! The `ConfigMap` with the typed configuration. It holds no secrets: those are files that it names.

use k8s_openapi::api::core::v1::ConfigMap;
use portico_operator_backends::digest::digest;

use super::metadata;
use crate::auth_service::validate::ValidAuthService;

/// The file name.
pub(super) const FILE: &str = "config.yaml";

/// The object.
pub(super) fn build(service: &ValidAuthService) -> ConfigMap {
    // Plain structs of numbers and texts always have a YAML form; should one ever not, JSON is YAML too.
    let text = serde_saphyr::to_string(&service.config)
        .or_else(|_| serde_json::to_string(&service.config))
        .unwrap_or_default();
    ConfigMap {
        metadata: metadata(&service.name, service.name.config()),
        data: Some([(FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    }
}

/// The hash that rolls the pods.
pub(super) fn hash(config: &ConfigMap) -> String {
    digest(config.data.iter().flatten().map(|(name, text)| (name.as_str(), text.as_bytes())))
}
