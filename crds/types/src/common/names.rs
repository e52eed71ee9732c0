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

    /// The grant to the database: the managed instance, or the declared one of this name.
    pub fn database_grant(&self, declared: Option<&str>) -> String {
        self.grant("database", declared.filter(|name| *name != self.database()))
    }

    /// The grant to the cache: the managed instance, or the declared one of this name.
    pub fn cache_grant(&self, declared: Option<&str>) -> String {
        self.grant("cache-access", declared.filter(|name| *name != self.cache()))
    }

    /// A grant stays with its instance. So that a service can move to another one while it still uses the first, the
    /// grants to declared instances have names of their own: a digest, because two whole names would be too long.
    fn grant(&self, role: &str, declared: Option<&str>) -> String {
        match declared {
            None => format!("{}-{role}", self.0),
            Some(instance) => format!("{}-{role}-{:08x}", self.0, fnv1a(instance)),
        }
    }

    /// The name of its database, key prefix and the like inside an instance that it may share with others. It is the
    /// same whatever the grant is called, so that who comes back finds the data again.
    pub fn space(&self) -> String {
        format!("auth-{}", self.0)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// FNV-1a, which is the same in every version of every library.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
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
mod tests;
