//! The objects of an instance. Pure and infallible.

use kube::core::ObjectMeta;
use portico_crds::access_grant::{AccessGrant, AccessGrantSpec};
use portico_crds::common::labels::{Identity, ROTATE_ANNOTATION};
use portico_crds::common::{DeletionPolicy, Rotation, TypedInstanceRef};
use portico_operator_backends::builtin::node::{Node, certificate_names};
use portico_operator_backends::certificates::cert_manager;
use portico_operator_backends::{builtin, external};
use portico_operator_core::Desired;

use super::certificate::Certificate;
use super::validate::{Plan, ValidInstance};

/// The space of an instance's own binding.
const OWN_SPACE: &str = "app";

/// All objects in apply order.
pub fn build(instance: &ValidInstance) -> Desired {
    match &instance.plan {
        Plan::Builtin { node, certificate, rotation, rotate } => {
            let mut desired = Desired::new();
            push_certificate(&mut desired, node, certificate);
            desired.extend(node.objects());
            desired.push(own_grant(node, rotation.clone(), rotate.clone()));
            desired
        }
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

/// What the pod mounts, or the order for it.
fn push_certificate(desired: &mut Desired, node: &Node, certificate: &Certificate) {
    let name = node.name.tls();
    match certificate {
        Certificate::Own { leaf, .. } => desired.push(leaf.secret(name, node.identity())),
        Certificate::Ordered(ordered) if ordered.served => {
            let names = certificate_names(&node.name, &node.namespace);
            desired.push(cert_manager::order(&name, &names, &ordered.issuer, node.identity()));
        }
        Certificate::Ordered(_) | Certificate::None => {}
    }
}

/// The access behind the instance's own binding: made and rotated as that of any other consumer.
fn own_grant(node: &Node, rotation: Option<Rotation>, rotate: Option<String>) -> AccessGrant {
    let deletion_policy = if node.retain { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
    AccessGrant {
        metadata: ObjectMeta {
            name: Some(node.name.own_grant()),
            labels: Some(node.identity().labels()),
            annotations: rotate.map(|value| [(ROTATE_ANNOTATION.to_owned(), value)].into()),
            ..ObjectMeta::default()
        },
        spec: AccessGrantSpec {
            instance_ref: TypedInstanceRef { kind: node.engine().kind(), name: node.name.as_str().to_owned() },
            space: Some(OWN_SPACE.to_owned()),
            rotation,
            deletion_policy: Some(deletion_policy),
        },
        status: None,
    }
}
