//! The custom resource definitions: once for people and GitOps, once for the chart.

use std::path::Path;

use anyhow::ensure;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::{Files, yaml};

/// Where people find them.
pub(super) const GENERATED: &str = "crds/generated";
/// Where the chart's templates read them.
pub(super) const CHART: &str = "charts/portico/files/crds";

pub(super) fn files(definitions: &[CustomResourceDefinition]) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for definition in definitions {
        let name = format!("{}.yaml", definition.spec.names.plural);
        let text = yaml::document(definition)?;
        ensure!(!text.contains("{{"), "{name} holds {{{{, which Helm would take for a template");
        files.insert(Path::new(GENERATED).join(&name), text.clone());
        files.insert(Path::new(CHART).join(&name), text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_file_for_people_and_one_for_the_chart() {
        let definitions = portico_crds::all();
        let files = files(&definitions).unwrap();
        assert_eq!(files.len(), 2 * definitions.len());
        assert_eq!(
            files[Path::new("crds/generated/authservices.yaml")],
            files[Path::new("charts/portico/files/crds/authservices.yaml")]
        );
    }

    #[test]
    fn what_is_written_reads_back_as_the_definition() {
        for definition in portico_crds::all() {
            let text = yaml::document(&definition).unwrap();
            let read: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read, definition);
        }
    }
}
