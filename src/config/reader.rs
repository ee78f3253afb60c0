//! Takes typed values out of the merged layers and remembers every mistake on the way.
//!
//! What always holds: a mistake costs the key its default, so that reading goes on and finds the
//! next one; every key that is asked for is known, and every key that is not is reported.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::{Value, ValueKind};

use super::disk::{Claim, Expect};
use super::duration::{format_duration, parse_duration};
use super::layers::Table;
use super::origin::{Complaint, Origin, Placed};
use super::value::{boolean, integer, list_of, path, quoted, table_of, text};

/// The keys that exist, by section.
pub(super) type KnownKeys = BTreeMap<&'static str, Vec<&'static str>>;

/// Reads sections, one after the other.
#[derive(Debug)]
pub(super) struct Reader {
    tree: Table,
    /// What relative paths of the file are relative to.
    folder: PathBuf,
    pub(super) complaints: Vec<Placed>,
    pub(super) claims: Vec<Claim>,
    /// Paths that stand in for one that could not be read: nothing below them means anything.
    pub(super) doubtful: Vec<PathBuf>,
    /// All keys that were asked for, by section.
    pub(super) known: KnownKeys,
    /// Keys nobody asked for: section, key, where.
    pub(super) unknown: Vec<(String, String, Origin)>,
}

impl Reader {
    pub(super) fn new(tree: Table, folder: PathBuf) -> Self {
        Self {
            tree,
            folder,
            complaints: Vec::new(),
            claims: Vec::new(),
            doubtful: Vec::new(),
            known: KnownKeys::new(),
            unknown: Vec::new(),
        }
    }

    /// Reads one section; what `read` does not ask for is unknown.
    pub(super) fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let table = match self.tree.remove(name).map(|value| value.kind) {
            Some(ValueKind::Table(table)) => table,
            _ => Table::new(),
        };
        self.read_table(name, table, Origin::Default, read)
    }

    /// Ends the reading: sections nobody asked for are unknown, with all their keys.
    pub(super) fn close(&mut self) {
        for (name, value) in std::mem::take(&mut self.tree) {
            if let ValueKind::Table(table) = value.kind {
                self.forget(&name, table);
            }
        }
    }

    fn read_table<T>(
        &mut self,
        name: &'static str,
        table: Table,
        origin: Origin,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        self.known.entry(name).or_default();
        let complaints_before = self.complaints.len();
        let mut section = Section { reader: self, name, table, origin, complaints_before };
        let result = read(&mut section);
        let rest = section.table;
        self.forget(name, rest);
        result
    }

    fn forget(&mut self, section: &str, table: Table) {
        self.unknown
            .extend(table.into_iter().map(|(key, value)| (section.to_owned(), key, Origin::of(&value))));
    }
}

/// One section while it is read.
#[derive(Debug)]
pub(super) struct Section<'r> {
    reader: &'r mut Reader,
    name: &'static str,
    table: Table,
    /// Where the section itself stands, for what is missing in it.
    origin: Origin,
    complaints_before: usize,
}

impl Section<'_> {
    /// Reads a key as `parse` understands it. A missing key and a broken one give nothing; the
    /// broken one is also complained about.
    pub(super) fn parse<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Complaint>,
    ) -> Option<T> {
        let value = self.take(key)?;
        match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(complaint) => {
                self.complain_about(key, Origin::of(&value), complaint);
                None
            }
        }
    }

    /// Complains when a key is missing that has to be there.
    pub(super) fn require(&mut self, key: &'static str, example: &str) {
        self.learn(key);
        if !self.table.contains_key(key) {
            let complaint = Complaint::new(format!("[[{}]] has no `{key}`", self.name));
            self.complain(complaint.hint(format!("add a line such as {key} = {example}")));
        }
    }

    /// Whether nothing in this section was complained about so far.
    pub(super) fn is_sound(&self) -> bool {
        self.reader.complaints.len() == self.complaints_before
    }

    /// A whole number within a range.
    pub(super) fn integer<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let in_range = |value: &Value| {
            let number = integer(value)?;
            T::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(|| {
                Complaint::new(format!("{number} is out of range")).hint(format!(
                    "write a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
        };
        self.parse(key, in_range).unwrap_or(default)
    }

    /// A duration within a range.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let in_range = |value: &Value| {
            let text = text(value).map_err(|complaint| {
                complaint.hint("write a duration in quotes, such as \"30s\", \"15m\" or \"8h\"")
            })?;
            let duration = parse_duration(text).map_err(|error| {
                Complaint::new(format!("{} is not a duration: {error}", quoted(text)))
                    .hint("write a number and a unit, such as \"30s\", \"15m\" or \"8h\"")
            })?;
            if range.contains(&duration) {
                return Ok(duration);
            }
            let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
            Err(Complaint::new(format!("{} is out of range", quoted(text)))
                .hint(format!("write a duration from \"{least}\" to \"{most}\"")))
        };
        self.parse(key, in_range).unwrap_or(default)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.parse(key, boolean).unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, default: T, choices: &[(&str, T)]) -> T {
        let chosen = |value: &Value| {
            let word = text(value)?;
            choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice).ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                Complaint::new(format!("{} is not one of the choices", quoted(word)))
                    .hint(format!("write {}", names.join(" or ")))
            })
        };
        self.parse(key, chosen).unwrap_or(default)
    }

    /// A list of at least so many; each broken element is complained about in its own place.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        least: usize,
        default: impl FnOnce() -> Vec<T>,
        mut parse: impl FnMut(&Value) -> Result<T, Complaint>,
    ) -> Vec<T> {
        let Some(values) = self.parse(key, |value| list_of(value, least)) else { return default() };
        let mut parsed = Vec::with_capacity(values.len());
        for value in values {
            match parse(&value) {
                Ok(one) => parsed.push(one),
                Err(complaint) => self.complain_about(key, Origin::of(&value), complaint),
            }
        }
        parsed
    }

    /// Reads each of a list of tables, as `[[name]]` writes them; `name` is `section.key`.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        mut read: impl FnMut(&mut Section<'_>),
    ) {
        let hint = || format!("write one [[{name}]] for each");
        let values = self.parse(key, |value| list_of(value, 0).map_err(|complaint| complaint.hint(hint())));
        for value in values.unwrap_or_default() {
            let origin = Origin::of(&value);
            if let ValueKind::Table(table) = value.kind {
                self.reader.read_table(name, table, origin, &mut read);
            } else {
                self.complain_about(key, origin, Complaint::new("it is not a table").hint(hint()));
            }
        }
    }

    /// A path; one that the file has relative is relative to the file's folder.
    pub(super) fn path(&mut self, key: &'static str, default: &str, expect: Expect) -> PathBuf {
        self.path_under(key, default, None, expect)
    }

    /// A path of something that drawbridge itself writes: relative to `data_dir`, wherever it was
    /// written.
    pub(super) fn state_path(
        &mut self,
        key: &'static str,
        default: &str,
        data_dir: &Path,
        expect: Expect,
    ) -> PathBuf {
        self.path_under(key, default, Some(data_dir), expect)
    }

    /// A list of at least so many paths.
    pub(super) fn paths(
        &mut self,
        key: &'static str,
        least: usize,
        default: &[&str],
        expect: Expect,
    ) -> Vec<PathBuf> {
        let default = || default.iter().map(|path| (PathBuf::from(path), Origin::Default)).collect();
        let found = self.list(key, least, default, |value| Ok((path(value)?, Origin::of(value))));
        let claim = |(path, origin): (PathBuf, Origin)| {
            let root = self.root_for(&origin);
            self.claim(key, origin, root.join(path), expect)
        };
        found.into_iter().map(claim).collect()
    }

    /// Whether a key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A path that may be left out.
    pub(super) fn optional_path(&mut self, key: &'static str, expect: Expect) -> Option<PathBuf> {
        self.learn(key);
        self.has(key).then(|| self.path(key, key, expect))
    }

    /// A table of names and texts, such as `{ name = "text" }`, in the order of the names.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        check: impl Fn(&str, &str) -> Result<(), Complaint>,
    ) -> Vec<(String, String)> {
        let read = |value: &Value| {
            let mut texts = Vec::new();
            for (name, value) in table_of(value)? {
                let text = text(&value)?;
                check(&name, text)?;
                texts.push((name, text.to_owned()));
            }
            texts.sort();
            Ok(texts)
        };
        self.parse(key, read).unwrap_or_default()
    }

    /// A table of names and paths, in the order of the names.
    pub(super) fn paths_by_name(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), Complaint>,
        expect: Expect,
    ) -> Vec<(String, PathBuf)> {
        let read = |value: &Value| {
            let mut paths = Vec::new();
            for (name, value) in table_of(value)? {
                check(&name)?;
                paths.push((name, path(&value)?, Origin::of(&value)));
            }
            Ok(paths)
        };
        let mut found = self.parse(key, read).unwrap_or_default();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let claim = |(name, path, origin): (String, PathBuf, Origin)| {
            let root = self.root_for(&origin);
            (name, self.claim(key, origin, root.join(path), expect))
        };
        found.into_iter().map(claim).collect()
    }

    /// Complains about a key as a whole, where it was written.
    fn complain_about(&mut self, key: &str, origin: Origin, complaint: Complaint) {
        let message = format!("`{}.{key}`: {}", self.name, complaint.message);
        self.reader.complaints.push(Placed::new(origin, Complaint { message, hint: complaint.hint }));
    }

    /// Complains about how several keys of this section fit together.
    pub(super) fn complain(&mut self, complaint: Complaint) {
        self.reader.complaints.push(Placed::new(self.origin.clone(), complaint));
    }

    fn path_under(
        &mut self,
        key: &'static str,
        default: &str,
        root: Option<&Path>,
        expect: Expect,
    ) -> PathBuf {
        let was_written = self.table.contains_key(key);
        let found = self.parse(key, |value| Ok((path(value)?, Origin::of(value))));
        let is_broken = was_written && found.is_none();
        let (path, origin) = found.unwrap_or_else(|| (PathBuf::from(default), Origin::Default));
        let path = root.map_or_else(|| self.root_for(&origin), Path::to_path_buf).join(path);
        if is_broken {
            self.reader.doubtful.push(path.clone());
            return path;
        }
        self.claim(key, origin, path, expect)
    }

    /// Relative paths of variables and flags are relative to the working directory.
    fn root_for(&self, origin: &Origin) -> PathBuf {
        if origin.is_plain_text() { working_directory() } else { self.reader.folder.clone() }
    }

    fn claim(&mut self, key: &str, origin: Origin, path: PathBuf, expect: Expect) -> PathBuf {
        let name = format!("{}.{key}", self.name);
        self.reader.claims.push(Claim { origin, name, path: path.clone(), expect });
        path
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.learn(key);
        self.table.remove(key)
    }

    fn learn(&mut self, key: &'static str) {
        let known = self.reader.known.entry(self.name).or_default();
        if !known.contains(&key) {
            known.push(key);
        }
    }
}

/// The working directory; the relative path `.` where it has been deleted.
pub(super) fn working_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}
