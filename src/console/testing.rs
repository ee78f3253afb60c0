//! A desk made by hand.

use std::sync::Arc;
use std::time::Duration;

use super::{Desk, parse};
use crate::clock::{Clock as _, HandSetClock, SharedClock};
use crate::domain::{AuthMethod, Fingerprint, Identity, ServerAddress, Target, UserName};
use crate::policy::Policy;
use crate::target::testing::{FakeSource, place};
use crate::target::{Inventory, Settings, Source};

pub(super) use crate::target::testing::target;

pub(super) fn identity(user: &str, groups: &[&str]) -> Identity {
    Identity {
        user: UserName::parse(user).expect("a name"),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        auth: AuthMethod::PublicKey {
            fingerprint: Fingerprint::of_blob(b"key"),
            algorithm: "ssh-ed25519".to_owned(),
        },
        client_addr: "192.0.2.7".parse().expect("an address"),
    }
}

/// A desk at which alice of `eng` stands; the fleet is in prod, eu-west-1.
pub(super) async fn desk(policy: &str, fleet: Vec<Target>) -> Desk {
    desk_after(policy, fleet, Duration::ZERO).await
}

/// The same, so long after the instances were listed.
pub(super) async fn desk_after(policy: &str, fleet: Vec<Target>, age: Duration) -> Desk {
    let clock = HandSetClock::at("2026-11-22T10:00:00Z");
    let source: Arc<dyn Source> = Arc::new(FakeSource::new(place("prod", "eu-west-1"), [Ok(fleet)]));
    let inventory = Inventory::new(vec![source], Settings::default(), Arc::clone(&clock) as SharedClock);
    inventory.first_refresh().await;
    clock.advance(age);
    Desk {
        identity: Arc::new(identity("alice", &["eng"])),
        policy: Arc::new(Policy::from_text("policy.cedar", policy).expect("a policy")),
        inventory,
        now: clock.now(),
        address: ServerAddress::parse("bastion.example.com:2222").expect("an address"),
        host_ca: "ssh-ed25519 AAAACA".to_owned(),
        archive: None,
        clinic: None,
    }
}

/// The exit status, standard output and standard error of a command.
pub(super) async fn ask(policy: &str, fleet: Vec<Target>, line: &str) -> (u8, String, String) {
    let desk = desk(policy, fleet).await;
    let answer = match parse(line) {
        Ok(command) => desk.answer(command).await,
        Err(answer) => answer,
    };
    let code = answer.verdict.code();
    let complaint = answer.complaint.clone();
    (code, answer.output.collect(), complaint)
}
