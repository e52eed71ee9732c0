//! What the unit tests of this kind share: inputs from before anything is there to when all is bound.

use jiff::Timestamp;
use portico_crds::access_grant::AccessGrantStatus;
use portico_crds::common::InstanceStatus;
use portico_crds::common::names::EngineName;
use portico_operator_core::rng::SeededRng;
use serde_json::json;

use super::inputs::Inputs;
use super::signing_keys::SigningKeys;
use crate::graph::observe::{Observed, Seen};
use crate::testing::binding;

/// The moment at which keys are made.
pub(crate) const START: i64 = 1_800_000_000;

/// A new key.
pub(crate) fn keys(seed: u64) -> SigningKeys {
    SigningKeys::generate(&SeededRng::new(seed), Timestamp::from_second(START).unwrap()).unwrap()
}

/// Nothing is there yet.
pub(crate) fn nothing() -> Inputs {
    Inputs {
        signing_keys: None,
        keys_version: None,
        fresh: keys(5),
        database: Observed::default(),
        cache: Observed::default(),
        deployment: None,
        trouble: None,
        failing: Vec::new(),
    }
}

/// A grant that says this of itself.
pub(crate) fn granted(status: &str, reason: &str, message: &str) -> Seen<AccessGrantStatus> {
    let ready = json!({"type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let conditions = vec![serde_json::from_value(ready).unwrap()];
    Seen { status: Some(AccessGrantStatus { conditions, ..AccessGrantStatus::default() }), deleting: false }
}

/// An instance that is run so.
pub(crate) fn instance(engine: EngineName, backend: &str) -> (EngineName, Seen<InstanceStatus>) {
    let status = InstanceStatus { backend: Some(backend.to_owned()), ..InstanceStatus::default() };
    (engine, Seen { status: Some(status), deleting: false })
}

/// A dependency that is bound through a grant.
pub(crate) fn used(engine: EngineName, backend: &str, host: &str, port: &str) -> Observed {
    Observed {
        instance: Some(instance(engine, backend)),
        grant: Some(granted("True", "Ready", "")),
        secret: Some(binding(host, port, "secret")),
    }
}

/// Both dependencies are bound.
pub(crate) fn bound() -> Inputs {
    Inputs {
        database: used(EngineName::PostgreSql, "Builtin", "members-db-postgresql.shop.svc", "5432"),
        cache: used(EngineName::Valkey, "Builtin", "members-cache-valkey.shop.svc", "6379"),
        ..nothing()
    }
}
