//! How many resources of each kind there are, by readiness: counted when the metrics are read, so nothing has to be
//! kept up to date.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::Store;
use portico_crds::common::{ConditionType, PorticoResource};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::conditions;

/// The values of the `Ready` condition, in the order of [`Counts`].
const READY: [&str; 3] = ["True", "False", "Unknown"];
type Counts = [i64; 3];

struct Kind {
    name: String,
    count: Box<dyn Fn() -> Counts + Send + Sync>,
}

/// The kinds that are counted. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<Mutex<Vec<Kind>>>);

impl Census {
    /// Counts the resources of this store from now on.
    pub(crate) fn add<K: PorticoResource>(&self, store: Store<K>) {
        let name = K::kind(&()).into_owned();
        let count = Box::new(move || count(store.state().iter().map(AsRef::as_ref)));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Kind { name, count });
    }
}

fn count<'a, K: PorticoResource>(resources: impl Iterator<Item = &'a K>) -> Counts {
    resources.fold([0; 3], |[ready, unready, unknown], resource| {
        match conditions::find(resource.conditions(), ConditionType::Ready).map(|ready| ready.status.as_str()) {
            Some("True") => [ready + 1, unready, unknown],
            Some("False") => [ready, unready + 1, unknown],
            _ => [ready, unready, unknown + 1],
        }
    })
}

impl fmt::Debug for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Census")
    }
}

impl Collector for Census {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Custom resources by kind and by status of their condition Ready";
        let mut family = encoder.encode_descriptor("portico_resources", help, None, MetricType::Gauge)?;
        for kind in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (ready, count) in READY.into_iter().zip((kind.count)()) {
                let labels = [("kind", kind.name.as_str()), ("ready", ready)];
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use portico_crds::CacheInstance;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;
    use serde_json::json;

    fn instance(name: &str, conditions: &serde_json::Value) -> CacheInstance {
        serde_json::from_value(json!({
            "apiVersion": "portico.dev/v1alpha1", "kind": "CacheInstance",
            "metadata": { "name": name, "namespace": "n" }, "spec": { "engine": "Valkey" },
            "status": { "conditions": conditions },
        }))
        .unwrap()
    }

    #[test]
    fn counts_by_readiness() {
        let (store, mut writer) = reflector::store::<CacheInstance>();
        let condition = |status: &str| {
            json!([{ "type": "Ready", "status": status, "reason": "R", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }])
        };
        for (name, conditions) in [("a", condition("True")), ("b", condition("False")), ("c", json!([]))] {
            writer.apply_watcher_event(&Event::Apply(instance(name, &conditions)));
        }
        let census = Census::default();
        census.add(store);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(census));
        let mut out = String::new();
        text::encode(&mut out, &registry).unwrap();
        for ready in READY {
            assert!(out.contains(&format!(r#"portico_resources{{kind="CacheInstance",ready="{ready}"}} 1"#)), "{out}");
        }
    }
}
