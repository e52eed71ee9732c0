//! The field reference of each kind in Markdown: type, default, limits, and the rules with their messages.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray,
};

use super::Files;

/// Where the reference is.
pub(super) const FOLDER: &str = "crds/docs";

pub(super) fn files(definitions: &[CustomResourceDefinition]) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for definition in definitions {
        let name = format!("{}.md", definition.spec.names.plural);
        files.insert(Path::new(FOLDER).join(name), page(definition)?);
    }
    Ok(files)
}

fn page(definition: &CustomResourceDefinition) -> anyhow::Result<String> {
    let kind = &definition.spec.names.kind;
    let version = definition.spec.versions.first().with_context(|| format!("{kind} has no version"))?;
    let schema = version
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref())
        .with_context(|| format!("{kind} has no schema"))?;
    let mut page = format!("<!-- Written by `cargo xtask gen` from the types in crds/types/src. -->\n\n# {kind}\n\n");
    paragraph(&mut page, schema.description.as_deref());
    identity(&mut page, definition, version);
    rules(&mut page, schema);
    for part in ["spec", "status"] {
        if let Some(part_schema) = schema.properties.as_ref().and_then(|properties| properties.get(part)) {
            section(&mut page, part, part_schema);
        }
    }
    Ok(format!("{}\n", page.trim_end()))
}

fn identity(page: &mut String, definition: &CustomResourceDefinition, version: &CustomResourceDefinitionVersion) {
    let names = &definition.spec.names;
    let api = format!("{}/{}", definition.spec.group, version.name);
    let list = |texts: Option<&[String]>| {
        texts.unwrap_or_default().iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
    };
    let columns = version.additional_printer_columns.iter().flatten();
    let columns = columns.map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let rows = [
        ("`apiVersion`", format!("`{api}`")),
        ("`kind`", format!("`{}`", names.kind)),
        ("`kubectl get`", list(Some(std::slice::from_ref(&names.plural)))),
        ("short names", list(names.short_names.as_deref())),
        ("categories", list(names.categories.as_deref())),
        ("columns", columns),
    ];
    page.push_str("| | |\n|---|---|\n");
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page.push('\n');
}

/// One object: its text, its fields, its rules; then every object below it.
fn section(page: &mut String, path: &str, schema: &JSONSchemaProps) {
    let _ = writeln!(page, "## `{path}`\n");
    paragraph(page, schema.description.as_deref());
    let Some(properties) = schema.properties.as_ref().filter(|properties| !properties.is_empty()) else { return };
    page.push_str("| field | type | default | limits | meaning |\n|---|---|---|---|---|\n");
    for (name, field) in properties {
        let required = schema.required.as_ref().is_some_and(|required| required.contains(name));
        let (meaning, default) = split_default(field.description.as_deref().unwrap_or_default());
        let cells = [
            format!("`{name}`"),
            type_of(&child_path(path, name, field), field),
            default,
            limits(field, required),
            meaning,
        ];
        let _ = writeln!(page, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    page.push('\n');
    rules(page, schema);
    for (name, field) in properties {
        if let Some(object) = object_of(field) {
            section(page, &child_path(path, name, field), object);
        }
    }
}

fn paragraph(page: &mut String, text: Option<&str>) {
    if let Some(text) = text {
        let _ = writeln!(page, "{}\n", one_line(text));
    }
}

/// The messages of an object's own rules.
fn rules(page: &mut String, schema: &JSONSchemaProps) {
    let messages: Vec<&str> = messages(schema).collect();
    if !messages.is_empty() {
        page.push_str("Rules:\n");
        for message in messages {
            let _ = writeln!(page, "- {message}");
        }
        page.push('\n');
    }
}

fn messages(schema: &JSONSchemaProps) -> impl Iterator<Item = &str> {
    schema.x_kubernetes_validations.iter().flatten().map(|rule| rule.message.as_deref().unwrap_or(&rule.rule))
}

fn child_path(path: &str, name: &str, field: &JSONSchemaProps) -> String {
    let brackets = if items(field).is_some() { "[]" } else { "" };
    format!("{path}.{name}{brackets}")
}

fn items(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &field.items {
        Some(JSONSchemaPropsOrArray::Schema(schema)) => Some(schema),
        _ => None,
    }
}

/// The object with fields of its own that a field or the items of a list are.
fn object_of(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    let schema = items(field).unwrap_or(field);
    schema.properties.as_ref().is_some_and(|properties| !properties.is_empty()).then_some(schema)
}

fn type_of(path: &str, field: &JSONSchemaProps) -> String {
    let plain = |schema: &JSONSchemaProps| match (schema.type_.as_deref(), schema.format.as_deref()) {
        (_, Some("date-time")) => "time".to_owned(),
        (type_, _) => type_.unwrap_or("any").to_owned(),
    };
    let name = match items(field) {
        Some(items) => format!("list of {}", plain(items)),
        None => plain(field),
    };
    if object_of(field).is_none() {
        return name;
    }
    // Headings get their anchors by dropping everything but letters, digits, hyphens and underscores.
    let anchor: String = path.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect();
    format!("[{name}](#{anchor})")
}

/// What the API server checks about one field.
fn limits(field: &JSONSchemaProps, required: bool) -> String {
    let inner = items(field);
    let own = required.then(|| "required".to_owned()).into_iter().chain(bounds(field));
    let of_items = inner.map(|schema| {
        let texts: Vec<String> = bounds(schema).chain(messages(schema).map(str::to_owned)).collect();
        if texts.is_empty() { String::new() } else { format!("each: {}", texts.join("; ")) }
    });
    // The rules of an object stand in its own section.
    let said = messages(field).filter(|_| object_of(field).is_none()).map(str::to_owned);
    own.chain(said).chain(of_items).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

fn bounds(schema: &JSONSchemaProps) -> impl Iterator<Item = String> {
    let choices = schema.enum_.as_ref().map(|values| {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", unquoted(&value.0))).collect();
        format!("one of {}", values.join(", "))
    });
    [
        choices,
        range(schema.minimum, schema.maximum, ""),
        range(whole(schema.min_length.filter(|&least| least > 1)), whole(schema.max_length), " characters"),
        range(whole(schema.min_items), whole(schema.max_items), " items"),
        schema.pattern.as_ref().map(|pattern| format!("matches `{pattern}`")),
    ]
    .into_iter()
    .flatten()
}

fn unquoted(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[expect(clippy::cast_precision_loss, reason = "limits of lengths are small")]
fn whole(number: Option<i64>) -> Option<f64> {
    number.map(|number| number as f64)
}

fn range(least: Option<f64>, most: Option<f64>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes the sentence `Default: …` out of a description: the rest, and the default.
fn split_default(description: &str) -> (String, String) {
    let text = one_line(description);
    let Some((before, after)) = text.split_once("Default: ") else { return (text, String::new()) };
    let (default, rest) = after.split_once(". ").unwrap_or_else(|| (after.trim_end_matches('.'), ""));
    (format!("{before}{rest}").trim().to_owned(), default.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(value: serde_json::Value) -> JSONSchemaProps {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_default_is_taken_out_of_the_description() {
        let split = |text: &str| split_default(text);
        assert_eq!(split("Version. Default: 8.1."), ("Version.".to_owned(), "8.1".to_owned()));
        assert_eq!(split("A. Default: 12. B."), ("A. B.".to_owned(), "12".to_owned()));
        assert_eq!(split("No default\nhere."), ("No default here.".to_owned(), String::new()));
    }

    #[test]
    fn limits_say_all_that_is_checked() {
        let field = schema(json!({"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a|b$",
            "x-kubernetes-validations": [{"rule": "true", "message": "name must be nice"}]}));
        assert_eq!(limits(&field, true), "required; at most 9 characters; matches `^a|b$`; name must be nice");
        let list =
            schema(json!({"type": "array", "maxItems": 3, "items": {"type": "integer", "minimum": 1, "maximum": 5}}));
        assert_eq!(limits(&list, false), "at most 3 items; each: 1 to 5");
        let choice = schema(json!({"type": "string", "enum": ["A", "B"]}));
        assert_eq!(limits(&choice, false), "one of `A`, `B`");
    }

    #[test]
    fn objects_have_sections_and_pipes_do_not_break_tables() {
        let object = schema(json!({"type": "object", "description": "Top.", "properties": {
            "inner": {"type": "object", "description": "Inner.", "properties": {"a": {"type": "string", "pattern": "x|y"}},
                "x-kubernetes-validations": [{"rule": "r", "message": "inner.a is needed"}]},
        }}));
        let mut page = String::new();
        section(&mut page, "spec", &object);
        assert!(page.contains("| `inner` | [object](#specinner) |"), "{page}");
        assert!(page.contains("## `spec.inner`\n\nInner.\n"), "{page}");
        assert!(page.contains("matches `x\\|y`"), "{page}");
        assert!(page.contains("Rules:\n- inner.a is needed\n"), "{page}");
    }

    #[test]
    fn every_field_of_every_kind_is_in_its_page() {
        for definition in portico_crds::all() {
            let page = page(&definition).unwrap();
            let value = serde_json::to_value(&definition).unwrap();
            let mut fields = 0;
            visit(&value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], &mut |name| {
                fields += 1;
                assert!(page.contains(&format!("| `{name}` |")), "{name} is missing in\n{page}");
            });
            assert!(fields > 5);
        }
    }

    fn visit(schema: &serde_json::Value, seen: &mut dyn FnMut(&str)) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            seen(name);
            visit(field, seen);
            visit(&field["items"], seen);
        }
    }
}
