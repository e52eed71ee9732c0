//! The command line. Every option is also an environment variable, for the chart.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};
use portico_crds::common::names::EngineName;

/// The Portico operator.
#[derive(Debug, Parser)]
#[command(name = "portico-operator", version, about, long_about = None)]
pub(crate) struct Cli {
    /// What to do; without a word, `run`.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// How it runs.
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What to do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the controllers.
    Run,
    /// Print the custom resource definitions as YAML.
    Crds,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// When the kubelet pulls the images of what the operator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    /// When the node does not have it.
    IfNotPresent,
    /// For each pod.
    Always,
    /// Never; the node must have it.
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}

/// How the operator runs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Image of the auth service.
    #[arg(long, global = true, env = "PORTICO_AUTH_SERVICE_IMAGE",
          default_value = concat!("portico.dev/auth-service:", env!("CARGO_PKG_VERSION")))]
    pub(crate) auth_service_image: String,
    /// Images of builtin engines.
    #[command(flatten)]
    pub(crate) engines: EngineImages,
    /// When the images of what the operator makes are pulled.
    #[arg(long, global = true, env = "PORTICO_IMAGE_PULL_POLICY", value_enum, default_value = "IfNotPresent")]
    pub(crate) image_pull_policy: PullPolicy,
    /// The operator's own namespace, where its lease is.
    #[arg(long, global = true, env = "POD_NAMESPACE", default_value = "portico-system")]
    pub(crate) namespace: String,
    /// The operator's own name in the election; two processes must never share it. By default a random one.
    #[arg(long, global = true, env = "POD_NAME")]
    pub(crate) pod_name: Option<String>,
    /// Where /livez and /readyz are served.
    #[arg(long, global = true, env = "PORTICO_HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub(crate) http_address: SocketAddr,
    /// Where /metrics is served.
    #[arg(long, global = true, env = "PORTICO_METRICS_ADDRESS", default_value = "0.0.0.0:9090")]
    pub(crate) metrics_address: SocketAddr,
    /// Format of the log; levels come from the variable `RUST_LOG`.
    #[arg(long, global = true, env = "PORTICO_LOG_FORMAT", value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,
    /// Resources of one kind that are worked on at once.
    #[arg(long, global = true, env = "PORTICO_CONCURRENCY", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,
    /// The DNS domain of the cluster.
    #[arg(long, global = true, env = "PORTICO_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
}

/// Images of builtin engines, each of the default version.
#[expect(clippy::struct_field_names, reason = "the fields are the names of the options")]
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct EngineImages {
    /// Image of PostgreSQL.
    #[arg(long, global = true, env = "PORTICO_POSTGRESQL_IMAGE", default_value = "docker.io/library/postgres:17")]
    pub(crate) postgresql_image: String,
    /// Image of MariaDB.
    #[arg(long, global = true, env = "PORTICO_MARIADB_IMAGE", default_value = "docker.io/library/mariadb:11.8")]
    pub(crate) mariadb_image: String,
    /// Image of DynamoDB Local, with `java` and the program in `/usr/share/dynamodb-local`.
    #[arg(
        long,
        global = true,
        env = "PORTICO_DYNAMODB_IMAGE",
        default_value = "docker.io/amazon/dynamodb-local:3.0.0"
    )]
    pub(crate) dynamodb_image: String,
    /// Image of Valkey.
    #[arg(long, global = true, env = "PORTICO_VALKEY_IMAGE", default_value = "docker.io/valkey/valkey:8.1")]
    pub(crate) valkey_image: String,
    /// Image of RabbitMQ, with its management plugin.
    #[arg(
        long,
        global = true,
        env = "PORTICO_RABBITMQ_IMAGE",
        default_value = "docker.io/library/rabbitmq:4-management"
    )]
    pub(crate) rabbitmq_image: String,
    /// Image of Garage, with a shell.
    #[arg(long, global = true, env = "PORTICO_GARAGE_IMAGE",
          default_value = concat!("portico.dev/garage:", env!("CARGO_PKG_VERSION")))]
    pub(crate) garage_image: String,
}

impl EngineImages {
    /// By engine.
    pub(crate) fn by_engine(&self) -> BTreeMap<EngineName, String> {
        EngineName::ALL.into_iter().map(|engine| (engine, self.of(engine).to_owned())).collect()
    }

    fn of(&self, engine: EngineName) -> &str {
        match engine {
            EngineName::PostgreSql => &self.postgresql_image,
            EngineName::MariaDb => &self.mariadb_image,
            EngineName::DynamoDb => &self.dynamodb_image,
            EngineName::Valkey => &self.valkey_image,
            EngineName::RabbitMq => &self.rabbitmq_image,
            EngineName::Garage => &self.garage_image,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_on_both_sides_of_the_command() {
        let before = Cli::parse_from(["portico-operator", "--concurrency", "2", "run"]);
        let after = Cli::parse_from(["portico-operator", "run", "--concurrency", "2"]);
        assert_eq!((before.options.concurrency, after.options.concurrency), (2, 2));
        assert!(Cli::parse_from(["portico-operator"]).command.is_none());
    }

    #[test]
    fn pull_policies_are_written_as_kubernetes_writes_them() {
        for policy in ["IfNotPresent", "Always", "Never"] {
            let cli = Cli::parse_from(["portico-operator", "--image-pull-policy", policy]);
            assert_eq!(cli.options.image_pull_policy.as_str(), policy);
        }
        assert!(Cli::try_parse_from(["portico-operator", "--concurrency", "0"]).is_err());
    }
}
