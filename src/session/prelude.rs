//! What a client asks of a session channel before its program starts (RFC 4254 §6.2–6.5).

use bytes::Bytes;

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
    /// Requests that drawbridge does not carry, such as agent forwarding.
    pub(super) declined: Vec<String>,
}

impl Prelude {
    /// The same terminal and environment, for a shell that nobody waits to hear has started: what was asked for
    /// was answered before.
    pub(super) fn for_a_shell(&self) -> Self {
        let start = ChannelRequest { name: "shell".to_owned(), want_reply: false, payload: Bytes::new() };
        Self {
            environment: self.environment.clone(),
            pty: self.pty.clone(),
            start,
            action: Action::Shell,
            facts: ActionFacts::from(&Action::Shell),
            declined: self.declined.clone(),
        }
    }
}

/// Reads requests until a program is asked for; nothing when the client closes first.
pub(super) async fn read(channel: &Channel, pty_allowed: bool) -> Option<Prelude> {
    let mut environment = Vec::new();
    let mut environment_bytes = 0;
    let mut pty = None;
    let mut declined = Vec::new();
    loop {
        let request = channel.recv_request().await?;
        if let Some((action, facts)) = read_start(&request) {
            return Some(Prelude { environment, pty, start: request, action, facts, declined });
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

/// Exactly one argument, to the last byte: what is decided on must be all that the target will read.
fn read_start(request: &ChannelRequest) -> Option<(Action, ActionFacts)> {
    let argument = match (request.name.as_str(), string(&request.payload)) {
        ("shell", None) if request.payload.is_empty() => &[][..],
        ("exec" | "subsystem", Some((argument, []))) => argument,
        _ => return None,
    };
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

fn string(fields: &[u8]) -> Option<(&[u8], &[u8])> {
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

    #[test]
    fn a_terminal_request_cut_short_is_declined() {
        assert!(read_pty(b"\0\0\0\x05xterm\0\0\0\x50\0\0\0\x18").is_some());
        assert!(read_pty(b"\0\0\0\x05xter").is_none());
        assert!(read_pty(b"\0\0\0\x05xterm\0\0").is_none());
    }
}
