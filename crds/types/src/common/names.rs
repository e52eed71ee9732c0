//! Names of custom resources and of the objects made for them.
//!
//! Derivation is injective for each kind of object: two resources never want the same object, because no suffix ends
//! in another one and the names of services may not end in the suffix of an engine. Every derived name fits a label
//! value (63 characters), the longest ones being those of pods.

use std::fmt;

/// The most characters of an `AuthService`'s name.
pub const MAX_SERVICE_NAME: usize = 32;
/// The most characters of an instance's name.
pub const MAX_INSTANCE_NAME: usize = 40;

/// A name that no object can be derived from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata.name {name:?} cannot be used: {problem}")]
pub struct InvalidName {
    /// What was given.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Lower-case letters, digits and hyphens, a letter first, no hyphen last (narrower than RFC 1123, so that it also
/// names a Service).
fn is_dns_label(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_lowercase)
        && !name.ends_with('-')
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

fn checked(name: &str, most: usize, too_long: &'static str) -> Result<String, InvalidName> {
    let problem = if name.len() > most {
        too_long
    } else if is_dns_label(name) {
        return Ok(name.to_owned());
    } else {
        "use lower-case letters, digits and hyphens, a letter first and no hyphen last"
    };
    Err(InvalidName { name: name.to_owned(), problem })
}

/// The name of an `AuthService` and, by its methods, of its objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`InvalidName`] when it is longer than [`MAX_SERVICE_NAME`], not a DNS label, or ends like an engine's objects.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if EngineName::ALL
            .iter()
            .any(|engine| name.strip_suffix(engine.as_str()).is_some_and(|rest| rest.ends_with('-')))
        {
            let problem = "names that end in a hyphen and an engine's name belong to instances; choose another one";
            return Err(InvalidName { name: name.to_owned(), problem });
        }
        checked(name, MAX_SERVICE_NAME, "it is longer than 32 characters").map(Self)
    }

    /// The name of the resource, its Deployment, Service, `ServiceAccount`, autoscaler, disruption budget and
    /// network policy.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The `ConfigMap` with the configuration.
    pub fn config(&self) -> String {
        format!("{}-config", self.0)
    }

    /// The Secret with the keys that sign tokens.
    pub fn signing_keys(&self) -> String {
        format!("{}-signing-keys", self.0)
    }

    /// The managed `DatabaseInstance`.
    pub fn database(&self) -> String {
        format!("{}-db", self.0)
    }

    /// The managed `CacheInstance`.
    pub fn cache(&self) -> String {
        format!("{}-cache", self.0)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The engine of an instance, as it stands in names and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineName {
    /// `postgresql`
    PostgreSql,
    /// `mariadb`
    MariaDb,
    /// `dynamodb`
    DynamoDb,
    /// `valkey`
    Valkey,
    /// `rabbitmq`
    RabbitMq,
    /// `garage`
    Garage,
}

impl EngineName {
    /// As it stands in names and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgresql",
            Self::MariaDb => "mariadb",
            Self::DynamoDb => "dynamodb",
            Self::Valkey => "valkey",
            Self::RabbitMq => "rabbitmq",
            Self::Garage => "garage",
        }
    }

    /// Every engine.
    pub const ALL: [Self; 6] =
        [Self::PostgreSql, Self::MariaDb, Self::DynamoDb, Self::Valkey, Self::RabbitMq, Self::Garage];

    /// How the engine spells the name of a consumer's space: SQL names without quotes have no hyphens, names of
    /// buckets no underscores. Names of resources have no underscores, so two never become one.
    pub fn space(self, name: &str) -> String {
        match self {
            Self::PostgreSql | Self::MariaDb => name.replace('-', "_"),
            Self::DynamoDb | Self::Valkey | Self::RabbitMq | Self::Garage => name.to_owned(),
        }
    }
}

/// The name of an instance and, by its methods, of its objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceName {
    name: String,
    engine: EngineName,
}

impl InstanceName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`InvalidName`] when it is longer than [`MAX_INSTANCE_NAME`] or not a DNS label.
    pub fn new(name: &str, engine: EngineName) -> Result<Self, InvalidName> {
        checked(name, MAX_INSTANCE_NAME, "it is longer than 40 characters").map(|name| Self { name, engine })
    }

    /// The name of the resource.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The engine.
    pub const fn engine(&self) -> EngineName {
        self.engine
    }

    /// The `StatefulSet`, Service, `ConfigMap`, `ServiceAccount` and network policy.
    pub fn workload(&self) -> String {
        format!("{}-{}", self.name, self.engine.as_str())
    }

    /// The Secret with the generated passwords.
    pub fn credentials(&self) -> String {
        format!("{}-credentials", self.workload())
    }

    /// The binding Secret: of the instance's own grant, or published by its controller when somebody else runs the
    /// engine.
    pub fn binding(&self) -> String {
        format!("{}-binding", self.workload())
    }

    /// The grant behind the instance's own binding.
    pub fn own_grant(&self) -> String {
        self.workload()
    }

    /// The `StatefulSet`, Service and network policy of the copies for reading.
    pub fn read(&self) -> String {
        format!("{}-read", self.workload())
    }

    /// The Service that gives each copy for reading a name of its own.
    pub fn read_pods(&self) -> String {
        format!("{}-pods", self.read())
    }

    /// The Secret with the engine's certificate.
    pub fn tls(&self) -> String {
        format!("{}-tls", self.workload())
    }

    /// The volume claim. The name is the one that a `StatefulSet` would derive from a template called `data`.
    pub fn claim(&self) -> String {
        format!("data-{}-0", self.workload())
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The most characters of a grant's name: those of an instance's workload.
pub const MAX_GRANT_NAME: usize = 54;

/// The name of a grant and, by its methods, of its objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantName(String);

impl GrantName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`InvalidName`] when it has less than 3 or more than [`MAX_GRANT_NAME`] characters or is not a DNS label.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if name.len() < 3 {
            return Err(InvalidName { name: name.to_owned(), problem: "it is shorter than 3 characters" });
        }
        checked(name, MAX_GRANT_NAME, "it is longer than 54 characters").map(Self)
    }

    /// The name of the resource.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The binding Secret.
    pub fn binding(&self) -> String {
        format!("{}-binding", self.0)
    }

    /// The Secret with the logins, of which there are two while they are replaced.
    pub fn logins(&self) -> String {
        format!("{}-logins", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_checked() {
        assert!(ServiceName::new(&"a".repeat(32)).is_ok());
        for bad in ["", "A", "1a", "a-", "-a", "a_b", "a.b", "ä", &"a".repeat(33), "x-postgresql", "x-valkey"] {
            assert!(ServiceName::new(bad).is_err(), "{bad}");
        }
        assert!(InstanceName::new(&"a".repeat(40), EngineName::Valkey).is_ok());
        assert!(InstanceName::new(&"a".repeat(41), EngineName::Valkey).is_err());
    }

    #[test]
    fn the_message_says_what_to_do() {
        let error = ServiceName::new(&"a".repeat(33)).unwrap_err().to_string();
        assert!(error.contains("metadata.name") && error.contains("32"), "{error}");
    }

    /// Every object of a service, as (kind, name).
    fn of_service(name: &ServiceName) -> Vec<(&'static str, String)> {
        let mut all: Vec<_> = ["ServiceAccount", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"]
            .map(|kind| (kind, name.as_str().to_owned()))
            .into();
        all.extend([("ConfigMap", name.config()), ("Secret", name.signing_keys())]);
        all.extend([("DatabaseInstance", name.database()), ("CacheInstance", name.cache())]);
        all
    }

    /// Every object of an instance, as (kind, name).
    fn of_instance(name: &InstanceName) -> Vec<(&'static str, String)> {
        let mut all: Vec<_> = ["ServiceAccount", "StatefulSet", "Service", "NetworkPolicy", "ConfigMap"]
            .map(|kind| (kind, name.workload()))
            .into();
        all.extend([("Secret", name.credentials()), ("Secret", name.binding()), ("Claim", name.claim())]);
        all
    }

    prop_compose! {
        /// Names that are likely to collide: made of the suffixes themselves.
        fn name()(parts in prop::collection::vec(
            prop::sample::select(vec!["a", "db", "cache", "postgresql", "valkey", "config", "binding", "data", "credentials", "0"]), 1..4,
        )) -> String { format!("x-{}", parts.join("-")) }
    }

    proptest! {
        #[test]
        fn no_two_resources_want_the_same_object(a in name(), b in name()) {
            let mut wanted = BTreeSet::new();
            let mut total = 0;
            let mut add = |objects: Vec<(&'static str, String)>| {
                total += objects.len();
                wanted.extend(objects);
            };
            let names: BTreeSet<String> = [a, b].into();
            for text in &names {
                if let Ok(name) = ServiceName::new(text) {
                    // The managed instances are resources of their own here; their names may equal declared ones,
                    // which the operator reports as a conflict.
                    add(of_service(&name).into_iter().filter(|(kind, _)| !kind.ends_with("Instance")).collect());
                }
                for engine in [EngineName::PostgreSql, EngineName::Valkey] {
                    if let Ok(name) = InstanceName::new(text, engine) {
                        add(of_instance(&name));
                    }
                }
            }
            prop_assert_eq!(wanted.len(), total);
        }

        #[test]
        fn derived_names_fit(service in "[a-z]([-a-z0-9]{0,30}[a-z0-9])?", instance in "[a-z]([-a-z0-9]{0,38}[a-z0-9])?") {
            let mut all = Vec::new();
            if let Ok(name) = ServiceName::new(&service) {
                all.extend(of_service(&name));
                prop_assert!(InstanceName::new(&name.database(), EngineName::PostgreSql).is_ok());
                prop_assert!(InstanceName::new(&name.cache(), EngineName::Valkey).is_ok());
            }
            for engine in [EngineName::PostgreSql, EngineName::Valkey] {
                let name = InstanceName::new(&instance, engine).unwrap();
                // The revision label of the pods adds a hyphen and ten characters.
                all.push(("Label", format!("{}-0123456789", name.workload())));
                all.extend(of_instance(&name));
            }
            for (kind, name) in all {
                // Secrets and claims are no label values; they may have 253 characters, and stay under 64 anyway.
                prop_assert!(name.len() <= 63, "{} {} has {} characters", kind, name, name.len());
            }
        }
    }
}
