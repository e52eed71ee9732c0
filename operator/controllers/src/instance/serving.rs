//! Whether the engine serves the certificate in its Secret. The engine is asked only in the time after a change; what
//! was seen last stands in the condition itself.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use portico_crds::common::{ConditionType, reasons};
use portico_operator_admin::{Endpoint, TlsServer};
use portico_operator_backends::builtin::node::Node;
use portico_operator_backends::builtin::readiness::{self, Readiness};
use portico_operator_backends::builtin::replicas;
use portico_operator_backends::certificates::Certificate;
use portico_operator_core::{Applied, Context, Desired, conditions};

use super::InstanceKind;
use super::certificate::Shown;
use super::validate::{Plan, ValidInstance};
use crate::Reach;
use crate::verdict::Verdict;

/// How often an engine is asked that does not serve the new certificate yet. The kubelet takes up to about a minute to
/// bring it into the pod.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What is said about the certificate that is served.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    /// `None` where there is nothing to say, or nothing new.
    pub(super) verdict: Option<Verdict>,
    /// When to ask again.
    pub(super) again: Option<Duration>,
}

impl Serving {
    fn said(verdict: Verdict) -> Self {
        Self { verdict: Some(verdict), again: None }
    }

    const SILENT: Self = Self { verdict: None, again: None };
}

/// Asks, if there is need to.
pub(super) async fn look<K: InstanceKind>(
    reach: &Reach,
    cx: &Context,
    object: &K,
    valid: &ValidInstance,
    applied: &Desired<Applied>,
) -> Serving {
    let Plan::Builtin { node, certificate, .. } = &valid.plan else { return Serving::SILENT };
    if !node.engine().tls() {
        let text = format!("{} has no TLS; it listens inside the cluster only", node.name.engine().as_str());
        return Serving::said(Verdict { message: text, ..Verdict::good(reasons::NO_TLS) });
    }
    if let Some(waiting) = certificate.waits(&valid.name.tls()) {
        return Serving::said(waiting);
    }
    let Some(shown) = certificate.shown() else { return Serving::SILENT };
    let good = Verdict { message: good_words(shown.certificate), ..Verdict::good(reasons::CERTIFICATE_SERVED) };
    if seen(object, &good) {
        return Serving::said(good);
    }
    if !cx.applier.writes() {
        return Serving::SILENT;
    }
    if !runs(node, applied) {
        let text = format!("certificate {} is served when the pods are ready", short(shown.certificate));
        return Serving::said(Verdict::bad(reasons::CERTIFICATE_PENDING, text));
    }
    match ask(reach, node, &shown).await {
        Ok(()) => Serving::said(good),
        Err(text) => {
            let verdict = Verdict::bad(reasons::CERTIFICATE_PENDING, text);
            Serving { verdict: Some(verdict), again: Some(LOOK_AGAIN) }
        }
    }
}

/// Whether just this was found out before.
fn seen<K: InstanceKind>(object: &K, good: &Verdict) -> bool {
    let condition = conditions::find(object.conditions(), ConditionType::CertificateValid);
    condition.is_some_and(|condition| condition.status == "True" && condition.message == good.message)
}

fn good_words(certificate: &Certificate) -> String {
    format!("certificate {} is served, valid until {}", short(certificate), certificate.not_after())
}

fn short(certificate: &Certificate) -> String {
    certificate.fingerprint().chars().take(16).collect()
}

fn runs(node: &Node, applied: &Desired<Applied>) -> bool {
    let available =
        |name: &str| applied.get::<StatefulSet>(name).is_some_and(|set| readiness::of(&set) == Readiness::Available);
    available(&node.name.workload()) && (node.read_replicas == 0 || available(&node.name.read()))
}

/// Asks the engine and its copies; says who does not serve the certificate yet.
async fn ask(reach: &Reach, node: &Node, shown: &Shown<'_>) -> Result<(), String> {
    let wanted = shown.certificate.fingerprint();
    let name = node.name.engine().as_str();
    // Every copy by its own name: behind the Service, one would answer for all.
    let copies = replicas::hosts(&node.name, &node.namespace, node.read_replicas);
    for host in std::iter::once(node.host()).chain(copies) {
        let server = TlsServer {
            engine: node.name.engine(),
            name: host.clone(),
            host,
            port: node.engine().port(),
            ca: shown.bundle.clone(),
        };
        let text = match reach.certificates.served(&server).await {
            Ok(leaf) if leaf == wanted => continue,
            Ok(leaf) => {
                let before: String = leaf.chars().take(16).collect();
                format!("{name} at {} still serves {before}", server.host)
            }
            Err(error) => format!("{name} at {}: {error}", server.host),
        };
        remind(reach, node, shown).await;
        return Err(format!("certificate {} is on its way into the pod: {text}", short(shown.certificate)));
    }
    Ok(())
}

/// Tells the engine to read its files again. The scripts in the pods do so, too, and the copies depend on them; this is
/// for an engine whose script is late.
async fn remind(reach: &Reach, node: &Node, shown: &Shown<'_>) {
    let engine = node.engine();
    let Some(administrator) = engine.administrator() else { return };
    let endpoint = Endpoint {
        engine: node.name.engine(),
        host: node.host(),
        port: engine.admin_port(),
        consumer_port: engine.port(),
        username: administrator.username.to_owned(),
        password: node.credentials.get(administrator.password).to_owned().into(),
        ca: Some(shown.bundle.clone()),
        replicas: Vec::new(),
    };
    if let Err(error) = reach.administration.port(endpoint).reload_certificate().await {
        tracing::debug!(instance = node.name.as_str(), %error, "the engine could not be told of its certificate");
    }
}
