//! Validation rules (CEL) that all instance kinds have, with messages that name the field and the way out.

use kube::core::{Message, Rule};

/// The longest name.
pub(crate) fn name_length(kind: &str) -> Rule {
    Rule::new("self.metadata.name.size() <= 40").message(Message::Message(format!(
        "metadata.name of this {kind} may have at most 40 characters; choose a shorter one"
    )))
}

/// The longest name of a grant: longer than an instance's, because the one of its own binding is called like its
/// workload.
pub(crate) fn grant_name_length() -> Rule {
    Rule::new("self.metadata.name.size() >= 3 && self.metadata.name.size() <= 54")
        .message("metadata.name of an AccessGrant must have from 3 to 54 characters")
}

/// The letters of a name.
pub(crate) fn name_letters() -> Rule {
    Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be lower-case letters, digits and hyphens, a letter first and no hyphen last")
}

/// External needs to know where; the others must not be told.
pub(crate) fn external_is_described() -> Rule {
    Rule::new("(has(self.backend) && self.backend == 'External') == has(self.external)")
        .message("spec.external belongs to spec.backend External: set both or neither")
}

/// What Portico does not run, it cannot shape.
pub(crate) fn external_is_not_shaped() -> Rule {
    Rule::new(concat!(
        "!(has(self.backend) && self.backend == 'External') || !(has(self.storage) || has(self.resources) || ",
        "has(self.image) || has(self.version) || has(self.parameters) || has(self.tls) || ",
        "(has(self.readReplicas) && self.readReplicas > 0))"
    ))
    .message(concat!(
        "spec.storage, spec.resources, spec.image, spec.version, spec.parameters, spec.tls and spec.readReplicas ",
        "describe what Portico runs; remove them with spec.backend External"
    ))
}

/// Moving data from one backend to another is not an edit.
pub(crate) fn backend_stays() -> Rule {
    Rule::new("(has(self.backend) ? self.backend : 'Auto') == (has(oldSelf.backend) ? oldSelf.backend : 'Auto')")
        .message("spec.backend cannot be changed; make a new instance")
}

/// Kubernetes cannot move a volume to another class.
pub(crate) fn storage_class_stays() -> Rule {
    Rule::new(concat!(
        "(has(self.storage) && has(self.storage.storageClassName)) == ",
        "(has(oldSelf.storage) && has(oldSelf.storage.storageClassName)) && ",
        "(!has(self.storage) || !has(self.storage.storageClassName) || ",
        "self.storage.storageClassName == oldSelf.storage.storageClassName)"
    ))
    .message("spec.storage.storageClassName cannot be changed; make a new instance")
}

/// Kubernetes cannot shrink a volume.
pub(crate) fn storage_grows() -> Rule {
    Rule::new(concat!(
        "(has(self.storage) && has(self.storage.size) && !isQuantity(self.storage.size)) || ",
        "(has(oldSelf.storage) && has(oldSelf.storage.size) && !isQuantity(oldSelf.storage.size)) || ",
        "quantity(has(self.storage) && has(self.storage.size) ? self.storage.size : '1Gi').compareTo(",
        "quantity(has(oldSelf.storage) && has(oldSelf.storage.size) ? oldSelf.storage.size : '1Gi')) >= 0"
    ))
    .message("spec.storage.size cannot shrink; keep it or choose a larger one")
}

/// Another engine is another instance.
pub(crate) fn engine_stays() -> Rule {
    Rule::new("self == oldSelf").message("spec.engine cannot be changed; make a new instance")
}

/// A duration in whole hours, minutes and seconds between two bounds.
pub(crate) fn duration(field: &str, least: &str, most: &str, example: &str) -> Rule {
    Rule::new(format!(
        "self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"
    ))
    .message(Message::Message(format!("{field} must be a duration from {least} to {most}, such as {example}")))
}
