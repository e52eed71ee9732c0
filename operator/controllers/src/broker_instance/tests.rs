//! The whole set of objects of a `BrokerInstance` as it is built.

use portico_crds::BrokerInstance;

use crate::instance::inputs::Inputs;
use crate::instance::testing::{nothing, shown};
use crate::testing::data;

const MINIMAL: &str = include_str!("fixtures/minimal.yaml");
const FULL: &str = include_str!("fixtures/full.yaml");
const EXTERNAL: &str = include_str!("fixtures/external.yaml");

#[test]
fn minimal() {
    insta::assert_snapshot!(shown::<BrokerInstance>(MINIMAL, &nothing::<BrokerInstance>(MINIMAL)));
}

#[test]
fn full() {
    insta::assert_snapshot!(shown::<BrokerInstance>(FULL, &nothing::<BrokerInstance>(FULL)));
}

#[test]
fn external() {
    let secret = [
        ("host", "engine.example.org"),
        ("port", "5671"),
        ("username", "u"),
        ("password", "p"),
        ("virtual-host", "shop"),
    ];
    let inputs = Inputs { external: Some(data(&secret)), ..Inputs::default() };
    insta::assert_snapshot!(shown::<BrokerInstance>(EXTERNAL, &inputs));
}
