//! What is wrong with the machine itself, or with its place in time.

use jiff::SignedDuration;

use super::{Row, row, state, target, timeout};
use crate::diagnose::testing::{address, edit, one_vpc};
use crate::diagnose::{Facts, Gap, GapReason, Known, ScheduledEvent, Subject};
use crate::domain::FailureClass as Class;

pub(super) const MACHINES: &[Row] = &[
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

fn event(facts: &mut Facts, code: &str, description: &str, from: &str) {
    edit(&mut facts.status).events.push(ScheduledEvent {
        code: code.to_owned(),
        description: description.to_owned(),
        not_before: from.parse().ok(),
    });
}
