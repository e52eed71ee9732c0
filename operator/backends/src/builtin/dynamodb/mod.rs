//! DynamoDB Local as one pod, for development.

use portico_crds::common::{InstanceKindName, names::EngineName};
use std::collections::BTreeMap;

use super::{Administrator, Engine, Generated, LoginForm, Probes, Scratch, Settings};
use crate::binding::{LoginStyle, Shape};
use crate::pods::DefaultResources;

/// The engine.
pub struct DynamoDb;

const SHAPE: Shape = Shape {
    type_: "dynamodb",
    also: &[],
    schemes: ["http", "https"],
    space: None,
    identity: LoginStyle::AccessKey,
    sslmode: false,
    builtin_region: Some("us-east-1"),
    public_host: Some(public_host),
};

/// MiB for objects in a container without a memory limit.
const HEAP_WITHOUT_LIMIT: u64 = 256;

/// What a spec may set.
const PARAMETERS: &[&str] = &[];

impl Engine for DynamoDb {
    fn name(&self) -> EngineName {
        EngineName::DynamoDb
    }

    fn kind(&self) -> InstanceKindName {
        InstanceKindName::DatabaseInstance
    }

    fn component(&self) -> &'static str {
        "database"
    }

    fn port(&self) -> u16 {
        8000
    }

    fn administrator(&self) -> Option<Administrator> {
        None
    }

    fn default_version(&self) -> &'static str {
        "3.0"
    }

    fn passwords(&self) -> &'static [Generated] {
        &[]
    }

    fn default_resources(&self) -> DefaultResources {
        DefaultResources { cpu: "100m", memory: "256Mi", memory_limit: "512Mi" }
    }

    fn parameters(&self) -> &'static [&'static str] {
        PARAMETERS
    }

    fn files(&self, settings: &Settings<'_>) -> BTreeMap<String, String> {
        let options = format!("{}-Xmx{}m\n", include_str!("java.options"), heap(settings));
        [("start.sh", include_str!("start.sh").to_owned()), ("java.options", options)]
            .map(|(name, text)| (name.to_owned(), text))
            .into()
    }

    fn scratch(&self) -> &'static [Scratch] {
        &[]
    }

    fn grace_period(&self) -> i64 {
        30
    }

    fn login_form(&self) -> LoginForm {
        LoginForm::Open
    }

    fn tls(&self) -> bool {
        false
    }

    fn probes(&self) -> Probes {
        // The port is opened last. The image has no program that could ask more, and to start Java for each probe would
        // cost more than the server does.
        Probes::Tcp
    }

    fn development_only(&self) -> Option<&'static str> {
        Some(
            "DynamoDB Local keeps everything in one file and asks nobody who they are; use spec.backend External in production",
        )
    }

    fn shape(&self) -> &'static Shape {
        &SHAPE
    }
}

/// MiB for objects: half of the memory limit. Java itself takes 100 MiB, SQLite what it holds of the tables.
fn heap(settings: &Settings<'_>) -> u64 {
    let half = settings.memory() >> 21;
    if half == 0 { HEAP_WITHOUT_LIMIT } else { half }
}

/// The public service of Amazon in a region.
fn public_host(region: &str) -> String {
    format!("dynamodb.{region}.amazonaws.com")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods;

    #[test]
    fn objects_get_half_of_the_memory() {
        let resources = pods::resources(None, DynamoDb.default_resources());
        let settings = Settings { resources: &resources, parameters: &BTreeMap::new() };
        assert!(DynamoDb.files(&settings)["java.options"].ends_with("\n-Xmx256m\n"));
    }
}
