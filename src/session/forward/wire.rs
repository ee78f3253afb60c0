//! What forwarding requests and channels say of themselves (RFC 4254 §6.3, §7; OpenSSH PROTOCOL §2.4).
//!
//! Each is read to its last byte: what is decided about must be all that the other side will read.

use bytes::Bytes;

use crate::domain::Action;
use crate::ssh::ChannelKind;

pub(in crate::session) const DIRECT_SOCKET: &str = "direct-streamlocal@openssh.com";
pub(super) const FORWARDED_PORT: &str = "forwarded-tcpip";
pub(super) const FORWARDED_SOCKET: &str = "forwarded-streamlocal@openssh.com";
pub(super) const AGENT: &str = "auth-agent@openssh.com";
pub(super) const X11: &str = "x11";
const LISTEN_PORT: &str = "tcpip-forward";
const CEASE_PORT: &str = "cancel-tcpip-forward";
const LISTEN_SOCKET: &str = "streamlocal-forward@openssh.com";
const CEASE_SOCKET: &str = "cancel-streamlocal-forward@openssh.com";

/// The longest host or path that is carried, in bytes: more than a name or a socket can have.
const PLACE_MAX: usize = 255;

/// Where a target listens, or is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listen {
    /// A port; 0 lets the target choose.
    Port { host: String, port: u16 },
    /// A Unix socket.
    Socket { path: String },
}

impl Listen {
    /// What policy is asked about it.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Port { host, port } => Action::RemoteForward { host: host.clone(), port: *port },
            Self::Socket { path } => Action::RemoteSocket { path: path.clone() },
        }
    }

    /// The same by the port that the target chose.
    pub(super) fn at_port(self, port: u16) -> Self {
        match self {
            Self::Port { host, .. } => Self::Port { host, port },
            socket @ Self::Socket { .. } => socket,
        }
    }

    /// The request that the target cease to listen there, where that is the port that it has.
    pub(super) fn cease_request(&self) -> (&'static str, Vec<u8>) {
        let string = |text: &str| {
            // No place is longer than `PLACE_MAX`.
            let length = u32::try_from(text.len()).unwrap_or_default();
            [&length.to_be_bytes()[..], text.as_bytes()].concat()
        };
        match self {
            Self::Port { host, port } => {
                (CEASE_PORT, [string(host), u32::from(*port).to_be_bytes().to_vec()].concat())
            }
            Self::Socket { path } => (CEASE_SOCKET, string(path)),
        }
    }
}

/// What a client asks of its connection as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// The target shall listen.
    Listen(Listen),
    /// It shall no longer.
    Cease(Listen),
}

/// Why something cannot be passed on: a sentence.
pub(super) type Nonsense = &'static str;

const CUT_SHORT: Nonsense =
    "what your client asks for is not as the protocol has it; check its version, or try another client.";
const NO_PORT: Nonsense = "there is no such port; ports go from 1 to 65535.";
const NO_HOST: Nonsense = "this is no host name or address; check its spelling.";
const NO_PATH: Nonsense = "this is no path of a Unix socket that drawbridge can decide about; write all of it, from / on, \
     without `.`, `..` or doubled slashes.";

/// Whether a global request is about forwarding.
pub(in crate::session) fn is_request(name: &str) -> bool {
    [LISTEN_PORT, CEASE_PORT, LISTEN_SOCKET, CEASE_SOCKET].contains(&name)
}

/// Reads a global request; nothing where it is not about forwarding.
pub(super) fn read_request(name: &str, payload: &[u8]) -> Option<Result<Request, Nonsense>> {
    let mut fields = Fields(payload);
    Some(match name {
        LISTEN_PORT => fields.listen_port().map(Request::Listen),
        CEASE_PORT => fields.listen_port().map(Request::Cease),
        LISTEN_SOCKET => fields.listen_socket().map(Request::Listen),
        CEASE_SOCKET => fields.listen_socket().map(Request::Cease),
        _ => return None,
    })
}

/// A connection that a client wants the target to make, and who wants it there; nothing where the channel is for
/// something else.
pub(super) fn read_direct(kind: &ChannelKind) -> Option<Result<(Action, Option<String>), Nonsense>> {
    match kind {
        ChannelKind::DirectTcpip { host, port, originator, originator_port } => {
            Some(direct_port(host, *port).map(|action| (action, said(originator, *originator_port))))
        }
        ChannelKind::Other { name, payload } if name == DIRECT_SOCKET => {
            let mut fields = Fields(payload);
            Some(fields.direct_socket().map(|action| (action, None)))
        }
        ChannelKind::Session | ChannelKind::Other { .. } => None,
    }
}

fn direct_port(host: &str, port: u32) -> Result<Action, Nonsense> {
    let port = u16::try_from(port).ok().filter(|port| *port != 0).ok_or(NO_PORT)?;
    if host.is_empty() || !is_plain(host) {
        return Err(NO_HOST);
    }
    Ok(Action::LocalForward { host: host.to_owned(), port })
}

/// What a target opens towards us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opened {
    /// Somebody connected to where it listens.
    Forwarded(Listen, Option<String>),
    /// A program wants the agent.
    Agent,
    /// A program wants the display.
    X11(Option<String>),
}

/// Reads a channel that a target opens; nothing where nobody can have asked for such a one.
pub(super) fn read_opened(kind: &ChannelKind) -> Option<Opened> {
    let ChannelKind::Other { name, payload } = kind else { return None };
    let mut fields = Fields(payload);
    match name.as_str() {
        FORWARDED_PORT => {
            let listen = fields.port_at().ok()?;
            let originator = fields.originator()?;
            fields.end(Opened::Forwarded(listen, originator)).ok()
        }
        FORWARDED_SOCKET => {
            let path = fields.text(NO_PATH).ok()?;
            fields.string()?; // reserved
            fields.end(Opened::Forwarded(Listen::Socket { path }, None)).ok()
        }
        AGENT => fields.end(Opened::Agent).ok(),
        X11 => {
            let originator = fields.originator()?;
            fields.end(Opened::X11(originator)).ok()
        }
        _ => None,
    }
}

/// Whether an `x11-req` is for one window only; nothing when it is not as RFC 4254 §6.3.1 has it.
pub(in crate::session) fn x11_is_for_one(payload: &[u8]) -> Option<bool> {
    let mut fields = Fields(payload);
    let single = fields.byte()? != 0;
    fields.string()?; // the protocol
    fields.string()?; // the cookie: the client's own, and no concern of ours
    fields.u32()?; // the screen
    fields.end(single).ok()
}

/// The port that a target chose.
pub(super) fn read_port(payload: &Bytes) -> Option<u16> {
    let mut fields = Fields(payload);
    let port = u16::try_from(fields.u32()?).ok().filter(|port| *port != 0)?;
    fields.end(port).ok()
}

fn said(host: &str, port: u32) -> Option<String> {
    (!host.is_empty()).then(|| format!("{host} port {port}"))
}

/// A target's resolver may stop at a NUL that policy saw beyond, so there is none.
fn is_plain(place: &str) -> bool {
    place.len() <= PLACE_MAX && !place.contains(char::is_control)
}

/// Whether a path is spelt as policy would spell it: rules compare texts, and `/run/app/../docker.sock` or
/// `//run/docker.sock` leads a target elsewhere than its text says. Links on the target are the target's.
fn is_straight(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    rest.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        let (four, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*four))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A host or path.
    fn text(&mut self, otherwise: Nonsense) -> Result<String, Nonsense> {
        let bytes = self.string().ok_or(CUT_SHORT)?;
        let text = std::str::from_utf8(bytes).map_err(|_| otherwise)?;
        if is_plain(text) { Ok(text.to_owned()) } else { Err(otherwise) }
    }

    fn originator(&mut self) -> Option<Option<String>> {
        let host = String::from_utf8_lossy(self.string()?);
        let port = self.u32()?;
        Some(said(&host, port))
    }

    fn port_at(&mut self) -> Result<Listen, Nonsense> {
        let host = self.text(NO_HOST)?;
        let port = u16::try_from(self.u32().ok_or(CUT_SHORT)?).map_err(|_| NO_PORT)?;
        Ok(Listen::Port { host, port })
    }

    fn listen_port(&mut self) -> Result<Listen, Nonsense> {
        let listen = self.port_at()?;
        self.end(listen)
    }

    /// The path of a socket, for policy to decide about.
    fn path(&mut self) -> Result<String, Nonsense> {
        let path = self.text(NO_PATH)?;
        if is_straight(&path) { Ok(path) } else { Err(NO_PATH) }
    }

    fn listen_socket(&mut self) -> Result<Listen, Nonsense> {
        let path = self.path()?;
        self.end(Listen::Socket { path })
    }

    fn direct_socket(&mut self) -> Result<Action, Nonsense> {
        let path = self.path()?;
        self.string().ok_or(CUT_SHORT)?; // reserved
        self.u32().ok_or(CUT_SHORT)?; // reserved
        self.end(Action::LocalSocket { path })
    }

    fn end<T>(&self, whole: T) -> Result<T, Nonsense> {
        if self.0.is_empty() { Ok(whole) } else { Err(CUT_SHORT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(parts: &[&[u8]], numbers: &[u32]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            out.extend_from_slice(&u32::try_from(part.len()).expect("short").to_be_bytes());
            out.extend_from_slice(part);
            if let Some(number) = numbers.get(at) {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        out
    }

    fn direct(host: &str, port: u32) -> Result<(Action, Option<String>), Nonsense> {
        let kind = ChannelKind::DirectTcpip {
            host: host.to_owned(),
            port,
            originator: "127.0.0.1".to_owned(),
            originator_port: 5,
        };
        read_direct(&kind).expect("it is a direct one")
    }

    fn other(name: &str, payload: Vec<u8>) -> ChannelKind {
        ChannelKind::Other { name: name.to_owned(), payload: payload.into() }
    }

    #[test]
    fn ports_that_do_not_exist_are_none() {
        assert!(direct("db", 1).is_ok() && direct("db", 65_535).is_ok());
        for port in [0, 65_536, u32::MAX] {
            assert_eq!(direct("db", port), Err(NO_PORT));
            let asked = read_request(LISTEN_PORT, &fields(&[b""], &[port])).expect("about forwarding");
            assert_eq!(asked.is_ok(), port == 0, "{port}: a target may choose its own");
        }
    }

    /// sshd reads a host up to a NUL at its end: policy would see another name than the one that is used.
    #[test]
    fn hosts_and_paths_have_no_hidden_ends() {
        for host in ["", "169.254.169.254\0", "a\nb", &"h".repeat(256)] {
            assert_eq!(direct(host, 80), Err(NO_HOST), "{host:?}");
        }
        for path in [&b""[..], b"/run/x\0", b"/run/\xff", &[b'p'; 256]] {
            let kind = other(DIRECT_SOCKET, [fields(&[path, b""], &[]), vec![0; 4]].concat());
            assert_eq!(read_direct(&kind), Some(Err(NO_PATH)), "{path:?}");
            assert_eq!(read_request(LISTEN_SOCKET, &fields(&[path], &[])), Some(Err(NO_PATH)), "{path:?}");
        }
    }

    /// A rule about `/run/app/*` let `/run/app/../docker.sock` through, and one that forbids a socket any other way to
    /// write its path.
    #[test]
    fn a_socket_has_one_spelling() {
        for path in [
            "/run/app/../docker.sock",
            "//run/x",
            "/run//x",
            "/run/./x",
            "/..",
            "/",
            "/run/x/",
            "run/x",
            "./x",
        ] {
            let kind = other(DIRECT_SOCKET, [fields(&[path.as_bytes(), b""], &[]), vec![0; 4]].concat());
            assert_eq!(read_direct(&kind), Some(Err(NO_PATH)), "{path}");
            let asked = fields(&[path.as_bytes()], &[]);
            assert_eq!(read_request(LISTEN_SOCKET, &asked), Some(Err(NO_PATH)), "{path}");
        }
        for path in ["/run/app/s.sock", "/run/user/1000/gnupg/S.gpg-agent", "/tmp/..x/.s"] {
            let kind = other(DIRECT_SOCKET, [fields(&[path.as_bytes(), b""], &[]), vec![0; 4]].concat());
            let action = Action::LocalSocket { path: path.to_owned() };
            assert_eq!(read_direct(&kind), Some(Ok((action, None))), "{path}");
        }
    }

    #[test]
    fn nothing_may_follow_the_last_field() {
        let whole = fields(&[b"localhost"], &[8080]);
        let listen = Listen::Port { host: "localhost".to_owned(), port: 8080 };
        assert_eq!(read_request(LISTEN_PORT, &whole), Some(Ok(Request::Listen(listen.clone()))));
        assert_eq!(read_request(CEASE_PORT, &whole), Some(Ok(Request::Cease(listen))));
        assert_eq!(read_request(LISTEN_PORT, &[&whole[..], b"x"].concat()), Some(Err(CUT_SHORT)));
        for cut in 0..whole.len() {
            assert_eq!(read_request(LISTEN_PORT, &whole[..cut]), Some(Err(CUT_SHORT)), "{cut}");
        }
        assert_eq!(read_request("who-are-you@example.com", &whole), None);
    }

    #[test]
    fn what_is_asked_to_cease_is_what_was_asked_to_listen() {
        let port = Listen::Port { host: "localhost".to_owned(), port: 8080 };
        let socket = Listen::Socket { path: "/run/x".to_owned() };
        for listen in [port, socket] {
            let (name, payload) = listen.cease_request();
            assert_eq!(read_request(name, &payload), Some(Ok(Request::Cease(listen))));
        }
    }

    #[test]
    fn what_a_target_opens_is_read_to_its_end() {
        let payload = fields(&[b"", b"192.0.2.1"], &[8080, 5]);
        let opened = Opened::Forwarded(
            Listen::Port { host: String::new(), port: 8080 },
            Some("192.0.2.1 port 5".to_owned()),
        );
        assert_eq!(read_opened(&other(FORWARDED_PORT, payload.clone())), Some(opened));
        assert_eq!(read_opened(&other(FORWARDED_PORT, [payload, vec![0]].concat())), None);
        assert_eq!(read_opened(&other(AGENT, Vec::new())), Some(Opened::Agent));
        assert_eq!(read_opened(&other(AGENT, vec![0])), None);
        assert_eq!(read_opened(&other("session-of-mine", Vec::new())), None);
        assert_eq!(read_opened(&ChannelKind::Session), None);
    }

    #[test]
    fn a_display_for_one_window_is_told_from_one_for_all() {
        let request = |single: u8| [vec![single], fields(&[b"MIT-MAGIC-COOKIE-1", b"00"], &[]), vec![0; 4]];
        assert_eq!(x11_is_for_one(&request(1).concat()), Some(true));
        assert_eq!(x11_is_for_one(&request(0).concat()), Some(false));
        assert_eq!(x11_is_for_one(&request(0).concat()[..9]), None);
    }

    #[test]
    fn a_chosen_port_is_one() {
        assert_eq!(read_port(&Bytes::from_static(&[0, 0, 0x1f, 0x90])), Some(8080));
        for wrong in [&[0, 0, 0, 0][..], &[0, 1, 0, 0], &[0, 0, 1], &[0, 0, 0, 1, 0]] {
            assert_eq!(read_port(&Bytes::copy_from_slice(wrong)), None, "{wrong:?}");
        }
    }
}
