//! The objects of an instance. Pure and infallible.

use portico_crds::common::labels::Identity;
use portico_operator_backends::{builtin, external};
use portico_operator_core::Desired;

use super::validate::{Plan, ValidInstance};

/// All objects in apply order.
pub fn build(instance: &ValidInstance) -> Desired {
    match &instance.plan {
        Plan::Builtin(node) => node.objects(),
        Plan::External { binding: Some(binding), .. } => {
            let engine = instance.name.engine();
            let identity = Identity {
                program: engine.as_str(),
                instance: instance.name.as_str(),
                component: builtin::engine(engine).component(),
                kind: &instance.kind,
            };
            external::objects(&instance.name, identity, binding)
        }
        Plan::External { binding: None, .. } => Desired::new(),
    }
}
