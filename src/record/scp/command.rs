//! The command line by which a client starts the far end of a copy.

use super::super::operation::PathName;

/// What `scp` on the target was started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// `-t`: files come from the client. Else `-f`: they go there.
    pub(super) upload: bool,
    /// `-d`: the path must be a directory.
    pub(super) into_directory: bool,
    /// As they were written, without quotes.
    pub(super) paths: Vec<PathName>,
}

/// The options of scp(1) that take an argument.
const WITH_ARGUMENT: &[u8] = b"cDFiJloPSX";
/// The most paths; a command line is bounded by what SSH carries in one packet.
const PATHS_MAX: usize = 64;

impl Command {
    /// Reads a command line; nothing where it is not `scp -t` or `scp -f` alone.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let words = words(line)?;
        let (program, arguments) = words.split_first()?;
        if program.rsplit(|byte| *byte == b'/').next() != Some(b"scp") {
            return None;
        }
        let (mut to, mut from, mut into_directory) = (false, false, false);
        let mut arguments = arguments.iter();
        let mut paths = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix(b"-") {
                Some(b"-") => break,
                Some(flags) if !flags.is_empty() => {
                    let valued = flags.iter().position(|flag| WITH_ARGUMENT.contains(flag));
                    let plain = flags.get(..valued.unwrap_or(flags.len())).unwrap_or_default();
                    to |= plain.contains(&b't');
                    from |= plain.contains(&b'f');
                    into_directory |= plain.contains(&b'd');
                    if valued.is_some_and(|at| at + 1 == flags.len()) {
                        arguments.next();
                    }
                }
                Some(_) | None => {
                    paths.push(PathName::new(argument));
                    break;
                }
            }
        }
        paths.extend(arguments.map(|path| PathName::new(path)));
        let sane = to != from && !paths.is_empty() && paths.len() <= PATHS_MAX && (from || paths.len() == 1);
        sane.then_some(Self { upload: to, into_directory, paths })
    }
}

/// Splits as a shell does; nothing where a shell would do more than split and expand names.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied().peekable();
    let mut quote = None;
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(b'\''), b'\'') | (Some(b'"'), b'"') => quote = None,
            (Some(b'\''), _) => word.get_or_insert_default().push(byte),
            (_, b'`' | b'\0') => return None,
            (_, b'$') if bytes.peek() == Some(&b'(') => return None,
            (Some(_), b'\\') if !bytes.peek().is_some_and(|next| b"\\\"$`\n".contains(next)) => {
                word.get_or_insert_default().push(byte);
            }
            (_, b'\\') => word.get_or_insert_default().push(bytes.next()?),
            (Some(_), _) => word.get_or_insert_default().push(byte),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t') => words.extend(word.take()),
            (None, b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'\n') => return None,
            (None, b'#') if word.is_none() => return None,
            (None, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(bool, bool, Vec<String>)> {
        let Command { upload, into_directory, paths } = Command::read(line.as_bytes())?;
        Some((upload, into_directory, paths.iter().map(|path| path.text().into_owned()).collect()))
    }

    fn path(upload: bool, into: bool, path: &str) -> Option<(bool, bool, Vec<String>)> {
        Some((upload, into, vec![path.to_owned()]))
    }

    #[test]
    fn what_clients_send_is_read() {
        assert_eq!(read("scp -t /srv/a.tar"), path(true, false, "/srv/a.tar"));
        assert_eq!(read("scp -v -r -p -d -t -- -odd"), path(true, true, "-odd"));
        assert_eq!(read("/usr/bin/scp -qrdt '/srv/my files'"), path(true, true, "/srv/my files"));
        assert_eq!(read(r#"scp -p -f "a \"b\" \c" "#), path(false, false, r#"a "b" \c"#));
        assert_eq!(read(r"scp -f a\ b"), path(false, false, "a b"));
        assert_eq!(read("scp -f ~/*.log"), path(false, false, "~/*.log"));
        assert_eq!(read("scp -f $HOME/x"), path(false, false, "$HOME/x"));
        assert_eq!(read("scp -l 100 -f x"), path(false, false, "x"));
        let two = Some((false, false, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read("scp -f a b"), two);
    }

    #[test]
    fn what_is_more_than_scp_or_less_is_not() {
        for line in [
            "scp -t x; rm y",
            "scp -f $(cat list)",
            "scp -f `cat list`",
            "scp -t x && true",
            "scp -f \"$(id)\"",
            "scp -f x | gzip",
            "scp -t x > y",
            "scp -t 'x",
            "scp -t x\\",
            "scp a host:b",
            "scp -t",
            "scp -t a b",
            "scp -t -f a",
            "scpx -t a",
            "rsync --server -t a",
            "scp -t x\nid",
            "",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
