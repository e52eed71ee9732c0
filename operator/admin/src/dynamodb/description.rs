//! How DynamoDB describes a table, and whether it is the one that is wanted.

use serde::Deserialize;

use crate::{AdminError, Table, TableKey};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    pub(super) table: Description,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Description {
    pub(super) table_status: String,
    pub(super) key_schema: Vec<KeyElement>,
    pub(super) attribute_definitions: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyElement {
    pub(super) attribute_name: String,
    pub(super) key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attribute {
    pub(super) attribute_name: String,
    pub(super) attribute_type: String,
}

/// # Errors
/// When the table that is there has other keys than the wanted one.
pub(super) fn same_keys(wanted: &Table, found: &Description) -> Result<(), AdminError> {
    let found_key = |role: &str| {
        let element = found.key_schema.iter().find(|element| element.key_type == role)?;
        let mut attributes = found.attribute_definitions.iter();
        let attribute = attributes.find(|attribute| attribute.attribute_name == element.attribute_name);
        Some((element.attribute_name.as_str(), attribute.map_or("?", |attribute| attribute.attribute_type.as_str())))
    };
    let wanted_key = |key: &TableKey| Some((key.name.clone(), key.kind));
    let words =
        |key: Option<(&str, &str)>| key.map_or_else(|| "none".to_owned(), |(name, kind)| format!("{name} ({kind})"));
    let roles = [
        ("partition", "HASH", wanted_key(&wanted.partition_key)),
        ("sort", "RANGE", wanted.sort_key.as_ref().and_then(wanted_key)),
    ];
    for (name, role, wanted_one) in roles {
        let wanted_one = wanted_one.as_ref().map(|(name, kind)| (name.as_str(), *kind));
        let found_one = found_key(role);
        if wanted_one != found_one {
            return Err(AdminError::Engine(format!(
                "table {} has another {name} key: {} instead of {}. Keys of a table cannot be changed: ask for those, \
                 or for a table of another name",
                wanted.name,
                words(found_one),
                words(wanted_one),
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(name: &str, kind: &'static str) -> TableKey {
        TableKey { name: name.to_owned(), kind }
    }

    fn described() -> Description {
        serde_json::from_value(json!({
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "at", "AttributeType": "N"}, {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "other", "AttributeType": "S"},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn another_key_is_named() {
        let table = |partition_key, sort_key| Table { name: "t".to_owned(), partition_key, sort_key };
        assert_eq!(same_keys(&table(key("id", "S"), Some(key("at", "N"))), &described()), Ok(()));
        let problem = |table| same_keys(&table, &described()).unwrap_err().to_string();
        let text = problem(table(key("id", "S"), None));
        assert!(text.contains("table t has another sort key: at (N) instead of none"), "{text}");
        let text = problem(table(key("id", "B"), Some(key("at", "N"))));
        assert!(text.contains("another partition key: id (S) instead of id (B)"), "{text}");
    }
}
