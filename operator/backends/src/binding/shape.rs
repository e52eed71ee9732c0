//! The words in which an engine is published: the names of Spring Cloud Bindings, which libraries recognise.

/// The words of one engine's bindings.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The entry `type`.
    pub type_: &'static str,
    /// Other values of `type` that a user's Secret may have.
    pub also: &'static [&'static str],
    /// The scheme of `uri`, without and with TLS.
    pub schemes: [&'static str; 2],
    /// The entry that holds the space, if there is one.
    pub space: Option<SpaceEntry>,
    /// How a client says who it is.
    pub identity: Identity,
    /// Whether `sslmode` is among the entries and in the URI.
    pub sslmode: bool,
    /// The region of a builtin engine, where clients want one.
    pub builtin_region: Option<&'static str>,
    /// Host of the public service by region, where a Secret may name a region instead of a host.
    pub public_host: Option<fn(&str) -> String>,
}

/// The entry that holds the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceEntry {
    /// Its key.
    pub key: &'static str,
    /// Whether a user's Secret must have it.
    pub required: bool,
    /// Whether it is the path of the URI.
    pub in_uri: bool,
    /// What follows the name in the entry: a key prefix ends in a colon. Nothing is said of the whole then.
    pub suffix: Option<&'static str>,
}

impl SpaceEntry {
    /// The entry of a space of that name; `None` when the whole instance is meant and there is no entry for that.
    pub fn value(&self, name: &str, whole: bool) -> Option<String> {
        match self.suffix {
            Some(_) if whole => None,
            suffix => Some(format!("{name}{}", suffix.unwrap_or_default())),
        }
    }
}

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `username` and `password`, also in the URI.
    Password,
    /// `access-key-id` and `secret-access-key` with `region`, and an `endpoint`; nothing secret in the URI.
    AccessKey,
}
