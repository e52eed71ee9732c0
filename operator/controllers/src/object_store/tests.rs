//! The whole set of objects of an `ObjectStore` as it is built.

use portico_crds::ObjectStore;

use crate::instance::inputs::Inputs;
use crate::instance::testing::{nothing, shown};
use crate::testing::data;

const MINIMAL: &str = include_str!("fixtures/minimal.yaml");
const FULL: &str = include_str!("fixtures/full.yaml");
const EXTERNAL: &str = include_str!("fixtures/external.yaml");

#[test]
fn minimal() {
    insta::assert_snapshot!(shown::<ObjectStore>(MINIMAL, &nothing::<ObjectStore>(MINIMAL)));
}

#[test]
fn full() {
    insta::assert_snapshot!(shown::<ObjectStore>(FULL, &nothing::<ObjectStore>(FULL)));
}

#[test]
fn external() {
    let secret =
        [("access-key-id", "AKIA"), ("secret-access-key", "secret"), ("region", "eu-central-1"), ("bucket", "shop")];
    let inputs = Inputs { external: Some(data(&secret)), ..Inputs::default() };
    insta::assert_snapshot!(shown::<ObjectStore>(EXTERNAL, &inputs));
}
