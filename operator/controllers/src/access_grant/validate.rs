//! Judges a grant by what was read. Pure: what comes out is either something to wait for, or all that the engine's
//! admin port has to be told.

use kube::ResourceExt as _;
use portico_crds::AccessGrant;
use portico_crds::common::names::{GrantName, InstanceName, InvalidName};
use portico_crds::common::{Backend, ConditionType, reasons};
use portico_operator_admin::{Endpoint, Space, Table, TableKey};
use portico_operator_backends::binding::{Binding, InvalidBinding};
use portico_operator_backends::builtin::{self, Engine, replicas};
use portico_operator_core::{ReconcileError, Retry, conditions};

use super::inputs::{Inputs, space_of};
use super::logins::{Credential, InvalidLogins, Logins};
use crate::instance::inputs::Data;
use crate::instance::view::View;
use crate::verdict::Verdict;

/// Names that engines or the operator have for themselves.
const RESERVED: &[&str] =
    &["default", "information_schema", "mysql", "performance_schema", "postgres", "sys", "template0", "template1"];

/// Why a grant cannot be brought about before a person changes something.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// The name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The name of the space.
    #[error("spec.space {0:?} belongs to the engine itself; choose another name")]
    Reserved(String),
    /// Somebody else has the space.
    #[error("AccessGrant {0} has the same space in the same instance; choose another spec.space")]
    Taken(String),
    /// The engine, as it is run, knows no users.
    #[error("{0}")]
    Unsupported(String),
    /// The Secret with the logins was damaged.
    #[error("Secret {secret}: {source}")]
    Logins {
        /// Its name.
        secret: String,
        /// What is wrong.
        source: InvalidLogins,
    },
}

impl ReconcileError for Invalid {
    fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::Reserved(_) => reasons::INVALID_SPEC,
            Self::Taken(_) => reasons::SPACE_TAKEN,
            Self::Unsupported(_) => reasons::GRANTS_NOT_SUPPORTED,
            Self::Logins { .. } => reasons::SECRET_INVALID,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            // Nothing tells when the other one goes.
            Self::Taken(_) => Retry::Backoff,
            _ => Retry::OnChange,
        }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Plan {
    /// The instance is not there, or cannot be understood: nothing of what is published is touched.
    Wait(Verdict),
    /// The engine is somebody else's and consumers share its one user.
    Shared(Binding),
    /// The operator makes and replaces the login.
    Managed(Box<Managed>),
}

/// A grant in an engine that the operator administers.
#[derive(Clone, Debug)]
pub(crate) struct Managed {
    pub(crate) name: GrantName,
    pub(crate) endpoint: Endpoint,
    pub(crate) space: Space,
    pub(crate) logins: Option<Logins>,
    /// Everything of the binding but the login.
    pub(crate) outline: Binding,
    /// Whether it is the one behind the instance's own binding.
    pub(crate) own: bool,
}

impl Managed {
    /// How consumers use the space with a login.
    pub(crate) fn binding(&self, credential: &Credential) -> Binding {
        Binding { username: credential.username.clone(), password: credential.password.clone(), ..self.outline.clone() }
    }

    /// What the engine brings.
    pub(crate) fn engine(&self) -> &'static dyn Engine {
        builtin::engine(self.endpoint.engine)
    }
}

/// Judges the resource.
///
/// # Errors
/// [`Invalid`] for everything that waiting cannot mend.
pub(crate) fn validate(object: &AccessGrant, name: &GrantName, inputs: &Inputs) -> Result<Plan, Invalid> {
    let space = space_of(object);
    let own = inputs.instance.as_ref().is_some_and(|view| owned_by(object, &view.uid));
    if RESERVED.contains(&space.as_str()) || space.starts_with("portico") {
        return Err(Invalid::Reserved(space));
    }
    if let Some(rival) = &inputs.rival {
        return Err(Invalid::Taken(rival.clone()));
    }
    let Some(view) = &inputs.instance else {
        let reference = &object.spec.instance_ref;
        let (kind, name) = (reference.kind.as_str(), &reference.name);
        let text = format!("{kind} {name} (spec.instanceRef) does not exist in this namespace; create it");
        return Ok(Plan::Wait(Verdict::bad(reasons::INSTANCE_NOT_FOUND, text)));
    };
    let Some(names) = view.names() else {
        return Ok(Plan::Wait(Verdict::bad(reasons::INVALID_SPEC, "the instance has a name that cannot be used")));
    };
    let logins = inputs.logins.as_ref().map(Logins::read).transpose();
    let logins = logins.map_err(|source| Invalid::Logins { secret: name.logins(), source })?;
    let spaces = Space { name: view.engine.space(&space), whole: own, tables: tables(view, own) };
    let base = Base { name, space: spaces, logins, own };
    match view.backend {
        Backend::External => Ok(external(view, base, inputs)),
        Backend::Delegated => Err(unsupported(view)),
        Backend::Auto | Backend::Builtin => builtin(&names, object, view, base, inputs),
    }
}

/// What all plans share.
struct Base<'a> {
    name: &'a GrantName,
    space: Space,
    logins: Option<Logins>,
    own: bool,
}

/// Whether the grant is the instance's own.
pub(crate) fn owned_by(object: &AccessGrant, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == uid)
}

fn builtin(
    names: &InstanceName,
    object: &AccessGrant,
    view: &View,
    base: Base<'_>,
    inputs: &Inputs,
) -> Result<Plan, Invalid> {
    let engine = builtin::engine(view.engine);
    let host = format!("{}.{}.svc", names.workload(), object.namespace().unwrap_or_default());
    let (username, password) = match engine.administrator() {
        None if base.own => (String::new(), String::new()),
        None => return Err(unsupported(view)),
        Some(admin) => match text(inputs.credentials.as_ref(), admin.password) {
            Some(password) => (admin.username.to_owned(), password),
            None => return Ok(Plan::Wait(being_made(view))),
        },
    };
    let ca = text(inputs.certificate.as_ref(), "ca.crt");
    if engine.tls() && ca.is_none() {
        return Ok(Plan::Wait(being_made(view)));
    }
    let endpoint = Endpoint {
        engine: view.engine,
        host: host.clone(),
        port: engine.admin_port(),
        consumer_port: engine.port(),
        username,
        password: password.into(),
        ca: ca.clone().filter(|_| engine.tls()),
        replicas: replicas::hosts(names, &object.namespace().unwrap_or_default(), view.read_replicas),
    };
    let shape = engine.shape();
    let outline = Binding {
        engine: view.engine,
        provider: "portico".to_owned(),
        host,
        port: engine.port(),
        username: String::new(),
        password: String::new(),
        space: shape.space.and_then(|entry| entry.value(&base.space.name, base.space.whole)),
        region: shape.builtin_region.map(str::to_owned),
        tls: engine.tls(),
        ca: ca.filter(|_| engine.tls()),
        sslmode: shape.sslmode.then(|| "verify-full".to_owned()),
    };
    let Base { name, space, logins, own } = base;
    Ok(Plan::Managed(Box::new(Managed { name: name.clone(), endpoint, space, logins, outline, own })))
}

/// Somebody else's engine: with an administrator's password in the Secret consumers get users of their own.
fn external(view: &View, base: Base<'_>, inputs: &Inputs) -> Plan {
    let waiting = || {
        let conditions = view.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let ready = conditions::find(conditions, ConditionType::Ready);
        let message = ready.map_or("it has not been looked at yet", |ready| ready.message.as_str());
        let text = format!("{} {} is not ready: {message}", view.kind.as_str(), view.name);
        Plan::Wait(Verdict::bad(crate::instance::view::not_ready(view.kind), text))
    };
    let read = |data: &Data| -> Result<Binding, InvalidBinding> { Binding::read(view.engine, data) };
    let Some(Ok(binding)) = inputs.credentials.as_ref().map(read) else { return waiting() };
    let admin = |key| text(inputs.credentials.as_ref(), key);
    let (Some(username), Some(password)) = (admin("admin-username"), admin("admin-password")) else {
        return Plan::Shared(binding);
    };
    let engine = builtin::engine(view.engine);
    let usual = if engine.admin_port() == engine.port() { binding.port } else { engine.admin_port() };
    let port = admin("admin-port").and_then(|port| port.parse().ok());
    let shape = engine.shape();
    let endpoint = Endpoint {
        engine: view.engine,
        host: binding.host.clone(),
        port: port.unwrap_or(usual),
        consumer_port: binding.port,
        username,
        password: password.into(),
        ca: binding.ca.clone(),
        replicas: Vec::new(),
    };
    let space = shape.space.and_then(|entry| entry.value(&base.space.name, false));
    let outline = Binding { space, username: String::new(), password: String::new(), ..binding };
    let Base { name, space, logins, own } = base;
    Plan::Managed(Box::new(Managed { name: name.clone(), endpoint, space, logins, outline, own }))
}

fn tables(view: &View, own: bool) -> Vec<Table> {
    let key = |key: &portico_crds::database_instance::TableKey| TableKey {
        name: key.name.clone(),
        kind: key.type_.unwrap_or_default().letter(),
    };
    let tables = view.tables.iter().filter(|_| own);
    tables
        .map(|table| Table {
            name: table.name.clone(),
            partition_key: key(&table.partition_key),
            sort_key: table.sort_key.as_ref().map(key),
        })
        .collect()
}

fn being_made(view: &View) -> Verdict {
    let text = format!("{} {} is being made", view.kind.as_str(), view.name);
    Verdict::bad(crate::instance::view::not_ready(view.kind), text)
}

fn unsupported(view: &View) -> Invalid {
    Invalid::Unsupported(format!(
        "{} {} cannot give consumers users of their own ({}); use the instance's own binding",
        view.kind.as_str(),
        view.name,
        view.engine.as_str()
    ))
}

/// The text of a key, if it is one that can be used.
fn text(data: Option<&Data>, key: &str) -> Option<String> {
    let text = std::str::from_utf8(&data?.get(key)?.0).ok()?.trim_end_matches(['\r', '\n']).to_owned();
    (!text.is_empty()).then_some(text)
}
