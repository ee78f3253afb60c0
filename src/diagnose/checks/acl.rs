//! Network ACLs: stateless, so the request and its answers are asked about apart, at the edge of each subnet; the matching
//! entry with the lowest number decides.

use std::net::IpAddr;

use super::case::{Case, Doubt, End, alone};
use super::group::is_tcp;
use crate::diagnose::facts::{Acl, AclEntry, Direction, Known, PortRange, Protocol};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;

/// The ports from which Linux dials, and to which answers come, unless it is told otherwise
/// (`net.ipv4.ip_local_port_range`). AWS advises to let 1024–65535 through.
const ANSWERS: PortRange = PortRange { from: 32_768, to: 60_999 };

pub(super) fn bastion(case: &Case<'_>) -> Option<Check> {
    Some(check(case, Subject::BastionAcl, End::Bastion))
}

pub(super) fn target(case: &Case<'_>) -> Option<Check> {
    Some(check(case, Subject::TargetAcl, End::Target))
}

fn check(case: &Case<'_>, subject: Subject, end: End) -> Check {
    let same_subnet = case.same_subnet();
    if same_subnet == Ok(true) {
        return Check::sound(subject, "Both are in one subnet, inside which no network ACL is asked.");
    }
    let acl = match &case.end(end).acl {
        Known::As(acl) if acl.entries.is_empty() => {
            let doubt = Doubt::Said(format!(
                "AWS names no entry of {}, which always has one.",
                words::foreign(&acl.id)
            ));
            return case.doubt(subject, &doubt);
        }
        Known::As(acl) => acl,
        Known::Not(gap) => return case.doubt(subject, &Doubt::Gap(gap, end)),
    };
    let passages = packets(end, case.port).map(|packet| passage(case, end, acl, packet));
    verdict(case, subject, acl, &passages).unwrap_or_else(|| match same_subnet {
        Ok(_) => refused(case, subject, end, acl, &passages),
        Err(doubt) => case.doubt(subject, &doubt),
    })
}

/// Sound or not known; nothing where something is refused.
fn verdict(case: &Case<'_>, subject: Subject, acl: &Acl, passages: &[Passage<'_>]) -> Option<Check> {
    if passages.iter().any(|passage| matches!(passage.result, Outcome::Refused(..))) {
        return None;
    }
    let doubt = passages.iter().find_map(|passage| match &passage.result {
        Outcome::Doubtful(doubt) => Some(doubt),
        Outcome::Passes | Outcome::Refused(..) => None,
    });
    Some(match doubt {
        Some(doubt) => case.doubt(subject, doubt),
        None => Check::sound(
            subject,
            format!("{} lets the connection and its answers through.", words::foreign(&acl.id)),
        ),
    })
}

/// What crosses the edge of a subnet: in which direction, and to which ports.
#[derive(Debug, Clone, Copy)]
struct Packet {
    direction: Direction,
    ports: PortRange,
    is_answer: bool,
}

/// The request and its answers, as they cross the edge of the subnet at this end.
fn packets(end: End, port: u16) -> [Packet; 2] {
    let (request, answer) = match end {
        End::Bastion => (Direction::Out, Direction::In),
        End::Target => (Direction::In, Direction::Out),
    };
    [
        Packet { direction: request, ports: PortRange { from: port, to: port }, is_answer: false },
        Packet { direction: answer, ports: ANSWERS, is_answer: true },
    ]
}

struct Passage<'a> {
    packet: Packet,
    result: Outcome<'a>,
}

enum Outcome<'a> {
    Passes,
    /// By this entry, or by none matching; the first ports that are refused.
    Refused(Option<&'a AclEntry>, PortRange),
    Doubtful(Doubt<'a>),
}

fn passage<'a>(case: &Case<'a>, end: End, acl: &'a Acl, packet: Packet) -> Passage<'a> {
    let mut entries: Vec<&AclEntry> =
        acl.entries.iter().filter(|entry| is_about(entry, case.to, packet)).collect();
    entries.sort_by_key(|entry| entry.number);
    let decided = is_in_order(&entries).and_then(|()| decide(case, end.other(), &entries, packet.ports));
    let result = match decided {
        Ok(None) => Outcome::Passes,
        Ok(Some((entry, ports))) => Outcome::Refused(entry, ports),
        Err(doubt) => Outcome::Doubtful(doubt),
    };
    Passage { packet, result }
}

/// Whether an entry is about such a packet at all: direction, protocol, family of addresses.
fn is_about(entry: &AclEntry, to: IpAddr, packet: Packet) -> bool {
    entry.direction == packet.direction
        && (entry.protocol == Protocol::All || is_tcp(entry.protocol))
        && entry.network.addr().is_ipv4() == to.is_ipv4()
        && overlap(ports_of(entry), packet.ports).is_some()
}

/// Numbers are unique; where two entries of one number differ, nobody can say which comes first.
fn is_in_order(sorted: &[&AclEntry]) -> Result<(), Doubt<'static>> {
    let twins = sorted.iter().zip(sorted.iter().skip(1));
    match twins.into_iter().find(|(one, next)| one.number == next.number && one.allows != next.allows) {
        Some((one, _)) => Err(Doubt::Said(format!("AWS names two entries with the number {}.", one.number))),
        None => Ok(()),
    }
}

/// The first ports that are refused, with the entry that does it; nothing where all pass.
fn decide<'a>(
    case: &Case<'a>,
    other: End,
    entries: &[&'a AclEntry],
    ports: PortRange,
) -> Result<Option<(Option<&'a AclEntry>, PortRange)>, Doubt<'a>> {
    let (mut left, mut doubt) = (vec![ports], None);
    for entry in entries {
        let covered = ports_of(entry);
        let Some(concerned) = left.iter().find_map(|range| overlap(*range, covered)) else { continue };
        match is_meant(case, other, entry) {
            Ok(false) => continue,
            Ok(true) if !entry.allows => return Ok(Some((Some(entry), concerned))),
            Ok(true) => {}
            // What becomes of these ports nobody knows; about the others the next entries decide.
            Err(why) => doubt = doubt.or(Some(why)),
        }
        left = left.into_iter().flat_map(|range| without(range, covered)).collect();
    }
    match (left.first(), doubt) {
        (Some(range), _) => Ok(Some((None, *range))),
        (None, Some(doubt)) => Err(doubt),
        (None, None) => Ok(None),
    }
}

/// Whether the machine at the other end is in an entry's range; that may hang on an address that is not known.
fn is_meant<'a>(case: &Case<'a>, other: End, entry: &AclEntry) -> Result<bool, Doubt<'a>> {
    Ok(case.is_everything(&entry.network) || entry.network.contains(&case.address(other)?))
}

fn ports_of(entry: &AclEntry) -> PortRange {
    if entry.protocol == Protocol::All { PortRange::ALL } else { entry.ports }
}

fn overlap(one: PortRange, other: PortRange) -> Option<PortRange> {
    let both = PortRange { from: one.from.max(other.from), to: one.to.min(other.to) };
    (both.from <= both.to).then_some(both)
}

/// What is left of a range.
fn without(range: PortRange, taken: PortRange) -> impl Iterator<Item = PortRange> {
    let below = taken.from.checked_sub(1).map(|to| PortRange { from: range.from, to: to.min(range.to) });
    let above = taken.to.checked_add(1).map(|from| PortRange { from: from.max(range.from), to: range.to });
    let whole = overlap(range, taken).is_none().then_some(range);
    let parts = if whole.is_some() { [None, None] } else { [below, above] };
    whole.into_iter().chain(parts.into_iter().flatten().filter(|part| part.from <= part.to))
}

fn refused(case: &Case<'_>, subject: Subject, end: End, acl: &Acl, passages: &[Passage<'_>]) -> Check {
    let (mut findings, mut changes) = (Vec::new(), Vec::new());
    for passage in passages {
        if let Outcome::Refused(entry, ports) = &passage.result {
            findings.push(finding(case, end, acl, passage.packet, *entry, *ports));
            changes.push(change(case, end, acl, passage.packet, *entry));
        }
    }
    Check::broken(subject, findings.join(" "), changes.join(" "))
}

fn finding(
    case: &Case<'_>,
    end: End,
    acl: &Acl,
    packet: Packet,
    entry: Option<&AclEntry>,
    ports: PortRange,
) -> String {
    let id = words::foreign(&acl.id);
    let by = match entry {
        Some(entry) if entry.number >= LAST => format!("No entry of {id} allows"),
        Some(entry) => format!("Entry {} of {id} refuses", entry.number),
        None => format!("No entry of {id} allows"),
    };
    let what = if packet.is_answer { "answers, " } else { "" };
    format!("{by} {what}TCP {} {}.", ports.text(), beyond(case, end, packet, |address| address.to_string()))
}

fn change(case: &Case<'_>, end: End, acl: &Acl, packet: Packet, entry: Option<&AclEntry>) -> String {
    let id = words::foreign(&acl.id);
    let ports = if packet.is_answer { "1024-65535".to_owned() } else { packet.ports.text() };
    let which = match packet.direction {
        Direction::In => "inbound",
        Direction::Out => "outbound",
    };
    let below = match entry {
        Some(entry) if entry.number < LAST => format!(" with a number below {}", entry.number),
        Some(_) | None => String::new(),
    };
    format!("Add an {which} entry to {id}{below}: allow TCP {ports} {}.", beyond(case, end, packet, alone))
}

/// `in from 10.0.0.5`, `out to 10.0.0.5`.
fn beyond(case: &Case<'_>, end: End, packet: Packet, words: impl Fn(IpAddr) -> String) -> String {
    let address = case.address(end.other()).map_or_else(|_| "the bastion".to_owned(), words);
    match packet.direction {
        Direction::In => format!("in from {address}"),
        Direction::Out => format!("out to {address}"),
    }
}

/// The number of the last entry, which nobody wrote and which refuses the rest; IPv6 has one more.
const LAST: u32 = 32_767;

impl PortRange {
    /// `22`, or `1024-65535`.
    pub(super) fn text(self) -> String {
        if self.from == self.to { self.from.to_string() } else { format!("{}-{}", self.from, self.to) }
    }
}
