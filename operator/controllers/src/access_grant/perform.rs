//! The one step that acts inside an engine: brings the logins there to where the state machine wants them.
//!
//! Each step is one move; what it leaves behind is written down before the next one begins, so that a stop at any point
//! is gone on from.

use std::time::Duration;

use jiff::Timestamp;
use portico_crds::common::reasons;
use portico_operator_admin::{AdminError, AdminPort, Login};
use portico_operator_backends::builtin::LoginForm;
use portico_operator_core::rng::{Rng, RngError};
use portico_operator_core::secret::Password;

use super::logins::{Credential, Logins, Slot, Stage};
use super::rotation::{self, Facts, Step};
use super::validate::Managed;
use crate::verdict::Verdict;

/// How often a login is tried: no engine tells that somebody changed a password behind our back.
const LOOK: Duration = Duration::from_mins(1);
/// How often a login is looked at that still has connections.
const DRAIN: Duration = Duration::from_secs(5);
/// The next step follows at once.
pub(super) const NOW: Duration = Duration::from_millis(50);

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Performed {
    /// The state to write down.
    pub(crate) logins: Logins,
    /// What the engine says; good when the published login works.
    pub(crate) engine: Result<(), AdminError>,
    /// What is said about the replacement.
    pub(crate) rotation: Verdict,
    /// When to go on.
    pub(crate) again: Duration,
}

/// A new login for a slot.
pub(crate) fn draw(grant: &Managed, slot: Slot, rng: &dyn Rng) -> Result<Credential, RngError> {
    let engine = grant.endpoint.engine;
    Ok(match grant.engine().login_form() {
        LoginForm::Password => Credential {
            username: engine.space(&format!("{}-{}", grant.space.name, slot.as_str())),
            password: Password::generate(rng)?.expose().to_owned(),
        },
        LoginForm::AccessKey | LoginForm::Open => {
            let id: String = Password::generate_hex(rng)?.expose().chars().take(24).collect();
            Credential { username: format!("GK{id}"), password: Password::generate_hex(rng)?.expose().to_owned() }
        }
    })
}

/// The first state of a grant.
pub(crate) fn begin(grant: &Managed, facts: Facts<'_>, rng: &dyn Rng) -> Result<Logins, RngError> {
    Ok(Logins {
        active: Slot::A,
        credential: draw(grant, Slot::A, rng)?,
        stage: Stage::New,
        since: facts.now,
        request: facts.request.to_owned(),
    })
}

/// Does the next step.
pub(crate) async fn perform(
    port: &dyn AdminPort,
    grant: &Managed,
    logins: Logins,
    facts: Facts<'_>,
    rng: &dyn Rng,
) -> Result<Performed, RngError> {
    Ok(match rotation::next(&logins, facts) {
        Step::Introduce => {
            let engine = introduce(port, grant, &logins.credential).await;
            let logins = if engine.is_ok() { rotation::introduced(logins, facts.now, facts.request) } else { logins };
            done(logins, engine, LOOK)
        }
        Step::Keep => {
            let engine = keep(port, grant, &logins.credential).await;
            if beyond_repair(grant, &engine) {
                let credential = draw(grant, logins.active.other(), rng)?;
                let request = logins.request.clone();
                return Ok(done(rotation::drawn(logins, credential, &request), engine, NOW));
            }
            let due = rotation::until_due(&logins, facts).unwrap_or(LOOK);
            done(logins, engine, due.min(LOOK))
        }
        Step::Draw => {
            let credential = draw(grant, logins.active.other(), rng)?;
            done(rotation::drawn(logins, credential, facts.request), Ok(()), NOW)
        }
        Step::Switch => switch(port, grant, logins, facts.now).await,
        Step::Wait(left) => {
            let engine = keep(port, grant, &logins.credential).await;
            done(logins, engine, left.min(LOOK))
        }
        Step::Revoke => revoke(port, grant, logins).await,
    })
}

fn done(logins: Logins, engine: Result<(), AdminError>, again: Duration) -> Performed {
    let rotation = verdict(&logins);
    Performed { logins, engine, rotation, again }
}

async fn introduce(port: &dyn AdminPort, grant: &Managed, credential: &Credential) -> Result<(), AdminError> {
    let login = login(credential);
    port.ensure_space(&grant.space).await?;
    port.ensure_login(&grant.space, &login).await?;
    port.verify(&grant.space, &login).await
}

/// Tries the published login and mends it when the engine refuses it.
async fn keep(port: &dyn AdminPort, grant: &Managed, credential: &Credential) -> Result<(), AdminError> {
    if !grant.space.tables.is_empty() {
        port.ensure_space(&grant.space).await?;
    }
    match port.verify(&grant.space, &login(credential)).await {
        Err(AdminError::Refused(_) | AdminError::Engine(_)) => introduce(port, grant, credential).await,
        other => other,
    }
}

/// An access key that was removed cannot be made again: another one takes its place, by the way of every replacement.
fn beyond_repair(grant: &Managed, engine: &Result<(), AdminError>) -> bool {
    grant.engine().login_form() == LoginForm::AccessKey && matches!(engine, Err(AdminError::Engine(_)))
}

async fn switch(port: &dyn AdminPort, grant: &Managed, logins: Logins, now: Timestamp) -> Performed {
    let Stage::Preparing(incoming) = &logins.stage else { return done(logins, Ok(()), NOW) };
    match introduce(port, grant, incoming).await {
        Ok(()) => done(rotation::switched(logins, now), Ok(()), NOW),
        Err(error) => done(logins, Err(error), LOOK),
    }
}

async fn revoke(port: &dyn AdminPort, grant: &Managed, logins: Logins) -> Performed {
    let Stage::Moving(old) = &logins.stage else { return done(logins, Ok(()), NOW) };
    let open = match port.sessions(&old.username).await {
        Ok(open) => open.unwrap_or(0),
        Err(error) => return done(logins, Err(error), LOOK),
    };
    if open > 0 {
        let text = format!(
            "{} is published; {} still has connections and stays until they end",
            logins.credential.username, old.username
        );
        let rotation = Verdict::bad(reasons::MOVING_CONSUMERS, text);
        return Performed { logins, engine: Ok(()), rotation, again: DRAIN };
    }
    match port.revoke(&grant.space, &old.username).await {
        Ok(()) => done(rotation::revoked(logins), Ok(()), NOW),
        Err(error) => {
            let rotation = Verdict::bad(reasons::REVOKING_CREDENTIAL, format!("{} is being taken away", old.username));
            Performed { logins, engine: Err(error), rotation, again: LOOK }
        }
    }
}

/// What is said about the replacement in each stage.
pub(crate) fn verdict(logins: &Logins) -> Verdict {
    match &logins.stage {
        Stage::New | Stage::Settled => Verdict::good(reasons::CURRENT),
        Stage::Preparing(incoming) => Verdict::bad(
            reasons::PREPARING_CREDENTIAL,
            format!("{} is being made beside {}", incoming.username, logins.credential.username),
        ),
        Stage::Moving(old) => Verdict::bad(
            reasons::MOVING_CONSUMERS,
            format!("{} is published; {} stays until its users have moved", logins.credential.username, old.username),
        ),
    }
}

pub(crate) fn login(credential: &Credential) -> Login {
    Login { username: credential.username.clone(), password: credential.password.clone().into() }
}
