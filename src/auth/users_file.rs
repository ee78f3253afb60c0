//! The users file: TOML in, users out, and every mistake with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::authorized_key::AuthorizedKey;
use crate::domain::{Fingerprint, UserName};
use crate::problem::{Problem, position};

/// A user as the file has them.
#[derive(Debug)]
pub(super) struct UserEntry {
    pub(super) name: UserName,
    /// Sorted.
    pub(super) groups: Vec<String>,
    pub(super) keys: Vec<AuthorizedKey>,
    pub(super) principals: Vec<String>,
}

/// What the file says. It is only complete when there are no problems.
#[derive(Debug)]
pub(super) struct UsersFile {
    pub(super) users: Vec<UserEntry>,
    /// The names of `[groups]`; none where there is no such table.
    pub(super) groups: BTreeSet<String>,
    pub(super) problems: Vec<Problem>,
}

/// Reads the file's text.
pub(super) fn parse(origin: &Path, text: &str) -> UsersFile {
    let mut parser = Parser { origin, text, problems: Vec::new() };
    let (users, groups) = parser.file();
    let mut problems = parser.problems;
    problems.sort_by_key(|problem| (problem.line, problem.column));
    UsersFile { users, groups, problems }
}

/// A table's entries: name and value, each with its place.
type Entries<'t, 'i> = &'t DeTable<'i>;

struct Parser<'a> {
    origin: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn file(&mut self) -> (Vec<UserEntry>, BTreeSet<String>) {
        let text = self.text;
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.problem(
                error.span().unwrap_or_default(),
                format!("this is not valid TOML: {}", error.message()),
            );
        }
        if !self.problems.is_empty() {
            return (Vec::new(), BTreeSet::new());
        }
        let mut groups = None;
        let mut users = Vec::new();
        for (key, value) in root.get_ref() {
            match key.get_ref().as_ref() {
                "groups" => groups = self.groups(value),
                "users" => users = self.users(value),
                other => self.unknown_key(key.span(), other, "the file has `users` and `groups`"),
            }
        }
        if let Some(groups) = &groups {
            self.check_groups(&root, groups);
        }
        self.check_principals(&root, &users);
        (users, groups.unwrap_or_default())
    }

    /// The names of `[groups]`, each with a description.
    fn groups(&mut self, value: &Spanned<DeValue<'_>>) -> Option<BTreeSet<String>> {
        let table = self.table(value, "`groups`")?;
        let mut names = BTreeSet::new();
        for (key, description) in table {
            self.check_name(key.span(), "group", key.get_ref());
            self.string(description, "a group's description");
            names.insert(key.get_ref().to_string());
        }
        Some(names)
    }

    fn users(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<UserEntry> {
        let Some(table) = self.table(value, "`users`") else { return Vec::new() };
        let mut users: Vec<UserEntry> =
            table.iter().filter_map(|(key, value)| self.user(key.span(), key.get_ref(), value)).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    fn user(&mut self, span: Range<usize>, name: &str, value: &Spanned<DeValue<'_>>) -> Option<UserEntry> {
        let parsed = self.check_name(span, "user", name);
        let table = self.table(value, "a user")?;
        let (mut groups, mut keys, mut principals) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "groups" => groups = self.user_groups(value),
                "authorized_keys" => keys = self.keys(name, value),
                "principals" => principals = self.user_principals(value),
                other => {
                    let hint = "a user has `groups`, `authorized_keys` and `principals`";
                    self.unknown_key(key.span(), other, hint);
                }
            }
        }
        Some(UserEntry { name: parsed?, groups, keys, principals })
    }

    fn user_groups(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let mut groups = self.distinct_strings(value, "group");
        for (span, group) in &groups {
            self.check_name(span.clone(), "group", group);
        }
        groups.sort_by(|a, b| a.1.cmp(&b.1));
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn user_principals(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let principals = self.distinct_strings(value, "principal");
        for (span, principal) in &principals {
            if principal.is_empty() || principal.contains(',') || principal.chars().any(char::is_control) {
                self.problem(span.clone(), format!("{principal:?} cannot be a principal"));
            }
        }
        principals.into_iter().map(|(_, principal)| principal).collect()
    }

    fn keys(&mut self, user: &str, value: &Spanned<DeValue<'_>>) -> Vec<AuthorizedKey> {
        let lines = self.strings(value, "authorized_keys");
        let mut keys = Vec::with_capacity(lines.len());
        let mut seen: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        for ((span, line), number) in lines.into_iter().zip(1_usize..) {
            match AuthorizedKey::parse(&line) {
                Ok(key) => {
                    if let Some(first) = seen.insert(key.fingerprint.clone(), number) {
                        let message = format!("user {user}: key {number} is the same as key {first}");
                        self.problem_with_hint(span, message, "remove one of them");
                    }
                    keys.push(key);
                }
                Err(problems) => {
                    for problem in problems {
                        let message = format!("user {user}: key {number} {}", problem.message);
                        match problem.hint {
                            Some(hint) => self.problem_with_hint(span.clone(), message, hint),
                            None => self.problem(span.clone(), message),
                        }
                    }
                }
            }
        }
        keys
    }

    /// Once groups are declared, an undeclared one is a misspelling.
    fn check_groups(&mut self, root: &Spanned<DeTable<'_>>, declared: &BTreeSet<String>) {
        for (_, user) in user_tables(root) {
            let Some(DeValue::Array(groups)) = user.get("groups").map(Spanned::get_ref) else { continue };
            for group in groups.iter() {
                if let DeValue::String(name) = group.get_ref()
                    && !declared.contains(name.as_ref())
                {
                    let message = format!("the group {name:?} is not in `[groups]`");
                    self.problem_with_hint(group.span(), message, "add it there, or correct the spelling");
                }
            }
        }
    }

    /// An alias that is another user's name would let one user's certificate count as the other's.
    fn check_principals(&mut self, root: &Spanned<DeTable<'_>>, users: &[UserEntry]) {
        for (owner, user) in user_tables(root) {
            let Some(DeValue::Array(aliases)) = user.get("principals").map(Spanned::get_ref) else {
                continue;
            };
            for alias in aliases.iter() {
                if let DeValue::String(name) = alias.get_ref()
                    && name.as_ref() != owner
                    && users.iter().any(|user| user.name.as_str() == name.as_ref())
                {
                    let message = format!("user {owner}: the principal {name:?} is the name of another user");
                    self.problem_with_hint(
                        alias.span(),
                        message,
                        "every principal that is a user's name is that user's",
                    );
                }
            }
        }
    }

    fn check_name(&mut self, span: Range<usize>, what: &str, name: &str) -> Option<UserName> {
        match UserName::parse(name) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let shown: String = name.chars().take(UserName::LENGTH_MAX).collect();
                self.problem(span, format!("{shown:?} cannot be a {what}'s name: {error}"));
                None
            }
        }
    }

    /// The strings of an array; one that is there twice is a problem.
    fn distinct_strings(&mut self, value: &Spanned<DeValue<'_>>, what: &str) -> Vec<(Range<usize>, String)> {
        let strings = self.strings(value, &format!("{what}s"));
        let mut seen = BTreeSet::new();
        for (span, text) in &strings {
            if !seen.insert(text.as_str()) {
                self.problem(span.clone(), format!("the {what} {text:?} is listed twice"));
            }
        }
        strings
    }

    fn strings(&mut self, value: &Spanned<DeValue<'_>>, what: &str) -> Vec<(Range<usize>, String)> {
        let DeValue::Array(array) = value.get_ref() else {
            self.problem_with_hint(value.span(), format!("`{what}` is not a list"), "write [\"…\", \"…\"]");
            return Vec::new();
        };
        array.iter().filter_map(|item| Some((item.span(), self.string(item, what)?))).collect()
    }

    fn string(&mut self, value: &Spanned<DeValue<'_>>, what: &str) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.to_string());
        }
        self.problem(value.span(), format!("{what}: this should be text in quotes"));
        None
    }

    fn table<'t, 'i>(&mut self, value: &'t Spanned<DeValue<'i>>, what: &str) -> Option<Entries<'t, 'i>> {
        if let Some(table) = as_table(value) {
            return Some(table);
        }
        self.problem_with_hint(
            value.span(),
            format!("{what} should be a table"),
            "write it under a heading in square brackets, such as [users.alice]",
        );
        None
    }

    fn unknown_key(&mut self, span: Range<usize>, key: &str, hint: &str) {
        let shown: String = key.chars().take(64).collect();
        self.problem_with_hint(span, format!("unknown key `{shown}`"), hint);
    }

    fn problem(&mut self, span: Range<usize>, message: String) {
        let (line, column) = position(self.text, span.start);
        self.problems.push(Problem::new(self.origin, message).at_line(line).at_column(column));
    }

    fn problem_with_hint(&mut self, span: Range<usize>, message: String, hint: &str) {
        let (line, column) = position(self.text, span.start);
        self.problems
            .push(Problem::new(self.origin, message).at_line(line).at_column(column).with_hint(hint));
    }
}

/// The tables of all users, with their names.
fn user_tables<'t, 'i>(root: &'t Spanned<DeTable<'i>>) -> impl Iterator<Item = (&'t str, Entries<'t, 'i>)> {
    let users = root.get_ref().get("users").and_then(as_table);
    let named = users.into_iter().flat_map(|users| users.iter());
    named.filter_map(|(name, user)| Some((name.get_ref().as_ref(), as_table(user)?)))
}

fn as_table<'t, 'i>(value: &'t Spanned<DeValue<'i>>) -> Option<Entries<'t, 'i>> {
    if let DeValue::Table(table) = value.get_ref() { Some(table) } else { None }
}
