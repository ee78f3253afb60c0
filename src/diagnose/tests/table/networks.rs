//! Security groups and network ACLs.

use super::{Row, first, inbound, target, timeout};
use crate::diagnose::testing::{edit, entry, group_peer, network, one_vpc, one_vpc_ipv6, range_peer};
use crate::diagnose::{Direction, Known, Peer, PortRange, Protocol, Rule, Subject};

pub(super) const NETWORKS: &[Row] = &[
    timeout(
        "the target's group has no rule at all",
        one_vpc,
        |facts| edit(&mut facts.target_end.groups)[0].rules.clear(),
        Subject::TargetGroup,
        "Add an inbound rule to sg-t: TCP 22 from sg-b (or 10.0.0.5/32).",
    ),
    timeout(
        "the target's group permits another range",
        one_vpc,
        |facts| inbound(facts, range_peer("203.0.113.0/24")),
        Subject::TargetGroup,
        "The closest, sgr-t1, is for TCP 22 in from 203.0.113.0/24.",
    ),
    timeout(
        "the target's group permits another port",
        one_vpc,
        |facts| edit(&mut facts.target_end.groups)[0].rules[0].ports = PortRange { from: 80, to: 443 },
        Subject::TargetGroup,
        "The closest, sgr-t1, is for TCP 80-443 in from sg-b.",
    ),
    timeout(
        "the target's group permits UDP",
        one_vpc,
        |facts| edit(&mut facts.target_end.groups)[0].rules[0].protocol = Protocol::Other(17),
        Subject::TargetGroup,
        "protocol 17",
    ),
    timeout(
        "the target's group permits a group that the bastion is not in",
        one_vpc,
        |facts| inbound(facts, group_peer("sg-other")),
        Subject::TargetGroup,
        "sg-other",
    ),
    timeout(
        "the target's group permits a prefix list without the bastion",
        one_vpc,
        |facts| {
            inbound(facts, Peer::PrefixList("pl-1".to_owned()));
            facts.prefix_lists.insert("pl-1".to_owned(), Known::As(vec![network("192.0.2.0/24")]));
        },
        Subject::TargetGroup,
        "in from pl-1",
    ),
    timeout(
        "the rule that would fit is an outbound one",
        one_vpc,
        |facts| edit(&mut facts.target_end.groups)[0].rules[0].direction = Direction::Out,
        Subject::TargetGroup,
        "No inbound rule of sg-t (group-t) lets TCP 22 in from the bastion (10.0.0.5).",
    ),
    timeout(
        "sshd listens on 2222 and the rule is for 22",
        one_vpc,
        |facts| target(facts, |target| target.port = 2222),
        Subject::TargetGroup,
        "TCP 2222 from sg-b",
    ),
    timeout(
        "IPv6, and the rule is for every IPv4 address",
        one_vpc_ipv6,
        |facts| inbound(facts, range_peer("0.0.0.0/0")),
        Subject::TargetGroup,
        "(or fd00:1::5/128)",
    ),
    timeout(
        "the bastion's group lets nothing out",
        one_vpc,
        |facts| edit(&mut facts.bastion_end.groups)[0].rules.clear(),
        Subject::BastionGroup,
        "Add an outbound rule to sg-b: TCP 22 to sg-t (or 10.0.1.10/32).",
    ),
    timeout(
        "the bastion's group lets HTTPS out",
        one_vpc,
        |facts| {
            edit(&mut facts.bastion_end.groups)[0].rules =
                vec![Rule::outbound("sgr-b1", 443, range_peer("0.0.0.0/0"))];
        },
        Subject::BastionGroup,
        "TCP 443 out to 0.0.0.0/0",
    ),
    timeout(
        "the target's ACL refuses the connection",
        one_vpc,
        |facts| first(&mut facts.target_end.acl, Direction::In, "10.0.0.0/16", 22, 22),
        Subject::TargetAcl,
        "Entry 10 of acl-t refuses TCP 22 in from 10.0.0.5. Add an inbound entry to acl-t with a number below 10: allow TCP 22 in from 10.0.0.5/32.",
    ),
    timeout(
        "the target's ACL refuses the answers",
        one_vpc,
        |facts| first(&mut facts.target_end.acl, Direction::Out, "0.0.0.0/0", 1024, 65_535),
        Subject::TargetAcl,
        "Entry 10 of acl-t refuses answers, TCP 32768-60999 out to 10.0.0.5.",
    ),
    timeout(
        "the target's ACL refuses some of the answers",
        one_vpc,
        |facts| first(&mut facts.target_end.acl, Direction::Out, "0.0.0.0/0", 50_000, 50_010),
        Subject::TargetAcl,
        "TCP 50000-50010 out",
    ),
    timeout(
        "the bastion's ACL refuses the connection",
        one_vpc,
        |facts| first(&mut facts.bastion_end.acl, Direction::Out, "10.0.1.0/24", 0, 1023),
        Subject::BastionAcl,
        "Entry 10 of acl-b refuses TCP 22 out to 10.0.1.10.",
    ),
    timeout(
        "the bastion's ACL refuses the answers",
        one_vpc,
        |facts| first(&mut facts.bastion_end.acl, Direction::In, "10.0.1.10/32", 0, 65_535),
        Subject::BastionAcl,
        "allow TCP 1024-65535 in from 10.0.1.10/32",
    ),
    timeout(
        "the target's ACL allows only HTTPS",
        one_vpc,
        |facts| {
            let acl = edit(&mut facts.target_end.acl);
            acl.entries.retain(|entry| !entry.allows || entry.direction == Direction::Out);
            acl.entries.push(entry(100, Direction::In, "0.0.0.0/0", 443, 443, true));
        },
        Subject::TargetAcl,
        "No entry of acl-t allows TCP 22 in from 10.0.0.5. Add an inbound entry to acl-t: allow TCP 22",
    ),
    timeout(
        "an ACL as the documentation has it, without the answers",
        one_vpc,
        |facts| {
            let acl = edit(&mut facts.target_end.acl);
            acl.entries.retain(|entry| !entry.allows);
            acl.entries.push(entry(100, Direction::In, "10.0.0.0/8", 22, 22, true));
        },
        Subject::TargetAcl,
        "No entry of acl-t allows answers",
    ),
    timeout(
        "an ACL refuses IPv6",
        one_vpc_ipv6,
        |facts| first(&mut facts.target_end.acl, Direction::In, "::/0", 22, 22),
        Subject::TargetAcl,
        "in from fd00:1::5/128",
    ),
];
