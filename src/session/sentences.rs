//! What users read when something is not possible. Full, kind, and free of what they may not know.

use std::time::Duration;

use crate::console::shown;
use crate::credential::NotPushable;
use crate::domain::{ActionKind, Login, Target, TargetRef, UserName};

pub(super) const AUDIT_UNAVAILABLE: &str = "drawbridge cannot write its audit trail and therefore starts nothing; please tell your drawbridge operator.";
pub(super) const STORE_UNAVAILABLE: &str = "drawbridge cannot reach the database that keeps its record, so no new session starts; what runs goes on. Please try again shortly, or tell your drawbridge operator.";
pub(super) const KILLED: &str =
    "this session was ended by somebody who may do so; ask whoever runs drawbridge if you did not expect it.";
pub(super) const PERMISSION_ENDED: &str =
    "your permission for this session has ended; ask whoever manages your access if you still need it.";
pub(super) const TARGET_REPLACED: &str = "the instance of this session was replaced or is gone, so the session has ended; connect again to reach the one that is there.";
pub(super) const TO_BE_RECORDED: &str = "this has to be recorded from here on, and what is running is not, so it has ended; connect again to go on.";
pub(super) const RECORDING_FAILED: &str = "this session has to be recorded, and that is not possible any more, so it has ended; please tell your drawbridge operator.";
pub(super) const NOT_RECORDABLE: &str = "this has to be recorded, and it cannot be at the moment, so it was not started; please tell your drawbridge operator.";
pub(super) const MAX_SESSION: &str =
    "this session has reached the longest time that policy allows; connect again to go on.";
pub(super) const IDLE: &str = "this session was idle for longer than policy allows; connect again to go on.";
pub(super) const MENU_IDLE: &str =
    "the menu was left after fifteen minutes without a key; connect again to go on.";
pub(super) const SHUTTING_DOWN: &str = "drawbridge is shutting down; connect again in a moment.";
pub(super) const TARGET_LEFT: &str = "the target closed the connection.";
pub(super) const TARGET_SILENT: &str =
    "the target does not answer on the connection to it; check that its sshd is healthy and try again.";
pub(super) const NO_SOCKETS_HERE: &str = "the bastion itself has no sockets for you; forward one of an instance \
     through a session on it, as in `ssh -L PORT:/PATH -J BASTION LOGIN@INSTANCE`.";
pub(super) const SESSIONS_ONLY: &str =
    "drawbridge opens sessions, forwards and jumps here, and no other kind of channel.";
pub(super) const NOT_IN_CERTIFICATE: &str =
    "your certificate does not permit this; ask whoever signs it if you need it.";
pub(super) const OVER: &str = "this session has been ended; connect again to go on.";
pub(super) const OUT_OF_ORDER: &str =
    "drawbridge has a problem of its own and cannot open sessions; please tell your drawbridge operator.";
pub(super) const WITHDRAWN: &str = "your access to drawbridge has been withdrawn since you logged in; ask whoever manages it if this is a mistake.";
pub(super) const NO_LOGIN: &str = "policy names no login for you there; put one in front, as in `ssh -J bastion \
     ec2-user@TARGET`, or ask whoever manages your access.";
pub(super) const MADE_WAY: &str = "too many people are logging in to drawbridge at this moment, most of them from your address; try again in a few seconds.";
pub(super) const TOO_MANY_ATTEMPTS: &str =
    "too many keys were tried; offer the right one with `ssh -i KEY -o IdentitiesOnly=yes`.";
pub(super) const NO_FORWARDING_IN_CERTIFICATE: &str = "the certificate that you logged in with does not permit port forwarding; ask whoever issues it if you need to.";
pub(super) const NO_LOGIN_TO_TUNNEL: &str = "policy names no login for you there; put one behind your user name for \
     drawbridge, as in `ssh -J USER+LOGIN@BASTION TARGET`, or ask whoever manages your access.";

/// Several logins would do, and there is no terminal to ask on.
pub(super) fn several_logins(target: &Target, logins: &[Login]) -> String {
    let name = shown(target.display_name());
    let word = target.name.as_deref().filter(|name| TargetRef::parse(name).is_ok());
    let word = shown(word.unwrap_or(target.id.as_str()));
    let choices: Vec<String> =
        logins.iter().map(|login| format!("ssh {login}@{word}@BASTION")).take(CHOICES_NAMED_MAX).collect();
    format!("{name} has several logins for you; name one: {}.", choices.join(", or "))
}

/// The most logins that one sentence names.
const CHOICES_NAMED_MAX: usize = 10;

pub(super) const NOTHING_CHOSEN: &str = "no login was chosen, so nothing was started.";
pub(super) const NO_SUBSYSTEM: &str = "the bastion itself keeps no files and has no subsystems; name an instance, \
     as in `sftp LOGIN@INSTANCE@BASTION` or `sftp -J BASTION LOGIN@INSTANCE`.";
/// After the sentence about a word that is no target, where it may have been meant as a command.
pub(super) const COMMANDS: &str = "`ssh BASTION help` lists the commands.";

/// A warning, to whoever sits at a terminal.
pub(super) fn max_session_soon(left: Duration) -> String {
    format!(
        "this session ends in {}, when it has lasted as long as policy allows; save your work, and connect again to go on.",
        in_words(left)
    )
}

/// The same.
pub(super) fn idle_soon(left: Duration) -> String {
    format!("this session is idle, and policy ends it in {}; press a key to keep it.", in_words(left))
}

fn in_words(left: Duration) -> String {
    let seconds = left.as_millis().div_ceil(1000).max(1);
    let (count, unit) = if seconds < 60 { (seconds, "second") } else { ((seconds + 30) / 60, "minute") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn not_running(target: &Target) -> String {
    let name = shown(target.display_name());
    match target.state.as_str() {
        "pending" => format!("{name} is still starting; please try again in a minute."),
        "stopping" => format!("{name} is being stopped; start it again once it has stopped."),
        "shutting-down" | "terminated" => {
            format!("{name} is {}; look for the instance that took its place.", target.state)
        }
        state => format!("{name} is {state}; start it and try again."),
    }
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
        ActionKind::Watch => "watch sessions",
        ActionKind::Kill => "end sessions",
        ActionKind::Diagnose => "ask why it cannot be reached",
        ActionKind::Audit => "read the record",
    };
    format!(
        "policy does not let you {what} on {} as \"{login}\"; ask whoever manages your access if you need to.",
        shown(target.display_name())
    )
}

/// The target's own words about why it opened no channel.
pub(super) fn target_says(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    let text = if text.is_empty() { "open failed" } else { &text };
    format!("the target says: {text}")
}

pub(super) fn not_a_login(typed: &str) -> String {
    let typed: String = typed.chars().filter(|c| !c.is_control()).take(32).collect();
    format!("\"{typed}\" cannot be a login on an instance; check its spelling.")
}

pub(super) fn no_more_channels(target: &Target) -> String {
    format!(
        "{} refuses another session on this connection (MaxSessions in its sshd); close one first.",
        shown(target.display_name())
    )
}

/// Something typed, fit to be shown.
fn repeated(typed: &str) -> String {
    shown(&typed.chars().filter(|c| !c.is_control()).take(80).collect::<String>())
}

/// Unknown and not-yours read the same.
pub(super) fn unknown_destination(typed: &str) -> String {
    format!(
        "there is no destination \"{}\" that you may connect to through drawbridge; check name and port, or ask \
         whoever manages your access.",
        repeated(typed)
    )
}

pub(super) fn bad_port(port: u32) -> String {
    format!("there is no port {port} to connect to; ports go from 1 to 65535.")
}

pub(super) fn never_reachable(typed: &str) -> String {
    format!(
        "drawbridge does not connect to \"{}\": the bastion's own addresses, loopback, link-local and multicast are \
         never reachable through it; to reach a service on an instance itself, forward through a session on it.",
        repeated(typed)
    )
}

pub(super) fn not_private(typed: &str) -> String {
    format!(
        "drawbridge connects to private addresses only, and \"{}\" is none; connect to it without the bastion.",
        repeated(typed)
    )
}

pub(super) fn nothing_listens(typed: &str) -> String {
    format!(
        "\"{}\" refused the connection; check that the service runs there and listens on that port.",
        repeated(typed)
    )
}

pub(super) fn no_answer(typed: &str) -> String {
    format!(
        "\"{}\" did not answer; check that its security group and network ACL let drawbridge in.",
        repeated(typed)
    )
}

pub(super) fn no_way(typed: &str) -> String {
    format!(
        "drawbridge has no network route to \"{}\"; check the route tables and the VPC peering between the two.",
        repeated(typed)
    )
}

pub(super) fn several_logins_to_tunnel(user: &UserName, target: &Target, logins: &[Login]) -> String {
    let names: Vec<&str> = logins.iter().map(Login::as_str).take(10).collect();
    let first = names.first().copied().unwrap_or("LOGIN");
    let name = shown(target.display_name());
    format!(
        "you may enter {name} by pass-through as {}; say which behind your user name for drawbridge, as in \
         `ssh -J {user}+{first}@BASTION {first}@{name}`.",
        names.join(", ")
    )
}

pub(super) fn key_not_pushable(target: &Target, why: NotPushable) -> String {
    format!(
        "{} is entered by pass-through, with your own key by way of EC2 Instance Connect, which takes Ed25519 keys and \
         RSA keys of 2048 to 4096 bits; the key that you logged in to drawbridge with {why}. Use an Ed25519 or RSA key \
         for drawbridge and for the target (`ssh -i KEY`, or IdentityFile in ~/.ssh/config for both); \
         `ssh-keygen -t ed25519` makes one.",
        shown(target.display_name())
    )
}

pub(super) fn push_not_accepted(login: &Login) -> String {
    format!(
        "EC2 Instance Connect did not accept the login \"{login}\" or your key for the instance; check the spelling \
         of the login, and use an Ed25519 key or an RSA key of 2048 or 4096 bits."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing::target;

    /// EC2 takes any character in a tag, those that steer a terminal included.
    #[test]
    fn a_name_tag_steers_no_terminal_from_within_a_sentence() {
        let mut tagged = target("web\u{9b}2J\u{202e}", 1);
        let login = Login::parse("ec2-user").expect("a login");
        let mut said = vec![
            refused(&tagged, &login, ActionKind::Shell),
            no_more_channels(&tagged),
            several_logins(&tagged, &[login]),
            key_not_pushable(&tagged, NotPushable::SecurityKey),
        ];
        for state in ["pending", "stopping", "terminated", "stopped"] {
            state.clone_into(&mut tagged.state);
            said.push(not_running(&tagged));
        }
        for sentence in said {
            assert!(!sentence.contains(['\u{9b}', '\u{202e}']), "{sentence:?}");
        }
    }
}
