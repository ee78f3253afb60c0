//! The machine itself: does it exist, does it run, is it well, is it the one that is dialled?

use jiff::{SignedDuration, Timestamp};

use super::case::{Case, End, either, known};
use crate::diagnose::facts::{Gap, GapReason, InstanceFacts, ScheduledEvent, Status};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;

/// An event that began longer ago, while the status checks pass, has passed the machine by or is only late.
const UNDER_WAY_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Does AWS know the instance?
pub(super) fn instance(case: &Case<'_>) -> Option<Check> {
    let target = &case.facts.target;
    let place = format!("in {} of account {}", target.region, target.account);
    let gone = |gap: &Gap| match gap.reason {
        GapReason::NotVisible => Check::broken(
            Subject::Instance,
            format!("AWS does not know {} {place}.", case.id()),
            "Check that the instance still exists; if it was replaced, connect to the new one.",
        ),
        GapReason::Denied
        | GapReason::Timeout
        | GapReason::Throttled
        | GapReason::Failed(_)
        | GapReason::NotAsked => case.gap(Subject::Instance, gap, End::Target),
    };
    let found = |_: &InstanceFacts| Check::sound(Subject::Instance, format!("{} exists {place}.", case.id()));
    Some(either(known(&case.facts.instance, gone).map(found)))
}

/// Does it run?
pub(super) fn state(case: &Case<'_>) -> Option<Check> {
    let gap = |gap: &Gap| case.gap(Subject::State, gap, End::Target);
    Some(either(known(&case.facts.instance, gap).map(|instance| state_of(case, instance))))
}

fn state_of(case: &Case<'_>, instance: &InstanceFacts) -> Check {
    let id = case.id();
    let said = match words::foreign(&instance.state_reason) {
        reason if reason.is_empty() => String::new(),
        reason => format!(" (AWS says: {reason})"),
    };
    let since = instance.launch_time.map(|at| format!(", started {}", moment(at))).unwrap_or_default();
    let broken = |what: &str, change: String| {
        Check::broken(Subject::State, format!("The instance is {what}{said}."), change)
    };
    match instance.state.as_str() {
        "running" => Check::sound(Subject::State, format!("The instance is running{since}.")),
        "pending" => broken("still starting", "Wait a minute or two and try again.".to_owned()),
        "stopping" => broken("being stopped", format!("Start {id} once it has stopped.")),
        "stopped" => broken("stopped", format!("Start {id} and try again in a minute.")),
        "shutting-down" => broken("being terminated", "Connect to the instance that replaces it.".to_owned()),
        "terminated" => broken("terminated", "Connect to the instance that replaces it.".to_owned()),
        other => Check::unknown(
            Subject::State,
            format!("Could not check: AWS gives the state as \"{}\".", words::foreign(other)),
        ),
    }
}

/// What do AWS's health checks say?
pub(super) fn status(case: &Case<'_>) -> Option<Check> {
    let gap = |gap: &Gap| case.gap(Subject::Status, gap, End::Target);
    Some(either(known(&case.facts.status, gap).map(|status| status_of(case, status))))
}

fn status_of(case: &Case<'_>, status: &Status) -> Check {
    let named = [("system", &status.system), ("instance", &status.instance), ("volume", &status.volumes)];
    let of = |word: &str| {
        let kinds = named.iter().filter(|(_, said)| said.as_str() == word).map(|(kind, _)| *kind);
        kinds.collect::<Vec<_>>()
    };
    let impaired = of("impaired");
    if !impaired.is_empty() {
        return impaired_check(case, &impaired);
    }
    let odd = named.iter().find(|(kind, said)| {
        let nothing = said.is_empty() && *kind == "volume";
        said.as_str() != "ok" && said.as_str() != "not-applicable" && !nothing
    });
    match odd {
        Some((kind, said)) => Check::unknown(
            Subject::Status,
            format!("AWS's {kind} status check says \"{}\", which tells neither way.", words::foreign(said)),
        ),
        None if of("ok").is_empty() => Check::unknown(
            Subject::Status,
            "Could not check: AWS does not run its status checks for this instance as it is.",
        ),
        None => Check::sound(Subject::Status, "AWS's status checks pass."),
    }
}

fn impaired_check(case: &Case<'_>, impaired: &[&str]) -> Check {
    let which = impaired.join(" and ");
    let id = case.id();
    let change = match impaired.first() {
        Some(&"system") => format!("Stop {id} and start it again, which moves it to other hardware."),
        Some(&"volume") => format!("Look at the volumes of {id} in the EC2 console."),
        Some(_) | None => {
            format!(
                "Look at the system log of {id} (EC2 console: Actions, Monitor and troubleshoot), then reboot it."
            )
        }
    };
    Check::broken(
        Subject::Status,
        format!("AWS's {which} status check fails: the machine is not well."),
        change,
    )
}

/// Is something scheduled, and has it begun?
pub(super) fn events(case: &Case<'_>) -> Option<Check> {
    let gap = |gap: &Gap| case.gap(Subject::Events, gap, End::Target);
    let status = match known(&case.facts.status, gap) {
        Ok(status) => status,
        Err(check) => return Some(check),
    };
    let ahead = || status.events.iter().filter(|event| !is_over(event));
    let Some(next) = ahead().min_by_key(|event| event.not_before) else {
        return Some(Check::sound(Subject::Events, "AWS has nothing scheduled for the instance."));
    };
    Some(event_of(case, next, ahead().count().saturating_sub(1), is_well(status)))
}

fn is_well(status: &Status) -> bool {
    status.system == "ok" && status.instance == "ok"
}

/// AWS keeps events that are over for a while and says so in front of their description.
fn is_over(event: &ScheduledEvent) -> bool {
    let said = event.description.trim_start().to_ascii_lowercase();
    said.starts_with("[completed]") || said.starts_with("[canceled]")
}

fn event_of(case: &Case<'_>, event: &ScheduledEvent, more: usize, is_well: bool) -> Check {
    let what = format!("{} (\"{}\")", words::foreign(&event.code), words::foreign(&event.description));
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    let (Some(from), Some(now)) = (event.not_before, case.facts.asked_at) else {
        let finding = format!("AWS has scheduled {what}{more}; it cannot be told whether it has begun.");
        return Check::unknown(Subject::Events, finding);
    };
    let from_then = moment(from);
    if from > now {
        return Check::sound(Subject::Events, format!("AWS has scheduled {what} from {from_then}{more}."));
    }
    if is_well && now.duration_since(from) > UNDER_WAY_MAX {
        let finding = format!(
            "AWS's {what} was to begin at {from_then}{more}, and its status checks pass all the same; it cannot be told \
             whether it is over."
        );
        return Check::unknown(Subject::Events, finding);
    }
    Check::broken(
        Subject::Events,
        format!("AWS's {what} has begun, at {from_then}{more}."),
        "Wait until it is over; for a retirement or a stop, stop the instance and start it again.",
    )
}

/// Is the address that is dialled the instance's?
pub(super) fn address(case: &Case<'_>) -> Option<Check> {
    let gap = |gap: &Gap| case.gap(Subject::Address, gap, End::Target);
    Some(either(known(&case.facts.instance, gap).map(|instance| address_of(case, instance))))
}

fn address_of(case: &Case<'_>, instance: &InstanceFacts) -> Check {
    let (id, to) = (case.id(), case.to);
    if instance.addresses.contains(&to) {
        return Check::sound(Subject::Address, format!("{to} is an address of {id}."));
    }
    let Some(other) = instance.addresses.first() else {
        return Check::unknown(Subject::Address, format!("Could not check: AWS names no address of {id}."));
    };
    Check::broken(
        Subject::Address,
        format!("{to}, which is dialled, is not an address of {id}; it has {other}."),
        "Wait for drawbridge's next refresh of its inventory, or connect by the instance id.",
    )
}

/// Does the metadata service answer on it? The agent reads pushed keys there.
pub(super) fn metadata(case: &Case<'_>) -> Option<Check> {
    let gap = |gap: &Gap| case.gap(Subject::Metadata, gap, End::Target);
    Some(either(known(&case.facts.instance, gap).map(|instance| metadata_of(case, instance))))
}

fn metadata_of(case: &Case<'_>, instance: &InstanceFacts) -> Check {
    if instance.metadata_enabled {
        return Check::sound(
            Subject::Metadata,
            "The metadata service is on, so the agent can read pushed keys.",
        );
    }
    Check::broken(
        Subject::Metadata,
        "The metadata service of the instance is off, so its agent cannot read pushed keys and Instance Connect cannot work.",
        format!(
            "Turn it on: aws ec2 modify-instance-metadata-options --instance-id {} --http-endpoint enabled.",
            case.id()
        ),
    )
}

/// To the second, in UTC.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
