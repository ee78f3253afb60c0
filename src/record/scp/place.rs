//! Where on the target the files of a copy are, as far as the command line and the names that were sent tell.

use super::super::operation::PathName;
use super::command::Command;

/// The deepest nesting, and the most bytes of names on the way there.
const DEPTH_MAX: usize = 2048;
const NAMES_MAX: usize = 64 * 1024;

/// The directory that the copy is in.
#[derive(Debug)]
pub(super) struct Place {
    command: Command,
    below: Vec<Vec<u8>>,
    names: usize,
}

impl Place {
    pub(super) fn new(command: Command) -> Self {
        Self { command, below: Vec::new(), names: 0 }
    }

    /// Goes into that directory; whether it is not too deep.
    pub(super) fn enter(&mut self, name: &[u8]) -> bool {
        self.names += name.len();
        self.below.push(name.to_vec());
        self.below.len() <= DEPTH_MAX && self.names <= NAMES_MAX
    }

    pub(super) fn leave(&mut self) {
        let left = self.below.pop().map_or(0, |name| name.len());
        self.names = self.names.saturating_sub(left);
    }

    /// What the command line names.
    pub(super) fn asked_for(&self) -> Option<&PathName> {
        self.command.paths.first().filter(|_| self.command.paths.len() == 1)
    }

    /// Where something of that name is, and what else there is to say about that.
    pub(super) fn of(&self, name: &[u8]) -> (PathName, Option<String>) {
        let mut names = self.below.iter().map(Vec::as_slice).chain([name]);
        let top = names.next().unwrap_or(name);
        let (start, detail) = if self.command.upload { self.written(top) } else { self.read(top) };
        (names.fold(start, |path, name| path.join(name)), detail)
    }

    /// The path itself, unless it is a directory: then something in it.
    fn written(&self, top: &[u8]) -> (PathName, Option<String>) {
        let Some(path) = self.command.paths.first() else { return (PathName::new(top), None) };
        let last = last_part(path.as_bytes());
        if self.command.into_directory || path.as_bytes().ends_with(b"/") || is_directory(last) {
            return (path.join(top), None);
        }
        let sent = PathName::new(top);
        let detail = format!("sent as {}, and so called if the path is a directory", sent.text());
        (path.clone(), (last != top).then_some(detail))
    }

    fn read(&self, top: &[u8]) -> (PathName, Option<String>) {
        let paths = &self.command.paths;
        if let Some(path) = paths.iter().find(|path| last_part(trimmed(path.as_bytes())) == top) {
            return (PathName::new(trimmed(path.as_bytes())), None);
        }
        if let [path] = paths.as_slice() {
            let whole = trimmed(path.as_bytes());
            let parent = whole.get(..whole.len() - last_part(whole).len()).unwrap_or_default();
            if !is_directory(last_part(whole)) && !parent.iter().any(|byte| b"*?[{$".contains(byte)) {
                return (PathName::new(parent).join(top), None);
            }
            return (PathName::new(top), Some(format!("asked for as {}", path.text())));
        }
        (PathName::new(top), Some("one of several paths of the command".to_owned()))
    }
}

fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(path.len().min(1), |last| last + 1);
    path.get(..end).unwrap_or(path)
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Whether that can only be the name of a directory.
fn is_directory(last: &[u8]) -> bool {
    matches!(last, b"" | b"." | b".." | b"~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str, below: &[&str], name: &str) -> (String, bool) {
        let mut place = Place::new(Command::read(command.as_bytes()).expect("a copy"));
        assert!(below.iter().all(|name| place.enter(name.as_bytes())));
        let (path, detail) = place.of(name.as_bytes());
        (path.text().into_owned(), detail.is_some())
    }

    fn sure(path: &str) -> (String, bool) {
        (path.to_owned(), false)
    }

    fn unsure(path: &str) -> (String, bool) {
        (path.to_owned(), true)
    }

    #[test]
    fn uploads_are_at_the_path_or_in_it() {
        assert_eq!(of("scp -t /srv/a", &[], "a"), sure("/srv/a"));
        assert_eq!(of("scp -t /srv/b", &[], "a"), unsure("/srv/b"));
        assert_eq!(of("scp -t /srv/", &[], "a"), sure("/srv/a"));
        assert_eq!(of("scp -t .", &[], "a"), sure("./a"));
        assert_eq!(of("scp -t ''", &[], "a"), sure("a"));
        assert_eq!(of("scp -d -t /srv", &[], "a"), sure("/srv/a"));
        assert_eq!(of("scp -r -t /srv", &["dir", "deep"], "a"), unsure("/srv/deep/a"));
        assert_eq!(of("scp -r -t /srv/dir", &["dir", "deep"], "a"), sure("/srv/dir/deep/a"));
        assert_eq!(of("scp -r -d -t /srv", &["dir"], "a"), sure("/srv/dir/a"));
    }

    #[test]
    fn downloads_are_where_the_command_line_says() {
        assert_eq!(of("scp -f /srv/a", &[], "a"), sure("/srv/a"));
        assert_eq!(of("scp -f /srv/*.log", &[], "a.log"), sure("/srv/a.log"));
        assert_eq!(of("scp -f /*/a?", &[], "ab"), unsure("ab"));
        assert_eq!(of("scp -r -f /srv/dir/", &["dir"], "a"), sure("/srv/dir/a"));
        assert_eq!(of("scp -r -f .", &["home"], "a"), unsure("home/a"));
        assert_eq!(of("scp -f a b/c", &[], "c"), sure("b/c"));
        assert_eq!(of("scp -f a b/*", &[], "c"), unsure("c"));
        assert_eq!(of("scp -f notes", &[], "notes"), sure("notes"));
    }

    #[test]
    fn nesting_is_bounded() {
        let command = || Command::read(b"scp -r -t /srv").expect("a copy");
        let mut place = Place::new(command());
        assert!((0..DEPTH_MAX).all(|_| place.enter(b"x")) && !place.enter(b"x"));
        let mut place = Place::new(command());
        assert!(place.enter(&[b'x'; NAMES_MAX]) && !place.enter(b"x"));
        place.leave();
        place.leave();
        place.leave();
        assert!(place.enter(b"x"));
    }
}
