//! Engines that the operator runs itself: one pod, one volume, for laptops, tests and small sites.
//!
//! What is the same for all engines is in [`node`] and [`replicas`]; an engine brings its files, folders and words
//! through [`Engine`].

pub mod credentials;
pub mod dynamodb;
pub mod garage;
pub mod mariadb;
pub mod node;
mod pod;
pub mod postgresql;
pub mod rabbitmq;
pub mod readiness;
pub mod replicas;
pub mod storage;
pub mod valkey;

use k8s_openapi::api::core::v1::ResourceRequirements;
use portico_crds::common::InstanceKindName;
use portico_crds::common::names::EngineName;
use std::collections::BTreeMap;

use crate::{binding::Shape, pods::DefaultResources};

/// What an engine brings to run as one pod with one volume.
///
/// Its files are mounted at [`FILES`]; among them `start.sh` starts the engine and ends in an `exec`, `ready.sh` and
/// `alive.sh` are the probes. Passwords are files at [`CREDENTIALS`], the certificate lies at [`TLS`], data belongs
/// under [`DATA`]. The image needs nothing but a shell, the usual text programs and the engine's own programs on
/// `PATH`. The environment says [`ROLE`] and, to a copy for reading, [`PRIMARY`].
pub trait Engine: Send + Sync {
    /// The name in labels and objects.
    fn name(&self) -> EngineName;

    /// The kind of its instances.
    fn kind(&self) -> InstanceKindName;

    /// Its part in the platform, for the label.
    fn component(&self) -> &'static str;

    /// The TCP port that consumers use.
    fn port(&self) -> u16;

    /// The TCP port that the operator administers it by.
    fn admin_port(&self) -> u16 {
        self.port()
    }

    /// Who administers it; `None` when consumers cannot be given users.
    fn administrator(&self) -> Option<Administrator>;

    /// The version that the operator has an image of.
    fn default_version(&self) -> &'static str;

    /// The passwords that it needs.
    fn passwords(&self) -> &'static [Generated];

    /// How the users of consumers are called and authenticated.
    fn login_form(&self) -> LoginForm {
        LoginForm::Password
    }

    /// Its resources when the spec names none.
    fn default_resources(&self) -> DefaultResources;

    /// The settings that a spec may make, by the engine's own names.
    fn parameters(&self) -> &'static [&'static str];

    /// Scripts and configuration.
    fn files(&self, settings: &Settings<'_>) -> BTreeMap<String, String>;

    /// Folders that it has to write to beside its data and `/tmp`.
    fn scratch(&self) -> &'static [Scratch];

    /// A shell command that begins an orderly stop, where the stop signal alone would not.
    fn stop_command(&self) -> Option<&'static str> {
        None
    }

    /// Seconds that an orderly stop may take.
    fn grace_period(&self) -> i64;

    /// Whether it speaks TLS, and nothing else.
    fn tls(&self) -> bool {
        true
    }

    /// How the kubelet asks it.
    fn probes(&self) -> Probes {
        Probes::Scripts { period: 5 }
    }

    /// Why it must not be used in production, if so.
    fn development_only(&self) -> Option<&'static str> {
        None
    }

    /// The words of its binding.
    fn shape(&self) -> &'static Shape;
}

/// Who administers an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// User name; empty where there is only a token.
    pub username: &'static str,
    /// Name of the password in the engine's credentials.
    pub password: &'static str,
}

/// A password that is generated once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its file name.
    pub key: &'static str,
    /// What it is made of.
    pub form: Form,
}

/// What a generated password is made of. Each carries 256 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 43 letters and digits.
    Text,
    /// 64 hexadecimal digits.
    Hex,
}

/// A password of 43 letters and digits.
pub const fn password(key: &'static str) -> Generated {
    Generated { key, form: Form::Text }
}

/// How the users of consumers are called and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginForm {
    /// A user named after the space and a password.
    Password,
    /// An access key id (`GK` and 24 hexadecimal digits) and a secret key (64 hexadecimal digits).
    AccessKey,
    /// Nobody is asked who they are.
    Open,
}

/// How the kubelet asks an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probes {
    /// `ready.sh` every so many seconds, and `alive.sh`.
    Scripts {
        /// Seconds between two runs of `ready.sh`.
        period: i32,
    },
    /// Whether the port takes connections.
    Tcp,
}

/// What an engine's configuration depends on.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The container's resources.
    pub resources: &'a ResourceRequirements,
    /// Settings of the spec, all of them from [`Engine::parameters`].
    pub parameters: &'a BTreeMap<String, String>,
}

impl Settings<'_> {
    /// The memory limit in bytes.
    pub fn memory(&self) -> u64 {
        let limit = self.resources.limits.as_ref().and_then(|limits| limits.get("memory"));
        let limit = limit.and_then(|limit| portico_crds::common::quantities::Quantity::parse(&limit.0).ok());
        limit.map_or(0, |limit| limit.whole())
    }
}

/// A folder in memory or in the node's file system that is empty at each start.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// Name of the volume.
    pub name: &'static str,
    /// Where it appears.
    pub path: &'static str,
    /// The most bytes it takes.
    pub size: &'static str,
    /// Whether it is memory.
    pub memory: bool,
}

/// Where an engine's files are.
pub const FILES: &str = "/etc/portico/engine";
/// Where an engine's passwords are, one file each.
pub const CREDENTIALS: &str = "/etc/portico/credentials";
/// Where an engine's certificate is: `tls.crt`, `tls.key`, `ca.crt`.
pub const TLS: &str = "/etc/portico/tls";
/// Where the volume is. The folder itself may belong to anybody; engines make one of their own in it.
pub const DATA: &str = "/data";
/// The environment variable that is `primary` or `replica`.
pub const ROLE: &str = "PORTICO_ROLE";
/// The environment variable with the host name of the primary, for copies.
pub const PRIMARY: &str = "PORTICO_PRIMARY";

/// The engine of that name.
pub fn engine(name: EngineName) -> &'static dyn Engine {
    match name {
        EngineName::PostgreSql => &postgresql::PostgreSql,
        EngineName::MariaDb => &mariadb::MariaDb,
        EngineName::DynamoDb => &dynamodb::DynamoDb,
        EngineName::Valkey => &valkey::Valkey,
        EngineName::RabbitMq => &rabbitmq::RabbitMq,
        EngineName::Garage => &garage::Garage,
    }
}

/// A configuration file of `key separator value` lines.
pub(crate) fn lines(parameters: &BTreeMap<String, String>, separator: &str) -> String {
    parameters.iter().flat_map(|(key, value)| [key, separator, value, "\n"]).collect()
}
