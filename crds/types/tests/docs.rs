//! What people are told about conditions is complete.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

/// Every reason that is declared stands in the table of the troubleshooting page.
#[test]
fn every_reason_is_explained() {
    let source = include_str!("../src/common/conditions.rs");
    let page = include_str!("../../../docs/troubleshooting.md");
    let reasons = source.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split('"').nth(1));
    let missing: Vec<_> = reasons.filter(|reason| !page.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md says nothing of {missing:?}");
}
