//! The replacement of certificates and CAs by the clock, and the promise that it keeps at every moment.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use portico_crds::common::labels::Identity;
use proptest::prelude::*;

use super::authority::Authority;
use super::leaf::{Found, Leaf};
use super::{Certificate, DEFAULT_OVERLAP, Facts, OVERLAP_ANNOTATION, SINCE_ANNOTATION, entry, overlap};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// One instance in a namespace, as the API server keeps it.
struct World {
    now: Timestamp,
    authority: Secret,
    leaf: Option<Secret>,
    rotate: String,
    rotate_leaf: String,
}

impl World {
    fn new() -> Self {
        let now = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let authority = Authority::new("shop", now).unwrap().secret();
        let mut world = Self { now, authority, leaf: None, rotate: String::new(), rotate_leaf: String::new() };
        world.reconcile();
        world
    }

    fn facts<'a>(&self, request: &'a str) -> Facts<'a> {
        Facts { now: self.now, request, overlap: overlap(&self.authority) }
    }

    /// What any instance of the namespace does.
    fn advance(&mut self) {
        let authority = Authority::read(&self.authority).unwrap();
        if let Some(next) = authority.advance("shop", self.facts(&self.rotate)).unwrap() {
            next.write(&mut self.authority);
        }
    }

    fn plan(&self) -> Leaf {
        let authority = Authority::read(&self.authority).unwrap();
        let found = Found::read(self.leaf.as_ref());
        Leaf::plan(&found, &authority, &names(), self.facts(&self.rotate_leaf)).unwrap()
    }

    fn reconcile(&mut self) {
        self.advance();
        let identity = Identity { program: "p", instance: "i", component: "c", kind: "K" };
        self.leaf = Some(self.plan().secret("s".into(), identity));
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now += time;
        self.reconcile();
    }

    fn served(&self) -> Certificate {
        Certificate::first(entry(self.leaf.as_ref().unwrap(), "tls.crt").unwrap()).unwrap()
    }

    fn trusted(&self) -> Vec<Certificate> {
        Certificate::all(entry(self.leaf.as_ref().unwrap(), "ca.crt").unwrap())
    }

    fn authority(&self) -> Certificate {
        Certificate::first(entry(&self.authority, "tls.crt").unwrap()).unwrap()
    }

    fn delete_authority(&mut self) {
        self.authority = Authority::new("shop", self.now).unwrap().secret();
    }
}

fn names() -> Vec<String> {
    ["a-postgresql", "a-postgresql.shop.svc", "localhost", "127.0.0.1"].map(str::to_owned).into()
}

#[test]
fn a_certificate_is_what_engines_and_clients_ask_for() {
    let world = World::new();
    let (leaf, authority) = (world.served(), world.authority());
    assert!(leaf.signed_by(&authority) && !authority.signed_by(&leaf));
    assert_eq!(leaf.names().iter().cloned().collect::<Vec<_>>(), {
        let mut names = names();
        names.sort();
        names
    });
    assert_eq!(leaf.not_after(), "2026-04-02T02:59:05Z".parse().unwrap());
    assert_eq!(authority.not_after(), "2036-01-02T02:59:05Z".parse().unwrap());
    assert_eq!(world.trusted(), std::slice::from_ref(&authority));
    assert_eq!((leaf.fingerprint().len(), leaf.is_valid(world.now)), (64, true));
    let (_, read) = x509_parser::parse_x509_certificate(leaf.der()).unwrap();
    assert!(!read.is_ca() && read.public_key().algorithm.algorithm.to_id_string() == "1.2.840.10045.2.1");
    let usage = read.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    let (_, signer) = x509_parser::parse_x509_certificate(authority.der()).unwrap();
    assert!(signer.is_ca());
    read.verify_signature(Some(signer.public_key())).unwrap();
}

#[test]
fn nothing_is_written_while_nothing_is_due() {
    let mut world = World::new();
    let (authority, leaf) = (world.authority.clone(), world.leaf.clone());
    world.pass(DAY * 59);
    assert_eq!((&world.authority, &world.leaf), (&authority, &leaf));
}

#[test]
fn a_certificate_is_renewed_at_two_thirds_of_its_life_or_on_request() {
    let mut world = World::new();
    let first = world.served();
    assert_eq!(world.plan().due(), first.renewal());
    world.pass(DAY * 60);
    let second = world.served();
    assert_ne!(second, first);
    for (request, new) in [("now", true), ("now", false), ("", false), ("again", true)] {
        let before = world.served();
        request.clone_into(&mut world.rotate_leaf);
        world.pass(HOUR);
        assert_eq!(world.served() != before, new, "{request:?}");
    }
    assert_eq!(world.trusted(), [world.authority()]);
}

#[test]
fn other_names_and_damage_make_a_new_one() {
    let mut world = World::new();
    let before = world.served();
    let secret = world.leaf.as_mut().unwrap();
    let authority = Authority::read(&world.authority).unwrap();
    let plan = |found: &Found, names: &[String]| {
        let facts = Facts { now: world.now, request: "", overlap: DEFAULT_OVERLAP };
        Leaf::plan(found, &authority, names, facts).unwrap().certificate().clone()
    };
    assert_eq!(plan(&Found::read(Some(secret)), &names()), before);
    assert_ne!(plan(&Found::read(Some(secret)), &names()[1..]), before);
    for (key, text) in [("tls.crt", "x"), ("tls.key", ""), ("ca.crt", "-----BEGIN")] {
        let mut damaged = secret.clone();
        damaged.data.as_mut().unwrap().get_mut(key).unwrap().0 = text.as_bytes().to_vec();
        assert_ne!(plan(&Found::read(Some(&damaged)), &names()), before, "{key}");
    }
    assert_ne!(plan(&Found::read(None), &names()), before);
}

#[test]
fn a_damaged_authority_is_named_and_never_replaced() {
    let mut secret = World::new().authority;
    secret.data.as_mut().unwrap().remove("tls.key");
    let text = Authority::read(&secret).unwrap_err().to_string();
    assert!(text.contains("tls.key") && text.contains("portico-ca"), "{text}");
    let mut other = World::new().authority;
    let key = World::new().authority.data.unwrap()["tls.key"].clone();
    other.data.as_mut().unwrap().insert("tls.key".into(), key);
    assert!(Authority::read(&other).is_err(), "a key of another certificate");
}

#[test]
fn a_ca_is_trusted_before_it_signs_and_after_it_has_signed() {
    let mut world = World::new();
    let (old, leaf) = (world.authority(), world.served());
    world.rotate = "now".into();
    world.pass(HOUR);
    assert_eq!((world.authority(), world.served(), world.trusted().len()), (old.clone(), leaf.clone(), 2));
    world.pass(HOUR * 23);
    assert_eq!((world.served(), world.trusted().len()), (leaf.clone(), 2));
    world.pass(HOUR);
    let new = world.authority();
    assert!(new != old && world.served().signed_by(&new), "the next CA signs");
    assert_eq!(world.trusted().len(), 2);
    world.pass(HOUR * 23);
    assert!(world.trusted().contains(&old));
    world.pass(HOUR);
    assert_eq!((world.authority(), world.trusted()), (new.clone(), vec![new.clone()]));
    // The same request is not acted upon twice.
    world.pass(DAY * 3);
    assert_eq!((world.authority(), world.trusted()), (new.clone(), vec![new]));
}

#[test]
fn a_ca_is_replaced_at_two_thirds_of_its_life() {
    let mut world = World::new();
    let old = world.authority();
    world.pass(DAY * 2434);
    assert_eq!(world.trusted(), std::slice::from_ref(&old));
    for _ in 0..4 {
        world.pass(DAY);
    }
    assert!(world.authority() != old && world.trusted() == [world.authority()]);
    assert!(world.served().signed_by(&world.authority()));
}

#[test]
fn the_overlap_can_be_shortened_and_what_cannot_be_read_is_a_day() {
    let mut world = World::new();
    let mut with = |text: &str| {
        let annotations = world.authority.metadata.annotations.get_or_insert_default();
        annotations.insert(OVERLAP_ANNOTATION.into(), text.into());
        overlap(&world.authority)
    };
    assert_eq!(with("30s"), Duration::from_secs(30));
    assert_eq!(with("soon"), DEFAULT_OVERLAP);
    assert_eq!(with("8760h"), Duration::from_hours(7 * 24));
}

#[test]
fn a_lost_authority_is_followed_without_a_gap() {
    let mut world = World::new();
    let (old, leaf) = (world.authority(), world.served());
    world.delete_authority();
    world.pass(HOUR);
    assert_eq!(world.served(), leaf, "the old certificate is served until the new CA is known");
    assert!(world.trusted().contains(&old) && world.trusted().contains(&world.authority()));
    assert_eq!(world.plan().due(), world.now.round(jiff::Unit::Second).unwrap() + DAY - SignedDuration::from_secs(1));
    world.pass(DAY);
    assert!(world.served().signed_by(&world.authority()) && world.trusted().contains(&old));
    world.pass(DAY);
    assert_eq!(world.trusted(), [world.authority()]);
}

#[test]
fn a_phase_whose_beginning_was_taken_away_begins_anew() {
    let mut world = World::new();
    world.rotate = "now".into();
    world.pass(HOUR);
    world.authority.metadata.annotations.as_mut().unwrap().remove(SINCE_ANNOTATION);
    let old = world.authority();
    world.pass(HOUR);
    assert_eq!(world.authority(), old);
    world.pass(DAY);
    assert_ne!(world.authority(), old);
}

/// What happens beside the passing of time.
#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    RotateAuthority,
    RotateLeaf,
    LoseAuthority,
    /// Another instance moves the CA on while this one is paused or its operator away.
    OthersOnly,
}

fn event() -> impl Strategy<Value = (Event, i64)> {
    let event = prop_oneof![
        4 => Just(Event::Nothing),
        2 => Just(Event::RotateAuthority),
        2 => Just(Event::RotateLeaf),
        1 => Just(Event::LoseAuthority),
        2 => Just(Event::OthersOnly),
    ];
    (event, 1_i64..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Pods get a changed Secret late, engines and consumers each at a time of their own. Whatever an engine may still
    /// serve can be checked with whatever bundle a consumer may still have, and with every one it may have already.
    #[test]
    fn at_no_moment_a_consumer_meets_a_certificate_that_it_cannot_check(
        events in prop::collection::vec(event(), 1..40)
    ) {
        let late = DAY - HOUR;
        let mut world = World::new();
        let mut seen = vec![(world.now, world.served(), world.trusted())];
        for (number, (event, hours)) in events.into_iter().enumerate() {
            world.now += HOUR * i32::try_from(hours).unwrap();
            match event {
                Event::RotateAuthority => world.rotate = number.to_string(),
                Event::RotateLeaf => world.rotate_leaf = number.to_string(),
                Event::LoseAuthority => world.delete_authority(),
                Event::OthersOnly => {
                    world.advance();
                    continue;
                }
                Event::Nothing => {}
            }
            world.reconcile();
            seen.push((world.now, world.served(), world.trusted()));
            // What was there when the time of grace began counts until then.
            let first = seen.iter().rposition(|(at, ..)| *at + late <= world.now).unwrap_or(0);
            for (_, served, _) in &seen[first..] {
                for (_, _, trusted) in &seen[first..] {
                    let checked = trusted.iter().any(|authority| served.signed_by(authority));
                    prop_assert!(checked, "{served:?} by {trusted:?} after {event:?}");
                }
            }
        }
    }
}
