//! Turns derived definitions into the ones that are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

/// The definition of `K` without a field that may be null, and with an empty spec where no field is required.
///
/// Were a field nullable, `has(self.database)` would hold for `database: null` and the rules would judge it as given.
///
/// The empty default is for server-side apply, which turns a map whose last field was taken out into a null: the API
/// server replaces that null by the default. Maps inside of specs are declared atomic for the same reason.
pub(crate) fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut definition = K::crd();
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            forbid_null(schema);
            allow_empty_spec(schema);
        }
    }
    definition
}

fn allow_empty_spec(schema: &mut JSONSchemaProps) {
    let Some(spec) = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec")) else { return };
    if spec.required.is_none() {
        spec.default = Some(JSON(serde_json::Value::Object(serde_json::Map::new())));
        if let Some(required) = &mut schema.required {
            required.retain(|field| field != "spec");
        }
        // The API server drops an empty list, and what it stores would differ from what was sent for ever.
        schema.required = schema.required.take().filter(|required| !required.is_empty());
    }
}

fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.properties.iter_mut().flatten().for_each(|(_, property)| forbid_null(property));
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => forbid_null(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(forbid_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        forbid_null(values);
    }
}
