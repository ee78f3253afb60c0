//! What could not be asked: there is no cause rather than a guess.

use std::sync::Arc;

use super::{Row, inbound, row, timeout};
use crate::diagnose::testing::{denied, edit, one_vpc, route, transit, two_vpcs};
use crate::diagnose::{Facts, Gap, GapReason, Grouped, Known, Peer, RouteVia, Subject};
use crate::domain::FailureClass as Class;

pub(super) const GAPS: &[Row] = &[
    row(
        "the groups may not be seen: no cause, and the permission is named",
        one_vpc,
        |facts| facts.target_end.groups = denied("ec2:DescribeSecurityGroupRules"),
        Some(Class::ConnectTimeout),
        None,
        "Grant ec2:DescribeSecurityGroupRules to drawbridge's role in account 123456789012.",
    ),
    timeout(
        "one thing may not be seen, and another is broken",
        one_vpc,
        |facts| {
            facts.bastion_end.acl = denied("ec2:DescribeNetworkAcls");
            edit(&mut facts.target_end.groups)[0].rules.clear();
        },
        Subject::TargetGroup,
        "Add an inbound rule",
    ),
    timeout(
        "nobody knows where the bastion is, and nobody at all is let in",
        one_vpc,
        |facts| {
            facts.bastion = Known::Not(Gap::new("", GapReason::NotAsked));
            edit(&mut facts.target_end.groups)[0].rules.clear();
        },
        Subject::TargetGroup,
        "lets TCP 22 in from anywhere",
    ),
    row(
        "nobody knows where the bastion is, and somebody is let in",
        one_vpc,
        |facts| facts.bastion = Known::Not(Gap::new("", GapReason::NotAsked)),
        Some(Class::ConnectTimeout),
        None,
        "Name the instance that drawbridge runs on as `bastion_instance`",
    ),
    row(
        "the prefix list of a rule may not be seen",
        one_vpc,
        |facts| {
            inbound(facts, Peer::PrefixList("pl-1".to_owned()));
            facts.prefix_lists.insert("pl-1".to_owned(), denied("ec2:GetManagedPrefixListEntries"));
        },
        Some(Class::ConnectTimeout),
        None,
        "Grant ec2:GetManagedPrefixListEntries",
    ),
    row(
        "a middlebox on the way",
        one_vpc,
        |facts| {
            let via = RouteVia::Other("vpce-1".to_owned());
            edit(&mut facts.bastion_end.routes).routes.push(route("10.0.1.0/24", via));
        },
        Some(Class::ConnectTimeout),
        None,
        "what is there is not seen",
    ),
    row(
        "the only route there is by a prefix list that may not be seen",
        two_vpcs,
        |facts| {
            edit(&mut facts.bastion_end.routes).routes[1] =
                route("pl-1", RouteVia::Peering("pcx-1".to_owned()));
            facts.prefix_lists.insert("pl-1".to_owned(), denied("ec2:GetManagedPrefixListEntries"));
        },
        Some(Class::ConnectTimeout),
        None,
        "AWS does not permit drawbridge to call ec2:GetManagedPrefixListEntries in account 123456789012",
    ),
    row(
        "a rule by a group behind a transit gateway",
        transit,
        |facts| {
            inbound(facts, Peer::Group(Grouped { group: "sg-b".to_owned(), peering: None }));
        },
        Some(Class::ConnectTimeout),
        None,
        "depends on how the two are joined",
    ),
    row(
        "refused by proof, whatever may not be seen",
        one_vpc,
        |facts| {
            *facts = Facts::unknown(
                Arc::clone(&facts.target),
                &Gap::new("ec2:DescribeInstances", GapReason::Denied),
            )
        },
        Some(Class::ConnectionRefused),
        Some(Subject::Answer),
        "nothing listens there",
    ),
    row(
        "nothing is known",
        one_vpc,
        |facts| *facts = Facts::unknown(Arc::clone(&facts.target), &Gap::new("", GapReason::Timeout)),
        None,
        None,
        "did not answer in time",
    ),
    row(
        "the status may not be seen, and the machine is silent",
        one_vpc,
        |facts| facts.status = Known::Not(Gap::new("ec2:DescribeInstanceStatus", GapReason::Throttled)),
        Some(Class::NoBanner),
        None,
        "AWS is limiting how often ec2:DescribeInstanceStatus may be called",
    ),
];
