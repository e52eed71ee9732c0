//! Garage as one node with the S3 API.

use portico_crds::common::{InstanceKindName, names::EngineName};
use portico_crds::object_store::DEFAULT_VERSION;
use std::collections::BTreeMap;

use super::{Administrator, Engine, Form, Generated, LoginForm, Scratch, Settings, password};
use crate::binding::{LoginStyle, Shape, SpaceEntry};
use crate::pods::DefaultResources;

/// The engine.
pub struct Garage;

const SHAPE: Shape = Shape {
    type_: "s3",
    also: &[],
    schemes: ["http", "https"],
    space: Some(SpaceEntry { key: "bucket", required: true, in_uri: true, suffix: None }),
    identity: LoginStyle::AccessKey,
    sslmode: false,
    builtin_region: Some("garage"),
    public_host: Some(public_host),
};

/// What a spec may set.
const PARAMETERS: &[&str] = &[];

impl Engine for Garage {
    fn name(&self) -> EngineName {
        EngineName::Garage
    }

    fn kind(&self) -> InstanceKindName {
        InstanceKindName::ObjectStore
    }

    fn component(&self) -> &'static str {
        "object-store"
    }

    fn port(&self) -> u16 {
        3900
    }

    fn admin_port(&self) -> u16 {
        3903
    }

    fn administrator(&self) -> Option<Administrator> {
        Some(Administrator { username: "", password: "admin-token" })
    }

    fn default_version(&self) -> &'static str {
        DEFAULT_VERSION
    }

    fn passwords(&self) -> &'static [Generated] {
        const { &[Generated { key: "rpc-secret", form: Form::Hex }, password("admin-token")] }
    }

    fn default_resources(&self) -> DefaultResources {
        DefaultResources { cpu: "50m", memory: "64Mi", memory_limit: "256Mi" }
    }

    fn parameters(&self) -> &'static [&'static str] {
        PARAMETERS
    }

    fn files(&self, _: &Settings<'_>) -> BTreeMap<String, String> {
        [
            ("start.sh", include_str!("start.sh").to_owned()),
            ("ready.sh", include_str!("ready.sh").to_owned()),
            ("alive.sh", include_str!("alive.sh").to_owned()),
            ("garage.toml", include_str!("garage.toml").to_owned()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        // The passwords are read where they are mounted, and nothing else is written beside the data.
        &[]
    }

    fn grace_period(&self) -> i64 {
        30
    }

    fn login_form(&self) -> LoginForm {
        LoginForm::AccessKey
    }

    fn tls(&self) -> bool {
        false
    }

    fn shape(&self) -> &'static Shape {
        &SHAPE
    }
}

/// The public service of Amazon in a region.
fn public_host(region: &str) -> String {
    format!("s3.{region}.amazonaws.com")
}
