//! The objects of a grant: the Secret with its logins, and the binding. Pure.

use portico_crds::common::labels::Identity;
use portico_crds::common::names::GrantName;
use portico_operator_backends::binding::Binding;
use portico_operator_core::Desired;

use super::logins::Logins;
use super::validate::Managed;

/// The labels of a grant's objects.
pub(crate) fn identity(name: &GrantName) -> Identity<'_> {
    Identity { program: "access-grant", instance: name.as_str(), component: "access", kind: "AccessGrant" }
}

/// The logins for the first time, before anything is made in the engine.
pub(crate) fn first(grant: &Managed, logins: &Logins, retain: bool) -> Desired {
    let mut desired = Desired::new();
    desired.push_generated(logins.secret(grant.name.logins(), identity(&grant.name)), false, retain);
    desired
}

/// The logins as they are now, then the binding: what consumers may use is written down before they get it.
pub(crate) fn build(grant: &Managed, logins: &Logins, retain: bool) -> Desired {
    let mut desired = Desired::new();
    let secret = logins.secret(grant.name.logins(), identity(&grant.name));
    if retain {
        desired.push_retained(secret);
    } else {
        desired.push(secret);
    }
    if logins.published() {
        desired.push(grant.binding(&logins.credential).secret(grant.name.binding(), identity(&grant.name)));
    }
    desired
}

/// A binding that is shared with others.
pub(crate) fn shared(name: &GrantName, binding: &Binding) -> Desired {
    let mut desired = Desired::new();
    desired.push(binding.secret(name.binding(), identity(name)));
    desired
}
