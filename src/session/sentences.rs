//! What users read when something is not possible. Full, kind, and free of what they may not know.

use crate::domain::{ActionKind, Login, Target};

pub(super) const AUDIT_UNAVAILABLE: &str = "drawbridge cannot write its audit trail and therefore starts nothing; please tell your drawbridge operator.";
pub(super) const MAX_SESSION: &str =
    "this session has reached the longest time that policy allows; connect again to go on.";
pub(super) const IDLE: &str = "this session was idle for longer than policy allows; connect again to go on.";
pub(super) const MENU_IDLE: &str =
    "the menu was left after fifteen minutes without a key; connect again to go on.";
pub(super) const SHUTTING_DOWN: &str = "drawbridge is shutting down; connect again in a moment.";
pub(super) const TARGET_LEFT: &str = "the target closed the connection.";
pub(super) const TARGET_SILENT: &str =
    "the target does not answer on the connection to it; check that its sshd is healthy and try again.";
pub(super) const NO_FORWARDING: &str = "drawbridge does not carry port forwarding; open a session, or reach an \
     instance with `ssh -J` and its name.";
pub(super) const SESSIONS_ONLY: &str =
    "drawbridge opens sessions and jumps here, and no other kind of channel.";
pub(super) const INVENTORY_UNAVAILABLE: &str =
    "drawbridge cannot list the instances at the moment; please try again in a minute.";
pub(super) const OUT_OF_ORDER: &str =
    "drawbridge has a problem of its own and cannot open sessions; please tell your drawbridge operator.";
pub(super) const WITHDRAWN: &str = "your access to drawbridge has been withdrawn since you logged in; ask whoever manages it if this is a mistake.";
pub(super) const NO_LOGIN: &str = "policy names no login for you there; put one in front, as in `ssh -J bastion \
     ec2-user@TARGET`, or ask whoever manages your access.";
pub(super) const TOO_MANY_ATTEMPTS: &str =
    "too many keys were tried; offer the right one with `ssh -i KEY -o IdentitiesOnly=yes`.";

/// Unknown and not-yours read the same.
pub(super) fn unknown_target(typed: &str) -> String {
    let typed: String = typed.chars().filter(|c| !c.is_control()).take(64).collect();
    format!(
        "there is no target \"{typed}\" that you may reach; check the name, or ask whoever manages your access."
    )
}

pub(super) fn ambiguous(typed: &str, candidates: &[String]) -> String {
    format!(
        "\"{typed}\" means more than one target: {}; name one by its instance id, or add the account or region.",
        candidates.join(", ")
    )
}

pub(super) fn not_running(target: &Target) -> String {
    let name = target.display_name();
    match target.state.as_str() {
        "pending" => format!("{name} is still starting; please try again in a minute."),
        "stopping" => format!("{name} is being stopped; start it again once it has stopped."),
        state => format!("{name} is {state}; start it and try again."),
    }
}

pub(super) fn wrong_port(target: &Target, port: u32) -> String {
    format!(
        "drawbridge reaches {} by SSH only and does not forward to port {port}; leave the port out.",
        target.display_name()
    )
}

pub(super) fn refused(target: &Target, login: &Login, kind: ActionKind) -> String {
    let what = match kind {
        ActionKind::Shell => "open a shell",
        ActionKind::Exec => "run this command",
        ActionKind::Sftp => "transfer files",
        ActionKind::Subsystem => "use this subsystem",
        ActionKind::Tunnel => "open a tunnel",
        ActionKind::LocalForward | ActionKind::LocalSocket => "forward connections there",
        ActionKind::RemoteForward | ActionKind::RemoteSocket => "have connections forwarded from there",
        ActionKind::Agent => "use your key agent",
        ActionKind::X11 => "use your display",
        ActionKind::Connect => "connect",
    };
    format!(
        "policy does not let you {what} on {} as \"{login}\"; ask whoever manages your access if you need to.",
        target.display_name()
    )
}

pub(super) fn not_a_login(typed: &str) -> String {
    let typed: String = typed.chars().filter(|c| !c.is_control()).take(32).collect();
    format!("\"{typed}\" cannot be a login on an instance; check its spelling.")
}

pub(super) fn no_more_channels(target: &Target) -> String {
    format!(
        "{} refuses another session on this connection (MaxSessions in its sshd); close one first.",
        target.display_name()
    )
}
