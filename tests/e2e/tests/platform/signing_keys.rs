//! The keys that sign tokens are replaced while people use the service, and nobody notices.

use std::time::Duration;

use anyhow::ensure;
use portico_crds::AuthService;
use portico_crds::common::labels::ROTATE_ANNOTATION;
use portico_e2e::auth::{Auth, Tokens};
use portico_e2e::fixtures::start_auth;
use portico_e2e::{Outcome, POD, REACTION, wait, with_namespace};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

const EMAIL: &str = "ada@example.org";
/// A request a client and tick: enough to meet every moment of the replacement, and little beside the other tests.
const TICK: Duration = Duration::from_millis(200);
/// The overlap, the life of the last token that the old key signed, a minute, and what the kubelet takes.
const REPLACED: Duration = Duration::from_mins(4);

#[tokio::test]
async fn signing_keys_are_replaced_and_no_request_fails() -> Outcome {
    with_namespace("signing-keys", |ns| async move {
        let tokens = json!({"accessTokenLifetime": "1m", "signingKeyRotation": {"overlap": "10s"}});
        let auth = start_auth(&ns, json!({"tokens": tokens})).await?;
        let first = auth.register(EMAIL).await?;
        let old = kids(&auth).await?;
        ensure!(old.len() == 1, "there is one key at first: {old:?}");

        let (stop, stopped) = watch::channel(false);
        let client = Auth::of_service(&ns, "auth").await?;
        let load = tokio::spawn(use_it(client, first, stopped));
        ns.patch::<AuthService>("auth", json!({"metadata": {"annotations": {ROTATE_ANNOTATION: "now"}}})).await?;
        ns.wait_condition::<AuthService>("auth", REACTION, "SigningKeysCurrent", "False", "").await?;
        ns.wait_condition::<AuthService>("auth", REPLACED, "SigningKeysCurrent", "True", "").await?;
        stop.send_replace(true);
        let requests = load.await??;
        ensure!(requests > 100, "only {requests} requests were made meanwhile");

        // What is in the Secret is in the pods when the kubelet has brought it.
        wait::ask_until(POD, "publishing the new key only", || async {
            let new = kids(&auth).await?;
            Ok(if new.len() == 1 && new != old { Ok(()) } else { Err(format!("before {old:?}, now {new:?}")) })
        })
        .await
    })
    .await
}

/// Refreshes and uses tokens until told to stop; the first failure ends it. Gives the number of requests.
async fn use_it(auth: Auth, mut tokens: Tokens, mut stopped: watch::Receiver<bool>) -> anyhow::Result<u32> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut requests = 0;
    loop {
        tokio::select! {
            _ = stopped.changed() => return Ok(requests),
            _ = tick.tick() => {}
        }
        auth.accepts(&tokens.access, EMAIL).await?;
        requests += 1;
        // Often enough that no token grows too old, and each key signs many.
        if requests % 10 == 0 {
            tokens = auth.refresh(&tokens.refresh).await?;
        }
    }
}

/// The ids of the published keys, sorted.
async fn kids(auth: &Auth) -> anyhow::Result<Vec<String>> {
    let answer = auth.http().get("/.well-known/jwks.json", None).await?.expect(200)?;
    let keys = answer.json()?["keys"].as_array().cloned().unwrap_or_default();
    let mut kids: Vec<_> = keys.iter().filter_map(|key| Some(key["kid"].as_str()?.to_owned())).collect();
    kids.sort();
    Ok(kids)
}
