//! Broken networks and machines, each with the first cause that is to be named, and words that must be in what is said.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::diagnose::testing::{
    address, denied, edit, entry, group_peer, network, one_vpc, one_vpc_ipv6, peering, range_peer, route,
    transit, two_vpcs,
};
use crate::diagnose::{
    Acl, Direction, Facts, Gap, GapReason, Grouped, Known, Peer, PortRange, Protocol, RouteVia, Rule,
    ScheduledEvent, Subject, Symptom, Verdict, diagnose,
};
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

/// The only inbound rule of the target's group.
fn inbound(facts: &mut Facts, peer: Peer) {
    edit(&mut facts.target_end.groups)[0].rules = vec![Rule::inbound("sgr-t1", 22, peer)];
}

/// Puts an entry in front of the others.
fn first(acl: &mut Known<Acl>, direction: Direction, range: &str, from: u16, to: u16) {
    edit(acl).entries.push(entry(10, direction, range, from, to, false));
}

fn event(facts: &mut Facts, code: &str, description: &str, from: &str) {
    edit(&mut facts.status).events.push(ScheduledEvent {
        code: code.to_owned(),
        description: description.to_owned(),
        not_before: from.parse().ok(),
    });
}

fn image(facts: &mut Facts, name: &str) {
    edit(&mut facts.image).name = name.to_owned();
}

const MACHINES: &[Row] = &[
    row(
        "no such instance",
        one_vpc,
        |facts| facts.instance = Known::Not(Gap::new("ec2:DescribeInstances", GapReason::NotVisible)),
        Some(Class::InstanceGone),
        Some(Subject::Instance),
        "AWS does not know i-0000000000000000a",
    ),
    timeout("stopped", one_vpc, |facts| state(facts, "stopped"), Subject::State, "Start i-0000000000000000a"),
    row(
        "stopped, with AWS's reason",
        one_vpc,
        |facts| {
            state(facts, "stopped");
            edit(&mut facts.instance).state_reason =
                "User initiated (2026-11-20 08:00:00 GMT)\u{1b}[2J".to_owned();
        },
        Some(Class::InstanceNotRunning),
        Some(Subject::State),
        "The instance is stopped (AWS says: User initiated (2026-11-20 08:00:00 GMT)[2J).",
    ),
    row("stopping", one_vpc, |facts| state(facts, "stopping"), None, Some(Subject::State), "being stopped"),
    row("terminated", one_vpc, |facts| state(facts, "terminated"), None, Some(Subject::State), "replaces it"),
    row(
        "shutting down",
        one_vpc,
        |facts| state(facts, "shutting-down"),
        None,
        Some(Subject::State),
        "being terminated",
    ),
    row(
        "starting: its sshd does not listen yet",
        one_vpc,
        |facts| state(facts, "pending"),
        Some(Class::ConnectionRefused),
        Some(Subject::State),
        "still starting",
    ),
    timeout(
        "the instance check fails",
        one_vpc,
        |facts| edit(&mut facts.status).instance = "impaired".to_owned(),
        Subject::Status,
        "AWS's instance status check fails",
    ),
    row(
        "the system check fails",
        one_vpc,
        |facts| edit(&mut facts.status).system = "impaired".to_owned(),
        Some(Class::NoBanner),
        Some(Subject::Status),
        "moves it to other hardware",
    ),
    row(
        "a volume is impaired",
        one_vpc,
        |facts| edit(&mut facts.status).volumes = "impaired".to_owned(),
        Some(Class::LoginTimeout),
        Some(Subject::Status),
        "volume status check fails",
    ),
    timeout(
        "a reboot that AWS scheduled has begun",
        one_vpc,
        |facts| event(facts, "system-reboot", "scheduled reboot", "2026-11-22T11:50:00Z"),
        Subject::Events,
        "system-reboot (\"scheduled reboot\") has begun, at 2026-11-22 11:50:00 UTC",
    ),
    timeout(
        "a retirement is weeks away and explains nothing",
        one_vpc,
        |facts| event(facts, "instance-retirement", "retirement", "2026-12-22T11:50:00Z"),
        Subject::Answer,
        "does not answer on port 22",
    ),
    timeout(
        "a stop is over and explains nothing",
        one_vpc,
        |facts| event(facts, "instance-stop", "[Completed] stop", "2026-11-20T11:50:00Z"),
        Subject::Answer,
        "firewalls on the instance",
    ),
    timeout(
        "the address is another machine's",
        one_vpc,
        |facts| edit(&mut facts.instance).addresses = vec![address("10.0.1.77")],
        Subject::Address,
        "10.0.1.10, which is dialled, is not an address of i-0000000000000000a; it has 10.0.1.77",
    ),
    row(
        "the host key changed because the address is another machine's",
        one_vpc,
        |facts| edit(&mut facts.instance).addresses = vec![address("10.0.1.77")],
        Some(Class::HostKeyChanged),
        Some(Subject::Address),
        "refresh of its inventory",
    ),
    timeout(
        "Windows, by the instance",
        one_vpc,
        |facts| edit(&mut facts.instance).platform = "windows".to_owned(),
        Subject::Platform,
        "runs Windows",
    ),
    row(
        "Windows, by what is billed",
        one_vpc,
        |facts| target(facts, |target| target.platform = "Windows with SQL Server Web".to_owned()),
        Some(Class::ConnectionRefused),
        Some(Subject::Platform),
        "Remote Desktop",
    ),
    row(
        "the bastion's clock is ten minutes behind",
        one_vpc,
        |facts| facts.clock_ahead = Known::As(SignedDuration::from_mins(10)),
        Some(Class::PushNoCredentials),
        Some(Subject::Clock),
        "600 seconds behind AWS's",
    ),
    row(
        "the bastion's clock is ten minutes ahead, and nobody tried",
        one_vpc,
        |facts| facts.clock_ahead = Known::As(SignedDuration::from_mins(-10)),
        None,
        Some(Subject::Clock),
        "ahead of AWS's",
    ),
];

const NETWORKS: &[Row] = &[
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

const WAYS: &[Row] = &[
    timeout(
        "two VPCs that nothing joins",
        two_vpcs,
        |facts| {
            facts.peerings.clear();
            edit(&mut facts.bastion_end.routes).routes.pop();
            edit(&mut facts.target_end.routes).routes.pop();
        },
        Subject::Join,
        "joins vpc-hub and vpc-1",
    ),
    row(
        "two VPCs, and the bastion's default route leads to the internet",
        two_vpcs,
        |facts| {
            facts.peerings.clear();
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.pop();
            routes.push(route("0.0.0.0/0", RouteVia::Other("igw-1".to_owned())));
            edit(&mut facts.target_end.routes).routes.pop();
        },
        Some(Class::Unreachable),
        Some(Subject::Join),
        "No peering connection or transit gateway",
    ),
    timeout(
        "the peering has not been accepted",
        two_vpcs,
        |facts| edit2(facts, "pending-acceptance"),
        Subject::Join,
        "Accept pcx-1 as the owner of vpc-1.",
    ),
    timeout(
        "the peering was deleted, and its routes are blackholes",
        two_vpcs,
        |facts| {
            edit2(facts, "deleted");
            blackhole(facts);
        },
        Subject::Join,
        "\"deleted\"",
    ),
    timeout(
        "no route there",
        two_vpcs,
        |facts| drop(edit(&mut facts.bastion_end.routes).routes.pop()),
        Subject::RouteThere,
        "Add a route to 10.0.0.0/16 to rtb-b.",
    ),
    timeout(
        "no route back",
        two_vpcs,
        |facts| drop(edit(&mut facts.target_end.routes).routes.pop()),
        Subject::RouteBack,
        "No route in rtb-t (the VPC's main route table) leads to 10.9.0.5. Add a route to 10.9.0.0/16 to rtb-t.",
    ),
    row(
        "the network itself says that there is no route",
        two_vpcs,
        |facts| drop(edit(&mut facts.bastion_end.routes).routes.pop()),
        Some(Class::Unreachable),
        Some(Subject::RouteThere),
        "No route in rtb-b",
    ),
    timeout(
        "a blackhole in front of the peering",
        two_vpcs,
        |facts| {
            let mut gone = route("10.0.1.0/24", RouteVia::Other("eni-1".to_owned()));
            gone.active = false;
            edit(&mut facts.bastion_end.routes).routes.insert(0, gone);
        },
        Subject::RouteThere,
        "The route to 10.0.1.0/24 in rtb-b (the VPC's main route table) is a blackhole",
    ),
    timeout(
        "a more particular route by a prefix list leads elsewhere",
        two_vpcs,
        |facts| {
            facts.prefix_lists.insert("pl-7".to_owned(), Known::As(vec![network("10.0.1.0/28")]));
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.push(route("pl-7", RouteVia::Other("igw-1".to_owned())));
        },
        Subject::RouteThere,
        "The route to pl-7 in rtb-b (the VPC's main route table), the best there is, leads to the internet (igw-1)",
    ),
    timeout(
        "the route leads to a peering with a third VPC",
        two_vpcs,
        |facts| {
            let mut other = peering("active");
            other.accepter_vpc = "vpc-3".to_owned();
            facts.peerings.insert("pcx-3".to_owned(), Known::As(other));
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.push(route("10.0.1.0/24", RouteVia::Peering("pcx-3".to_owned())));
        },
        Subject::RouteThere,
        "pcx-3, which does not join vpc-hub to vpc-1",
    ),
    timeout(
        "the ranges of the two VPCs overlap",
        two_vpcs,
        |facts| {
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.insert(0, route("10.0.0.0/16", RouteVia::Local));
            routes.retain(|route| !matches!(route.via, RouteVia::Peering(_)));
        },
        Subject::RouteThere,
        "overlap",
    ),
    timeout(
        "the attachment of the bastion's VPC waits to be accepted",
        transit,
        |facts| attachment(facts, "vpc-hub", Some("pendingAcceptance")),
        Subject::Join,
        "tgw-1, to which the attachment of vpc-hub is \"pendingAcceptance\"",
    ),
    timeout(
        "a transit gateway, and no route back",
        transit,
        |facts| drop(edit(&mut facts.target_end.routes).routes.pop()),
        Subject::RouteBack,
        "No route in rtb-t",
    ),
    timeout(
        "a rule by group over a peering between regions",
        two_vpcs,
        |facts| {
            let mut far = peering("active");
            far.same_region = false;
            facts.peerings.insert("pcx-1".to_owned(), Known::As(far));
        },
        Subject::TargetGroup,
        "Add an inbound rule to sg-t: TCP 22 from 10.9.0.5/32.",
    ),
    timeout(
        "the bastion has no IPv6 address",
        one_vpc_ipv6,
        |facts| edit(&mut facts.bastion).addresses = vec![address("10.0.0.5")],
        Subject::Bastion,
        "has no IPv6 address, and fd00:1:1::10 is one",
    ),
];

fn edit2(facts: &mut Facts, state: &str) {
    facts.peerings.insert("pcx-1".to_owned(), Known::As(peering(state)));
}

fn blackhole(facts: &mut Facts) {
    for end in [&mut facts.bastion_end, &mut facts.target_end] {
        for route in &mut edit(&mut end.routes).routes {
            route.active = route.via == RouteVia::Local;
        }
    }
}

fn attachment(facts: &mut Facts, vpc: &str, state: Option<&str>) {
    let attachments = &mut edit(facts.transits.get_mut("tgw-1").expect("tgw-1")).attachments;
    attachments.remove(vpc);
    attachments.extend(state.map(|state| (vpc.to_owned(), state.to_owned())));
}

const LOGINS: &[Row] = &[
    rejected(
        "the metadata service is off",
        |facts| edit(&mut facts.instance).metadata_enabled = false,
        "ec2-user",
        Some(Subject::Metadata),
        "modify-instance-metadata-options --instance-id i-0000000000000000a --http-endpoint enabled",
    ),
    rejected(
        "Debian has no agent",
        |facts| image(facts, "debian-12-arm64-20251112-2294"),
        "admin",
        Some(Subject::Agent),
        "comes without the agent of EC2 Instance Connect",
    ),
    rejected(
        "the minimal image has no agent",
        |facts| image(facts, "al2023-ami-minimal-2023.9.20251117.1-kernel-6.12-x86_64"),
        "ec2-user",
        Some(Subject::Agent),
        "Install the package ec2-instance-connect",
    ),
    rejected(
        "Bottlerocket has no SSH server",
        |facts| image(facts, "bottlerocket-aws-k8s-1.31-x86_64-v1.26.0-12345678"),
        "ec2-user",
        Some(Subject::Agent),
        "admin container",
    ),
    rejected("ubuntu on Amazon Linux", |_| {}, "ubuntu", Some(Subject::Login), "Connect as ec2-user."),
    rejected(
        "ec2-user on Ubuntu, which the inventory knows",
        |facts| {
            facts.image = denied("ec2:DescribeImages");
            let name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20251022";
            target(facts, |target| target.image_name = Some(name.to_owned()));
        },
        "ec2-user",
        Some(Subject::Login),
        "Connect as ubuntu.",
    ),
    rejected(
        "nothing is wrong that AWS sees",
        |_| {},
        "ec2-user",
        Some(Subject::Answer),
        "see that `sshd -T` names the agent as AuthorizedKeysCommand",
    ),
    rejected(
        "a login that somebody may have added: no cause",
        |_| {},
        "deploy",
        None,
        "has no login deploy from the start; somebody may have added it",
    ),
    rejected(
        "an image of somebody's own: no cause",
        |facts| image(facts, "golden-image-17"),
        "ec2-user",
        None,
        "whether the image \"golden-image-17\" has the agent of Instance Connect is not known",
    ),
    rejected(
        "Windows takes no pushed key",
        |facts| edit(&mut facts.image).platform = "windows".to_owned(),
        "Administrator",
        Some(Subject::Platform),
        "does not work",
    ),
    row(
        "a login that times out, with the metadata service off",
        one_vpc,
        |facts| edit(&mut facts.instance).metadata_enabled = false,
        Some(Class::LoginTimeout),
        Some(Subject::Metadata),
        "metadata service",
    ),
    row(
        "nobody tried, and the image has no agent",
        one_vpc,
        |facts| image(facts, "Rocky-9-EC2-Base-9.3-20231113.0.x86_64"),
        None,
        Some(Subject::Agent),
        "Rocky Linux",
    ),
];

const SEEN: &[Row] = &[
    as_seen(
        "IAM denies the push",
        Class::PushDenied,
        Subject::Push,
        "Grant ec2-instance-connect:SendSSHPublicKey on arn:aws:ec2:eu-west-1:123456789012:instance/i-0000000000000000a to \
         drawbridge's role; a condition on ec2:osuser has to include \"ec2-user\"",
    ),
    as_seen("no credentials", Class::PushNoCredentials, Subject::Push, "account 123456789012 in eu-west-1"),
    as_seen("too many pushes", Class::PushThrottled, Subject::Push, "limiting"),
    as_seen("Instance Connect does not take the login", Class::PushInvalid, Subject::Push, "spelling"),
    as_seen("Instance Connect is not reached", Class::PushFailed, Subject::Push, "no private link"),
    as_seen("gone, says Instance Connect alone", Class::InstanceGone, Subject::Push, "does not know"),
    as_seen(
        "not running, says Instance Connect alone",
        Class::InstanceNotRunning,
        Subject::Push,
        "is not running",
    ),
    as_seen("not ready", Class::InstanceUnavailable, Subject::Push, "not ready"),
    as_seen("refused", Class::ConnectionRefused, Subject::Answer, "nothing listens there"),
    as_seen(
        "no answer, and AWS sees no reason",
        Class::ConnectTimeout,
        Subject::Answer,
        "Look at what AWS does not see",
    ),
    as_seen("unreachable, and AWS sees no reason", Class::Unreachable, Subject::Answer, "ip route get"),
    as_seen("silence", Class::NoBanner, Subject::Answer, "MaxStartups"),
    as_seen("not SSH", Class::NotSsh, Subject::Answer, "does not speak SSH"),
    as_seen("no common algorithm", Class::NoCommonAlgorithm, Subject::Answer, "legacy_targets"),
    as_seen("broken off", Class::HandshakeFailed, Subject::Answer, "broke off"),
    as_seen("an unknown host key", Class::HostKeyUnknown, Subject::HostKey, "Nothing vouches"),
    as_seen("another host key", Class::HostKeyChanged, Subject::HostKey, "another host key"),
    as_seen("login timeout", Class::LoginTimeout, Subject::Answer, "AuthorizedKeysCommand or PAM hangs"),
    row("a fault of our own", one_vpc, |_| {}, Some(Class::OwnFault), None, "exists"),
];

const COMBINED: &[Row] = &[
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
            edit2(facts, "pending-acceptance");
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

const GAPS: &[Row] = &[
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
