//! Values as YAML, with a line that says where they come from.

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

/// First line of every generated YAML file.
const HEADER: &str = "# Written by `cargo xtask gen`; change the code instead.\n";

/// One document. Keys are sorted, so that the order of fields in the code does not matter.
pub(super) fn document(value: &impl Serialize) -> anyhow::Result<String> {
    let value: Value = serde_json::to_value(value)?;
    let body = serde_saphyr::to_string(&value).context("cannot be written as YAML")?;
    Ok(format!("{HEADER}{}\n", body.trim_end()))
}

/// `documents` as they are, under the header.
pub(super) fn headed(documents: &str) -> String {
    format!("{HEADER}{}\n", documents.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The API server and Helm read YAML 1.1, where more words than `true` are something else than text.
    #[test]
    fn text_stays_text() {
        let value = json!({
            "words": ["yes", "no", "on", "off", "y", "n", "null", "~", "true", "1e3", "0x1f", "010", "1_000", "12:30:45", ""],
            "looks": ["- a", "a: b", "# a", "a #b", "*a", "&a", "!a", "%a", "@a", "`a`", "{a}", "[a]", "'a'", "\"a\"", "a\\b"],
            "lines": ["two\nlines", "ends in a line\n", "  indented\nlines", "trailing space ", "tab\tinside"],
            "long": "word ".repeat(60).trim(),
        });
        let text = document(&value).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, value, "{text}");
    }

    #[test]
    fn keys_are_sorted() {
        let text = document(&json!({"b": 1, "a": {"d": 1, "c": 2}})).unwrap();
        assert_eq!(text, format!("{HEADER}a:\n  c: 2\n  d: 1\nb: 1\n"));
    }
}
