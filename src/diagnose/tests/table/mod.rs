//! Broken networks and machines, each with the first cause that is to be named, and words that must be in what is said.
//!
//! A world is sound but for what its row breaks; the rows are grouped by what that is.
//!
//! What is not here: what AWS does not show but may matter (`doubts`), facts that cannot all be true (`contradictions`), and
//! networks made by chance (`random`).

mod combined;
mod gaps;
mod logins;
mod machines;
mod networks;
mod seen;
mod ways;

use std::sync::Arc;

use combined::COMBINED;
use gaps::GAPS;
use logins::LOGINS;
use machines::MACHINES;
use networks::NETWORKS;
use seen::SEEN;
use ways::WAYS;

use crate::diagnose::testing::{denied, edit, entry, one_vpc, one_vpc_ipv6, peering, transit, two_vpcs};
use crate::diagnose::{Acl, Direction, Facts, Known, Peer, Rule, Subject, Symptom, Verdict, diagnose};
use crate::domain::{FailureClass as Class, Login};

/// One broken world.
struct Row {
    name: &'static str,
    sound: fn() -> Facts,
    breaks: fn(&mut Facts),
    seen: Option<Class>,
    login: &'static str,
    cause: Option<Subject>,
    /// Stands in the finding or in what to change.
    says: &'static str,
}

const fn row(
    name: &'static str,
    sound: fn() -> Facts,
    breaks: fn(&mut Facts),
    seen: Option<Class>,
    cause: Option<Subject>,
    says: &'static str,
) -> Row {
    Row { name, sound, breaks, seen, login: "ec2-user", cause, says }
}

const fn timeout(
    name: &'static str,
    sound: fn() -> Facts,
    breaks: fn(&mut Facts),
    cause: Subject,
    says: &'static str,
) -> Row {
    row(name, sound, breaks, Some(Class::ConnectTimeout), Some(cause), says)
}

const fn rejected(
    name: &'static str,
    breaks: fn(&mut Facts),
    login: &'static str,
    cause: Option<Subject>,
    says: &'static str,
) -> Row {
    Row { login, ..row(name, one_vpc, breaks, Some(Class::LoginRejected), cause, says) }
}

const fn as_seen(name: &'static str, seen: Class, cause: Subject, says: &'static str) -> Row {
    row(name, one_vpc, |_| {}, Some(seen), Some(cause), says)
}

#[test]
fn each_broken_world_has_its_first_cause() {
    let rows: Vec<&Row> =
        [MACHINES, NETWORKS, WAYS, LOGINS, SEEN, COMBINED, GAPS].into_iter().flatten().collect();
    assert!(rows.len() >= 70, "{}", rows.len());
    for row in rows {
        let mut facts = (row.sound)();
        (row.breaks)(&mut facts);
        let login = Login::parse(row.login).ok();
        let symptom = row.seen.map(|class| Symptom { class, login });
        let diagnosis = diagnose(&facts, symptom.as_ref());
        let cause = diagnosis.cause();
        assert_eq!(
            cause.map(|check| check.subject),
            row.cause,
            "{}: {cause:?} of {:#?}",
            row.name,
            diagnosis.checks
        );
        let lines = diagnosis.checks.iter().filter(|check| cause.is_none_or(|cause| cause == *check));
        let said: String = lines
            .map(|check| format!("{} {}\n", check.finding, check.change.as_deref().unwrap_or_default()))
            .collect();
        assert!(said.contains(row.says), "{}: not {:?} in {said}", row.name, row.says);
    }
}

#[test]
fn sound_worlds_are_sound() {
    for (name, facts, arrives) in [
        ("one VPC", one_vpc(), Verdict::Sound),
        ("IPv6", one_vpc_ipv6(), Verdict::Sound),
        ("peering", two_vpcs(), Verdict::Sound),
        ("transit gateway, whose own routes are not seen", transit(), Verdict::Unknown),
    ] {
        let diagnosis = diagnose(&facts, None);
        assert_eq!(diagnosis.cause(), None, "{name}: {:#?}", diagnosis.checks);
        assert_eq!(diagnosis.arrives(), arrives, "{name}: {:#?}", diagnosis.checks);
        assert!(diagnosis.checks.iter().all(|check| check.verdict != Verdict::Broken));
    }
}

/// Two VPCs have no subnet in common, whichever the bastion's is.
#[test]
fn what_does_not_matter_need_not_be_known() {
    let mut facts = two_vpcs();
    facts.bastion_end.subnet = denied("ec2:DescribeInstances");
    facts.bastion_end.vpc_ranges = denied("ec2:DescribeVpcs");
    facts.target_end.vpc_ranges = denied("ec2:DescribeVpcs");
    facts.target_end.vpc = denied("ec2:DescribeInstances");
    assert_eq!(diagnose(&facts, None).arrives(), Verdict::Sound, "{:#?}", diagnose(&facts, None).checks);
}

fn target(facts: &mut Facts, change: impl FnOnce(&mut crate::domain::Target)) {
    change(Arc::make_mut(&mut facts.target));
}

fn state(facts: &mut Facts, state: &str) {
    edit(&mut facts.instance).state = state.to_owned();
}

fn image(facts: &mut Facts, name: &str) {
    edit(&mut facts.image).name = name.to_owned();
}

/// The only inbound rule of the target's group.
fn inbound(facts: &mut Facts, peer: Peer) {
    edit(&mut facts.target_end.groups)[0].rules = vec![Rule::inbound("sgr-t1", 22, peer)];
}

/// Puts an entry in front of the others.
fn first(acl: &mut Known<Acl>, direction: Direction, range: &str, from: u16, to: u16) {
    edit(acl).entries.push(entry(10, direction, range, from, to, false));
}

fn peering_is(facts: &mut Facts, state: &str) {
    facts.peerings.insert("pcx-1".to_owned(), Known::As(peering(state)));
}
