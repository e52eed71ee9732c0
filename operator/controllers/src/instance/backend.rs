//! Who runs an engine, when the spec leaves it open.

use portico_crds::common::Backend;
use portico_crds::common::names::EngineName;
use portico_operator_backends::delegated;

/// The backend that is meant: `Auto` is Portico itself until another operator is known that could.
pub(crate) fn resolve(asked: Option<Backend>) -> Backend {
    match asked.unwrap_or_default() {
        Backend::Auto => Backend::Builtin,
        other => other,
    }
}

/// Why no other operator can run the engine.
pub(crate) fn unavailable(engine: EngineName) -> String {
    let known = delegated::of(engine).map(|adapter| adapter.api().kind).collect::<Vec<_>>();
    if known.is_empty() {
        let name = engine.as_str();
        format!("spec.backend Delegated: this version of Portico knows no operator for {name}; use Builtin or External")
    } else {
        format!("spec.backend Delegated: the cluster serves none of {}; install one of them", known.join(", "))
    }
}
