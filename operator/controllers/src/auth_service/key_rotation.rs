//! When and how the key that signs tokens is replaced, as a pure state machine: a new key is published, then signs, and
//! the old one stays published until the last token signed by it has expired. At no time is there a good token whose
//! key somebody who asks for the keys as often as they are told to does not know.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use portico_crds::common::reasons;

use super::signing_keys::SigningKeys;
use crate::verdict::Verdict;

/// By how much the clocks of those who verify tokens may be behind.
const LEEWAY: Duration = Duration::from_mins(1);

/// What the spec asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The value of the annotation that asks for a replacement; empty when there is none.
    pub request: String,
    /// How old a key may become.
    pub interval: Option<Duration>,
    /// How long a new key is published before it signs: until all pods have it and all verifiers have asked again.
    pub overlap: Duration,
    /// How long a token is good.
    pub token_life: Duration,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for so long; `None` until something is asked for.
    Wait(Option<Duration>),
    /// Publish a new key.
    Publish,
    /// Let the published key sign.
    Activate,
    /// Forget keys of which no token is good any more.
    Forget,
}

/// The next step.
pub fn next(keys: &SigningKeys, terms: &Terms, now: Timestamp) -> Step {
    if keys.retired.values().any(|until| *until <= now) {
        return Step::Forget;
    }
    let forget = keys.retired.values().filter_map(|until| left(now, *until)).min();
    let own = match &keys.next {
        Some((_, since)) => match remaining(*since, terms.overlap, now) {
            None => return Step::Activate,
            left => left,
        },
        None if !terms.request.is_empty() && terms.request != keys.request => return Step::Publish,
        None => match terms.interval.map(|interval| remaining(keys.since, interval, now)) {
            Some(None) => return Step::Publish,
            left => left.flatten(),
        },
    };
    Step::Wait([own, forget].into_iter().flatten().min())
}

/// What is left of `span` since `since`. A clock that goes back shortens nothing.
fn remaining(since: Timestamp, span: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    span.checked_sub(passed).filter(|left| !left.is_zero())
}

fn left(now: Timestamp, until: Timestamp) -> Option<Duration> {
    Duration::try_from(until.duration_since(now)).ok()
}

/// The keys after a step. `fresh` is the key to publish.
pub fn done(keys: &SigningKeys, step: &Step, terms: &Terms, fresh: &SigningKeys, now: Timestamp) -> SigningKeys {
    let mut after = keys.clone();
    match step {
        Step::Wait(_) => {}
        Step::Publish => {
            after.adopt(fresh);
            after.next = Some((fresh.active.clone(), now));
            after.request.clone_from(&terms.request);
        }
        Step::Activate => {
            if let Some((kid, _)) = after.next.take() {
                let old = std::mem::replace(&mut after.active, kid);
                after.publish_only(&old);
                // A pod may sign with the old key until its files have followed, which the overlap covers, too.
                let life = terms.overlap.saturating_add(terms.token_life).saturating_add(LEEWAY);
                let life = SignedDuration::try_from(life).unwrap_or(SignedDuration::MAX);
                after.retired.insert(old, now.saturating_add(life).unwrap_or(Timestamp::MAX));
                after.since = now;
            }
        }
        Step::Forget => {
            let over: Vec<_> = keys.retired.iter().filter(|(_, until)| **until <= now).map(|(kid, _)| kid).collect();
            for kid in over {
                after.retired.remove(kid);
                after.remove(kid);
            }
        }
    }
    after
}

/// The entries that differ: those to write, and as `None` those to remove.
pub fn changes(before: &SigningKeys, after: &SigningKeys) -> BTreeMap<String, Option<ByteString>> {
    let (before, after) = (before.entries(), after.entries());
    let removed = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), None));
    let written = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    removed.chain(written.map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
}

/// What is said about the replacement.
pub(crate) fn verdict(keys: &SigningKeys, overlap: Duration) -> Verdict {
    let active = &keys.active;
    if let Some((kid, since)) = &keys.next {
        let overlap = SignedDuration::try_from(overlap).unwrap_or(SignedDuration::MAX);
        let from = seconds(since.saturating_add(overlap).unwrap_or(Timestamp::MAX));
        let text = format!("key {kid} is published beside {active} and signs from {from} on");
        return Verdict::bad(reasons::PUBLISHING_KEY, text);
    }
    match keys.retired.iter().max_by_key(|(_, until)| **until) {
        None => Verdict::good(reasons::CURRENT),
        Some((kid, until)) => {
            let until = seconds(*until);
            let text =
                format!("key {active} signs; {kid} stays until {until}, when the last token signed by it has expired");
            Verdict::bad(reasons::RETIRING_KEY, text)
        }
    }
}

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portico_operator_core::rng::SeededRng;
    use proptest::prelude::*;

    const OVERLAP: u64 = 600;
    const LIFE: u64 = 900;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn key(seed: u64) -> SigningKeys {
        SigningKeys::generate(&SeededRng::new(seed), at(0)).unwrap()
    }

    fn terms(request: &str, interval: Option<u64>) -> Terms {
        Terms {
            request: request.to_owned(),
            interval: interval.map(Duration::from_secs),
            overlap: Duration::from_secs(OVERLAP),
            token_life: Duration::from_secs(LIFE),
        }
    }

    fn wait(seconds: u64) -> Step {
        Step::Wait(Some(Duration::from_secs(seconds)))
    }

    /// Does a step and reads what was written, as the next reconcile would.
    fn step(keys: &SigningKeys, expected: &Step, terms: &Terms, seed: u64, now: i64) -> SigningKeys {
        assert_eq!(next(keys, terms, at(now)), *expected);
        SigningKeys::read("s", &done(keys, expected, terms, &key(seed), at(now)).entries()).unwrap()
    }

    #[test]
    fn a_key_goes_through_every_phase() {
        let (old, new) = (key(1).active, key(2).active);
        let idle = terms("", None);
        assert_eq!(next(&key(1), &idle, at(9_999_999)), Step::Wait(None));
        let asked = terms("now", None);
        let keys = step(&key(1), &Step::Publish, &asked, 2, 10);
        assert_eq!((keys.active.as_str(), keys.next.as_ref().unwrap().0.as_str()), (old.as_str(), new.as_str()));
        let said = verdict(&keys, asked.overlap);
        assert_eq!(said.reason, "PublishingSigningKey");
        assert!(
            said.message.contains(&new) && said.message.ends_with("signs from 2027-01-15T08:10:10Z on"),
            "{said:?}"
        );

        assert_eq!(next(&keys, &asked, at(609)), wait(1));
        let keys = step(&keys, &Step::Activate, &asked, 3, 610);
        assert_eq!((keys.active.as_str(), keys.since, &keys.next), (new.as_str(), at(610), &None));
        assert_eq!(verdict(&keys, asked.overlap).reason, "RetiringSigningKey");
        let entries = keys.entries();
        let pem = |kid: &str| String::from_utf8(entries[&format!("{kid}.pem")].0.clone()).unwrap();
        assert!(pem(&old).contains("PUBLIC KEY") && pem(&new).contains("PRIVATE KEY"));

        // A token may have been signed by the old key until 600 s later, for 900 s, and clocks differ by 60 s.
        assert_eq!(next(&keys, &asked, at(610)), wait(1_560));
        let forgotten = step(&keys, &Step::Forget, &asked, 3, 2_170);
        assert!(!forgotten.entries().contains_key(&format!("{old}.pem")));
        assert_eq!(verdict(&forgotten, asked.overlap), Verdict::good("Current"));
        assert_eq!(next(&forgotten, &asked, at(9_999_999)), Step::Wait(None), "a request is served once");
        let removed = changes(&keys, &forgotten);
        assert_eq!(removed.len(), 2);
        assert!(removed.values().all(Option::is_none), "nothing is written that has not changed");
    }

    #[test]
    fn a_schedule_counts_from_when_the_key_began_to_sign() {
        let daily = terms("", Some(86_400));
        assert_eq!(next(&key(1), &daily, at(86_399)), wait(1));
        let keys = step(&key(1), &Step::Publish, &daily, 2, 86_400);
        let keys = step(&keys, &Step::Activate, &daily, 3, 87_000);
        assert_eq!(next(&keys, &daily, at(87_000)), wait(1_560), "the old key goes before the next one comes");
        assert_eq!(next(&keys, &terms("", None), at(88_000)), wait(560));
    }

    #[test]
    fn who_is_in_a_hurry_need_not_wait_for_old_tokens() {
        let keys = step(&key(1), &Step::Publish, &terms("one", None), 2, 0);
        assert_eq!(next(&keys, &terms("two", None), at(1)), wait(599), "one after the other");
        let keys = step(&keys, &Step::Activate, &terms("two", None), 3, 600);
        let keys = step(&keys, &Step::Publish, &terms("two", None), 3, 601);
        let keys = step(&keys, &Step::Activate, &terms("two", None), 4, 1_201);
        assert_eq!(keys.retired.keys().collect::<Vec<_>>().len(), 2);
        assert_eq!(keys.active, key(3).active);
    }

    #[test]
    fn a_clock_that_goes_back_hurries_nothing() {
        let keys = done(&key(1), &Step::Publish, &terms("x", None), &key(2), at(100));
        assert!(matches!(next(&keys, &terms("x", Some(86_400)), at(0)), Step::Wait(_)));
    }

    proptest! {
        /// Whatever is asked and whenever it is looked: a key signs only when it was published for the overlap, and is
        /// there as long as a token signed by it may be good.
        #[test]
        fn no_good_token_is_ever_of_a_key_that_is_not_published(
            looks in prop::collection::vec((1i64..4_000, prop::option::of(0u8..4)), 1..60),
            interval in prop::option::of(86_400u64..90_000),
        ) {
            let (mut keys, mut now, mut request) = (key(1), 0, String::new());
            let mut published: BTreeMap<String, i64> = [(keys.active.clone(), i64::MIN)].into();
            let mut signed: BTreeMap<String, i64> = BTreeMap::new();
            for (number, (pause, asked)) in looks.into_iter().enumerate() {
                now += pause;
                if let Some(asked) = asked { request = asked.to_string(); }
                let terms = terms(&request, interval);
                let step = next(&keys, &terms, at(now));
                // The pods go on with the old files for up to the overlap.
                let old = keys.active.clone();
                let fresh = SigningKeys::generate(&SeededRng::new(100 + number as u64), at(now)).unwrap();
                keys = done(&keys, &step, &terms, &fresh, at(now));
                if step == Step::Activate { signed.insert(old, now + OVERLAP.cast_signed()); }
                signed.insert(keys.active.clone(), now);
                let there: Vec<String> =
                    keys.entries().into_keys().filter_map(|key| key.strip_suffix(".pem").map(str::to_owned)).collect();
                for kid in &there { published.entry(kid.clone()).or_insert(now); }
                prop_assert!(published[&keys.active] == i64::MIN || published[&keys.active] + OVERLAP.cast_signed() <= now);
                for (kid, last) in &signed {
                    let good = last + (LIFE + LEEWAY.as_secs()).cast_signed() > now;
                    prop_assert!(!good || there.contains(kid), "{kid} is gone too early");
                }
            }
        }
    }
}
