//! What a client asks of a session channel before its program starts (RFC 4254 §6.2–6.5).

use bytes::Bytes;

use super::forward::{Wish, x11_is_for_one};
use super::visit::Visit;
use crate::audit::{ActionFacts, PtyFacts, Text};
use crate::domain::Action;
use crate::ssh::{Channel, ChannelRequest};

/// Environment variables, in number and in bytes.
const ENV_MAX: usize = 512;
const ENV_BYTES_MAX: usize = 512 * 1024;

/// Everything up to and including the start of a program.
#[derive(Debug)]
pub(super) struct Prelude {
    /// `env` requests, in order, as they came.
    pub(super) environment: Vec<Bytes>,
    /// The `pty-req`, as it came and for the audit.
    pub(super) pty: Option<(Bytes, PtyFacts)>,
    /// `shell`, `exec` or `subsystem`, as it came.
    pub(super) start: ChannelRequest,
    /// What that means.
    pub(super) action: Action,
    /// And for the audit, with the very bytes of a command.
    pub(super) facts: ActionFacts,
    /// The agent and the display, where they were asked for and not refused.
    pub(super) wishes: Vec<Wish>,
    /// Requests that drawbridge does not carry.
    pub(super) declined: Vec<String>,
}

impl Prelude {
    /// The same terminal and environment, for a shell that nobody waits to hear has started: what was asked for
    /// was answered before.
    pub(super) fn for_a_shell(&self) -> Self {
        self.for_a_start("shell", Bytes::new(), Action::Shell, ActionFacts::from(&Action::Shell))
    }

    /// The same terminal and environment, for a command, likewise.
    pub(super) fn for_a_command(&self, command: &[u8]) -> Self {
        let length = u32::try_from(command.len()).unwrap_or(u32::MAX).to_be_bytes();
        let payload = Bytes::from([&length, command].concat());
        let action = Action::Exec { command: String::from_utf8_lossy(command).into_owned() };
        self.for_a_start("exec", payload, action, ActionFacts::exec(command))
    }

    fn for_a_start(&self, name: &str, payload: Bytes, action: Action, facts: ActionFacts) -> Self {
        Self {
            environment: self.environment.clone(),
            pty: self.pty.clone(),
            start: ChannelRequest { name: name.to_owned(), want_reply: false, payload },
            action,
            facts,
            wishes: self.wishes.clone(),
            declined: self.declined.clone(),
        }
    }

    /// The command line of an `exec`, as it came.
    pub(super) fn command_line(&self) -> Option<&[u8]> {
        (self.start.name == "exec").then(|| string(&self.start.payload)).flatten().map(|(line, _)| line)
    }

    /// The terminal has another size since it was asked for (RFC 4254 §6.7, `window-change`).
    pub(super) fn resize(&mut self, change: &[u8]) {
        let Some((payload, facts)) = &mut self.pty else { return };
        let (Some(size), Some((term, rest))) = (change.first_chunk::<16>(), string(payload)) else { return };
        let Some((_, modes)) = rest.split_first_chunk::<16>() else { return };
        let length = u32::try_from(term.len()).unwrap_or(u32::MAX).to_be_bytes();
        let resized = Bytes::from([&length, term, size, modes].concat());
        if let Some(read) = read_pty(&resized) {
            *facts = read;
            *payload = resized;
        }
    }
}

/// Reads requests until a program is asked for; nothing when the client closes first. Agent and display are left to
/// be decided by whoever starts the program.
pub(super) async fn read(channel: &Channel, pty_allowed: bool) -> Option<Prelude> {
    read_with(channel, pty_allowed, None).await
}

/// As [`read`], for a channel of that visit: agent and display are decided as they are asked for.
pub(super) async fn read_for(visit: &Visit, channel: &Channel) -> Option<Prelude> {
    read_with(channel, visit.errand.guest.extensions.permit_pty, Some(visit)).await
}

async fn read_with(channel: &Channel, pty_allowed: bool, visit: Option<&Visit>) -> Option<Prelude> {
    let mut beside = Beside { visit, answered: Vec::new() };
    let mut environment = Vec::new();
    let mut environment_bytes = 0;
    let mut pty = None;
    let mut declined = Vec::new();
    loop {
        let request = channel.recv_request().await?;
        if let Some((action, facts)) = read_start(&request) {
            let wishes = beside.wishes();
            return Some(Prelude { environment, pty, start: request, action, facts, wishes, declined });
        }
        let carried = match request.name.as_str() {
            "env" => {
                environment_bytes += request.payload.len();
                let fits = environment.len() < ENV_MAX && environment_bytes <= ENV_BYTES_MAX;
                if fits {
                    environment.push(request.payload.clone());
                }
                fits
            }
            "pty-req" if pty_allowed => {
                pty = read_pty(&request.payload).map(|facts| (request.payload.clone(), facts));
                pty.is_some()
            }
            _ if let Some(action) = beside_the_program(&request) => beside.ask(action, &request).await,
            name => {
                if declined.len() < 16 {
                    declined.push(name.chars().take(64).collect());
                }
                false
            }
        };
        if request.want_reply {
            channel.reply(carried);
        }
    }
}

/// What is asked for beside the program, and what became of it. Each once: a second request gets the first one's
/// answer, and decides nothing.
struct Beside<'a> {
    visit: Option<&'a Visit>,
    answered: Vec<(Action, Option<Wish>)>,
}

impl Beside<'_> {
    /// Whether it may be, as far as that can be said.
    async fn ask(&mut self, action: Action, request: &ChannelRequest) -> bool {
        if let Some((_, wish)) = self.answered.iter().find(|(answered, _)| *answered == action) {
            return wish.is_some();
        }
        let mut wish = Wish {
            action: action.clone(),
            name: request.name.clone(),
            payload: request.payload.clone(),
            permit: None,
        };
        let wish = match self.visit {
            None => Some(wish),
            Some(visit) => {
                let facts = ActionFacts::from(&action);
                let decided = visit.decide(&action, facts, &request.name).await;
                decided.ok().map(|permit| {
                    wish.permit = Some(permit);
                    wish
                })
            }
        };
        let carried = wish.is_some();
        self.answered.push((action, wish));
        carried
    }

    fn wishes(self) -> Vec<Wish> {
        self.answered.into_iter().filter_map(|(_, wish)| wish).collect()
    }
}

fn beside_the_program(request: &ChannelRequest) -> Option<Action> {
    match request.name.as_str() {
        "auth-agent-req@openssh.com" if request.payload.is_empty() => Some(Action::Agent),
        "x11-req" if x11_is_for_one(&request.payload).is_some() => Some(Action::X11),
        _ => None,
    }
}

/// Exactly one argument, to the last byte: what is decided on must be all that the target will read, and nothing that it
/// will not. sshd reads up to a NUL at the end, so that `sftp` with one is no other subsystem.
fn read_start(request: &ChannelRequest) -> Option<(Action, ActionFacts)> {
    let argument = match (request.name.as_str(), string(&request.payload)) {
        ("shell", None) if request.payload.is_empty() => &[][..],
        ("exec" | "subsystem", Some((argument, []))) => argument,
        _ => return None,
    };
    if argument.contains(&0) {
        return None;
    }
    let action = match request.name.as_str() {
        "shell" => Action::Shell,
        "exec" => {
            let command = String::from_utf8_lossy(argument).into_owned();
            return Some((Action::Exec { command }, ActionFacts::exec(argument)));
        }
        _ if argument == b"sftp" => Action::Sftp,
        _ => Action::Subsystem { name: String::from_utf8_lossy(argument).into_owned() },
    };
    let facts = ActionFacts::from(&action);
    Some((action, facts))
}

/// A string and what follows it (RFC 4251 §5).
pub(super) fn string(fields: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = fields.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn read_pty(payload: &[u8]) -> Option<PtyFacts> {
    let (term, rest) = string(payload)?;
    let (columns, rest) = rest.split_first_chunk::<4>()?;
    let rows = rest.first_chunk::<4>()?;
    Some(PtyFacts {
        term: Text::from_bytes(term),
        columns: u32::from_be_bytes(*columns),
        rows: u32::from_be_bytes(*rows),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, payload: &'static [u8]) -> ChannelRequest {
        ChannelRequest { name: name.to_owned(), want_reply: true, payload: Bytes::from_static(payload) }
    }

    #[test]
    fn a_start_is_recognised_with_its_particulars() {
        let action = |name, payload| read_start(&request(name, payload)).map(|(action, _)| action);
        assert_eq!(action("shell", b""), Some(Action::Shell));
        assert_eq!(action("exec", b"\0\0\0\x02ls"), Some(Action::Exec { command: "ls".to_owned() }));
        assert_eq!(action("subsystem", b"\0\0\0\x04sftp"), Some(Action::Sftp));
        assert_eq!(action("subsystem", b"\0\0\0\x02xy"), Some(Action::Subsystem { name: "xy".to_owned() }));
        assert_eq!(action("env", b""), None);
    }

    /// Warpgate refused a command that is not UTF-8.
    #[test]
    fn a_command_that_is_not_utf8_is_a_command() {
        assert!(read_start(&request("exec", b"\0\0\0\x02\xff\xfe")).is_some());
    }

    /// A length beyond the payload was decided on as an empty command, and passed on as it came.
    #[test]
    fn a_start_that_is_not_exactly_one_argument_is_none() {
        for payload in [&b"\0\0\0\x09ls"[..], b"\0\0\0\x02ls -l", b"\0\0", b""] {
            assert!(read_start(&request("exec", payload)).is_none(), "{payload:?}");
            assert!(read_start(&request("subsystem", payload)).is_none(), "{payload:?}");
        }
        assert!(read_start(&request("shell", b"\0\0\0\x02ls")).is_none());
    }

    /// `sftp` with a NUL behind it was decided on as some other subsystem, and sshd started sftp: where rules forbid that,
    /// and without its file operations on record.
    #[test]
    fn a_start_that_ends_in_a_nul_is_none() {
        assert!(read_start(&request("subsystem", b"\0\0\0\x05sftp\0")).is_none());
        assert!(read_start(&request("exec", b"\0\0\0\x03ls\0")).is_none());
        assert!(read_start(&request("exec", b"\0\0\0\x05ls\0-l")).is_none());
    }

    fn on_a_terminal() -> Prelude {
        let pty = &b"\0\0\0\x05xterm\0\0\0\x50\0\0\0\x18\0\0\0\0\0\0\0\0\0\0\0\x01\0"[..];
        let start = request("exec", b"\0\0\0\x05web-1");
        let (action, facts) = read_start(&start).expect("a start");
        let pty = Some((Bytes::from_static(pty), read_pty(pty).expect("a terminal")));
        Prelude {
            environment: Vec::new(),
            pty,
            start,
            action,
            facts,
            declined: Vec::new(),
            wishes: Vec::new(),
        }
    }

    #[test]
    fn a_terminal_that_was_resized_meanwhile_is_asked_for_in_its_new_size() {
        let mut prelude = on_a_terminal();
        prelude.resize(b"\0\0\0\x78\0\0\0\x28\0\0\0\0\0\0\0\0");
        let (payload, facts) = prelude.pty.clone().expect("a terminal");
        assert_eq!((facts.columns, facts.rows), (120, 40));
        assert!(payload.ends_with(b"\0\0\0\x28\0\0\0\0\0\0\0\0\0\0\0\x01\0"), "{payload:?}");
        prelude.resize(b"short");
        assert_eq!(prelude.pty.expect("a terminal").0, payload);
    }

    #[test]
    fn a_command_for_a_target_is_the_bytes_that_came() {
        let prelude = on_a_terminal();
        assert_eq!(prelude.command_line(), Some(&b"web-1"[..]));
        let exec = prelude.for_a_command(b"echo \xff");
        assert_eq!(exec.command_line(), Some(&b"echo \xff"[..]));
        assert!(!exec.start.want_reply);
        assert_eq!(prelude.for_a_shell().command_line(), None);
    }

    #[test]
    fn a_terminal_request_cut_short_is_declined() {
        assert!(read_pty(b"\0\0\0\x05xterm\0\0\0\x50\0\0\0\x18").is_some());
        assert!(read_pty(b"\0\0\0\x05xter").is_none());
        assert!(read_pty(b"\0\0\0\x05xterm\0\0").is_none());
    }
}
