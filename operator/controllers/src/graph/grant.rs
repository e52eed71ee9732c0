//! The edges of a grant.

use kube::ResourceExt as _;
use portico_crds::AccessGrant;
use portico_crds::common::InstanceKindName;
use portico_crds::common::names::{EngineName, GrantName, InstanceName};

use super::{Edge, Needs, Target};

impl Needs for AccessGrant {
    const ENDS: &'static [InstanceKindName] = &[
        InstanceKindName::DatabaseInstance,
        InstanceKindName::CacheInstance,
        InstanceKindName::BrokerInstance,
        InstanceKindName::ObjectStore,
    ];

    fn edges(&self) -> Vec<Edge> {
        vec![Edge { role: "instance", target: Target::Instance(self.spec.instance_ref.clone()) }]
    }

    /// Its own, and those of the instance, whichever engine that has.
    fn secrets(&self) -> Vec<String> {
        let own = GrantName::new(&self.name_any()).ok().map(|name| name.logins());
        let engines = EngineName::ALL.into_iter();
        let names = engines.filter_map(|engine| InstanceName::new(&self.spec.instance_ref.name, engine).ok());
        names.flat_map(|name| [name.credentials(), name.tls(), name.binding()]).chain(own).collect()
    }
}
