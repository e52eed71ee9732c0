//! The whole set of objects of a `CacheInstance` as it is built.

use portico_crds::CacheInstance;

use crate::instance::inputs::Inputs;
use crate::instance::testing::{nothing, shown};
use crate::testing::binding;

const MINIMAL: &str = include_str!("fixtures/minimal.yaml");
const FULL: &str = include_str!("fixtures/full.yaml");
const EXTERNAL: &str = include_str!("fixtures/external.yaml");

#[test]
fn minimal() {
    insta::assert_snapshot!(shown::<CacheInstance>(MINIMAL, &nothing::<CacheInstance>(MINIMAL)));
}

#[test]
fn full() {
    insta::assert_snapshot!(shown::<CacheInstance>(FULL, &nothing::<CacheInstance>(FULL)));
}

#[test]
fn external() {
    let inputs = Inputs { external: Some(binding("engine.example.org", "6380", "secret")), ..Inputs::default() };
    insta::assert_snapshot!(shown::<CacheInstance>(EXTERNAL, &inputs));
}
