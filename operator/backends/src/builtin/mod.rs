//! Engines that the operator runs itself: one pod, one volume, for laptops, tests and small sites.
//!
//! What is the same for all engines is in [`node`]; an engine brings its files, folders and words through [`Engine`].

pub mod credentials;
pub mod node;
pub mod postgresql;
pub mod readiness;
pub mod storage;
pub mod valkey;

use k8s_openapi::api::core::v1::ResourceRequirements;
use portico_crds::common::names::EngineName;
use std::collections::BTreeMap;

use crate::{binding::Binding, pods::DefaultResources};
use credentials::Credentials;

/// What an engine brings to run as one pod with one volume.
///
/// Its files are mounted at [`FILES`]; among them `start.sh` starts the engine and ends in an `exec`, `ready.sh` and
/// `alive.sh` are the probes. Passwords are files at [`CREDENTIALS`], data belongs under [`DATA`]. The image needs
/// nothing but a shell, the usual text programs and the engine's own programs on `PATH`.
pub trait Engine: Send + Sync {
    /// The name in labels and objects.
    fn name(&self) -> EngineName;

    /// Its part in the platform, for the label.
    fn component(&self) -> &'static str;

    /// The TCP port that it listens on.
    fn port(&self) -> u16;

    /// The version that the operator has an image of.
    fn default_version(&self) -> &'static str;

    /// The passwords that it needs, by file name.
    fn passwords(&self) -> &'static [&'static str];

    /// Its resources when the spec names none.
    fn default_resources(&self) -> DefaultResources;

    /// Scripts and configuration for a container of these resources.
    fn files(&self, resources: &ResourceRequirements) -> BTreeMap<String, String>;

    /// Folders that it has to write to beside its data and `/tmp`.
    fn scratch(&self) -> &'static [Scratch];

    /// A shell command that begins an orderly stop, where the stop signal alone would not.
    fn stop_command(&self) -> Option<&'static str>;

    /// Seconds that an orderly stop may take.
    fn grace_period(&self) -> i64;

    /// How consumers reach it.
    fn binding(&self, host: String, credentials: &Credentials) -> Binding;

    /// The label of pods that may reach the instance.
    fn consumer_label(&self, instance: &str) -> String;
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
/// Where the volume is. The folder itself may belong to anybody; engines make one of their own in it.
pub const DATA: &str = "/data";

/// The engine of that name.
pub fn engine(name: EngineName) -> &'static dyn Engine {
    match name {
        EngineName::PostgreSql => &postgresql::PostgreSql,
        EngineName::Valkey => &valkey::Valkey,
    }
}
