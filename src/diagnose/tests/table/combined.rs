//! Several things broken at once: what comes first, and what can explain the failure at all.

use super::{Row, first, image, inbound, peering_is, rejected, row, state, timeout};
use crate::diagnose::testing::{edit, one_vpc, range_peer, two_vpcs};
use crate::diagnose::{Direction, Subject};
use crate::domain::FailureClass as Class;

pub(super) const COMBINED: &[Row] = &[
    timeout(
        "stopped and without a rule: the machine first",
        one_vpc,
        |facts| {
            state(facts, "stopped");
            edit(&mut facts.target_end.groups)[0].rules.clear();
        },
        Subject::State,
        "stopped",
    ),
    timeout(
        "no rule at either end: the bastion's first, as the packet goes",
        one_vpc,
        |facts| {
            edit(&mut facts.target_end.groups)[0].rules.clear();
            edit(&mut facts.bastion_end.groups)[0].rules.clear();
        },
        Subject::BastionGroup,
        "outbound",
    ),
    timeout(
        "a missing agent cannot explain a timeout; the missing rule can",
        one_vpc,
        |facts| {
            image(facts, "debian-12-arm64-20251112-2294");
            edit(&mut facts.target_end.groups)[0].rules.clear();
        },
        Subject::TargetGroup,
        "Add an inbound rule",
    ),
    rejected(
        "a missing rule cannot explain a rejected login; the missing agent can",
        |facts| {
            image(facts, "debian-12-arm64-20251112-2294");
            edit(&mut facts.target_end.groups)[0].rules.clear();
        },
        "admin",
        Some(Subject::Agent),
        "Debian",
    ),
    row(
        "refused, although no rule lets it in: the rule is not blamed",
        one_vpc,
        |facts| edit(&mut facts.target_end.groups)[0].rules.clear(),
        Some(Class::ConnectionRefused),
        Some(Subject::Answer),
        "it is reached, and nothing listens there",
    ),
    row(
        "a dropped packet tells nobody: a missing rule does not explain that the network knows no way",
        one_vpc,
        |facts| edit(&mut facts.target_end.groups)[0].rules.clear(),
        Some(Class::Unreachable),
        Some(Subject::Answer),
        "10.0.1.10",
    ),
    timeout(
        "an unaccepted peering, no rule and a closed ACL: how they are joined comes first",
        two_vpcs,
        |facts| {
            peering_is(facts, "pending-acceptance");
            edit(&mut facts.target_end.groups)[0].rules.clear();
            first(&mut facts.target_end.acl, Direction::In, "0.0.0.0/0", 22, 22);
        },
        Subject::Join,
        "Accept pcx-1",
    ),
    timeout(
        "both directions of one ACL are told in one line",
        one_vpc,
        |facts| {
            first(&mut facts.target_end.acl, Direction::In, "0.0.0.0/0", 22, 22);
            first(&mut facts.target_end.acl, Direction::Out, "0.0.0.0/0", 1024, 65_535);
        },
        Subject::TargetAcl,
        "in from 10.0.0.5. Entry 10 of acl-t refuses answers",
    ),
    rejected(
        "no metadata service and no agent: what comes first in the list",
        |facts| {
            edit(&mut facts.instance).metadata_enabled = false;
            image(facts, "debian-12-arm64-20251112-2294");
        },
        "admin",
        Some(Subject::Metadata),
        "metadata",
    ),
    timeout(
        "the group is open, the ACL is not, and both machines are in one subnet but for the answer's table",
        one_vpc,
        |facts| {
            inbound(facts, range_peer("0.0.0.0/0"));
            first(&mut facts.bastion_end.acl, Direction::In, "10.0.0.0/8", 40_000, 40_000);
        },
        Subject::BastionAcl,
        "TCP 40000 in from 10.0.1.10",
    ),
];
