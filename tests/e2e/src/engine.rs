//! The engines as a user sees them: how an instance is asked for, and what its objects are called.

use serde_json::{Value, json};

/// An engine that the operator can run.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// The kind of its instances.
    pub kind: &'static str,
    /// `spec.engine`.
    pub engine: &'static str,
    /// As it stands in the names of objects.
    pub name: &'static str,
    /// What the label of its consumers begins with.
    pub consumer: &'static str,
    /// Whether it speaks TLS and nothing else.
    pub tls: bool,
    /// Whether it can have copies for reading.
    pub copies: bool,
    /// Memory limit of its pods. Above the default: the volumes of the tests are memory too.
    pub memory: &'static str,
}

/// PostgreSQL.
pub const POSTGRESQL: Engine = Engine {
    kind: "DatabaseInstance",
    engine: "PostgreSQL",
    name: "postgresql",
    consumer: "database",
    tls: true,
    copies: true,
    memory: "768Mi",
};
/// MariaDB.
pub const MARIADB: Engine = Engine { engine: "MariaDB", name: "mariadb", memory: "1Gi", ..POSTGRESQL };
/// DynamoDB Local.
pub const DYNAMODB: Engine = Engine { engine: "DynamoDB", name: "dynamodb", tls: false, copies: false, ..POSTGRESQL };
/// Valkey.
pub const VALKEY: Engine = Engine {
    kind: "CacheInstance",
    engine: "Valkey",
    name: "valkey",
    consumer: "cache",
    memory: "512Mi",
    ..POSTGRESQL
};
/// RabbitMQ.
pub const RABBITMQ: Engine = Engine {
    kind: "BrokerInstance",
    engine: "RabbitMQ",
    name: "rabbitmq",
    consumer: "broker",
    copies: false,
    memory: "1Gi",
    ..POSTGRESQL
};
/// Garage.
pub const GARAGE: Engine = Engine {
    kind: "ObjectStore",
    engine: "S3",
    name: "garage",
    consumer: "object-store",
    tls: false,
    copies: false,
    memory: "512Mi",
};

impl Engine {
    /// An instance with this spec beside the engine.
    pub fn instance(&self, name: &str, spec: &Value) -> Value {
        let mut all = json!({"engine": self.engine});
        if let (Some(all), Some(spec)) = (all.as_object_mut(), spec.as_object()) {
            all.extend(spec.clone());
        }
        manifest(self.kind, name, &all)
    }

    /// Access to an instance of this engine, with this spec beside the reference.
    pub fn grant(&self, name: &str, instance: &str, spec: &Value) -> Value {
        let mut all = json!({"instanceRef": {"kind": self.kind, "name": instance}});
        if let (Some(all), Some(spec)) = (all.as_object_mut(), spec.as_object()) {
            all.extend(spec.clone());
        }
        manifest("AccessGrant", name, &all)
    }

    /// The `StatefulSet` and the Service of an instance.
    pub fn workload(&self, instance: &str) -> String {
        format!("{instance}-{}", self.name)
    }

    /// The pod of an instance.
    pub fn pod(&self, instance: &str) -> String {
        format!("{}-0", self.workload(instance))
    }

    /// The binding Secret of an instance.
    pub fn binding(&self, instance: &str) -> String {
        format!("{}-binding", self.workload(instance))
    }

    /// The label of pods that may reach an instance.
    pub fn consumer_label(&self, instance: &str) -> String {
        format!("{}.portico.dev/{instance}", self.consumer)
    }
}

fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "portico.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}
