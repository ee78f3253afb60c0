//! What a client asks of a session channel (RFC 4254 §6), read from the wire.

use super::program::{PtyRequest, Start};

/// The most modes that are read from one `pty-req`; there are 256 opcodes.
const MODES_MAX: usize = 256;

/// One request, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Pty(PtyRequest),
    Env(String, Vec<u8>),
    Start(Start),
    WindowChange {
        columns: u32,
        rows: u32,
    },
    Signal(String),
    /// Nobody reads the output any more (OpenSSH PROTOCOL §2.1, `eow@openssh.com`).
    ReaderLeft,
    /// Something that is not served here, or that ends too early.
    Unknown,
}

/// Reads a request by its name and its own fields.
pub(super) fn read(name: &str, payload: &[u8]) -> Asked {
    let mut fields = Fields(payload);
    let asked = match name {
        "pty-req" => fields.pty().map(Asked::Pty),
        "env" => fields.env(),
        "shell" => Some(Asked::Start(Start::Shell)),
        "exec" => fields.string().map(|command| Asked::Start(Start::Exec(command.to_vec()))),
        "subsystem" if fields.string() == Some(b"sftp") => Some(Asked::Start(Start::Sftp)),
        "window-change" => fields.window(),
        "signal" => fields.text().map(Asked::Signal),
        "eow@openssh.com" => Some(Asked::ReaderLeft),
        _ => None,
    };
    asked.unwrap_or(Asked::Unknown)
}

/// Fields of RFC 4251 §5.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn uint32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uint32()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.string()?).into_owned())
    }

    fn pty(&mut self) -> Option<PtyRequest> {
        let term = self.text()?;
        let (columns, rows) = (self.uint32()?, self.uint32()?);
        let (_width_px, _height_px) = (self.uint32()?, self.uint32()?);
        Some(PtyRequest { term, columns, rows, modes: modes(self.string()?) })
    }

    fn env(&mut self) -> Option<Asked> {
        Some(Asked::Env(self.text()?, self.string()?.to_vec()))
    }

    fn window(&mut self) -> Option<Asked> {
        Some(Asked::WindowChange { columns: self.uint32()?, rows: self.uint32()? })
    }
}

/// Modes end with opcode 0, and at the first opcode of 160 and above, whose arguments have no
/// known form (RFC 4254 §8).
fn modes(encoded: &[u8]) -> Vec<(u8, u32)> {
    let mut modes = Vec::new();
    let mut rest = encoded;
    while let Some(([opcode @ 1..160], after)) = rest.split_first_chunk::<1>() {
        let mut fields = Fields(after);
        let Some(argument) = fields.uint32().filter(|_| modes.len() < MODES_MAX) else { break };
        modes.push((*opcode, argument));
        rest = fields.0;
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(out: &mut Vec<u8>, text: &[u8]) {
        out.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
        out.extend(text);
    }

    #[test]
    fn a_terminal_is_read_with_its_modes() {
        let mut payload = Vec::new();
        string(&mut payload, b"xterm");
        for number in [80_u32, 24, 0, 0] {
            payload.extend(number.to_be_bytes());
        }
        string(&mut payload, &[53, 0, 0, 0, 1, 128, 0, 0, 0x96, 0, 0, 99]);
        let expected = PtyRequest {
            term: "xterm".to_owned(),
            columns: 80,
            rows: 24,
            modes: vec![(53, 1), (128, 38_400)],
        };
        assert_eq!(read("pty-req", &payload), Asked::Pty(expected));
        for length in 0..payload.len() {
            assert_eq!(read("pty-req", &payload[..length]), Asked::Unknown, "{length}");
        }
    }

    #[test]
    fn commands_keep_their_bytes_and_only_sftp_is_a_subsystem() {
        let mut payload = Vec::new();
        string(&mut payload, b"echo \xff");
        assert_eq!(read("exec", &payload), Asked::Start(Start::Exec(b"echo \xff".to_vec())));
        let (mut sftp, mut netconf) = (Vec::new(), Vec::new());
        string(&mut sftp, b"sftp");
        string(&mut netconf, b"netconf");
        assert_eq!(read("subsystem", &sftp), Asked::Start(Start::Sftp));
        assert_eq!(read("subsystem", &netconf), Asked::Unknown);
        assert_eq!(read("eow@openssh.com", &[]), Asked::ReaderLeft);
        assert_eq!(read("xon-xoff", &[1]), Asked::Unknown);
    }

    #[test]
    fn modes_that_break_off_are_what_was_read_so_far() {
        assert_eq!(modes(&[53, 0, 0, 0, 1, 54, 0]), [(53, 1)]);
        assert_eq!(modes(&[160, 0, 0, 0, 1]), []);
        assert_eq!(modes(&[]), []);
    }
}
