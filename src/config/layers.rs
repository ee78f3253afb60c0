//! The three layers, put on top of each other: the file, then variables, then flags.
//!
//! What always holds: each value keeps the place where it was written, and what cannot be laid
//! on the pile (a syntax error, a variable that names no key) is a placed complaint.

use std::collections::BTreeMap;

use ::config::{ConfigError, Source, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::origin::{Complaint, Origin, Placed};
use super::{Overrides, VARIABLE_PREFIX};
use crate::problem::position;

/// A table as the layering crate has it.
pub(super) type Table = ::config::Map<String, Value>;

/// One layer: `section → key → value`.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    sections: BTreeMap<String, Table>,
    /// The line of each section's first mention in the file.
    pub(super) section_lines: BTreeMap<String, usize>,
    /// Keys of the file that stand before the first section.
    pub(super) strays: Vec<(usize, String)>,
    pub(super) complaints: Vec<Placed>,
    /// Variables whose names begin almost as ours do.
    pub(super) near_misses: Vec<String>,
    /// The text is no TOML, so that what is missing may well have been written.
    pub(super) is_broken: bool,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Table, ConfigError> {
        let section = |(name, table): (&String, &Table)| (name.clone(), Value::from(table.clone()));
        Ok(self.sections.iter().map(section).collect())
    }
}

/// Lays the layers on top of each other, the last one uppermost: `section → {key → value}`.
pub(super) fn merge(layers: impl IntoIterator<Item = Layer>) -> Result<Table, ConfigError> {
    let mut builder = ::config::Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    builder.build()?.cache.into_table()
}

impl Layer {
    /// The layer of a TOML text. All syntax errors are listed; with any, there are no values.
    pub(super) fn from_toml(text: &str) -> Self {
        let mut layer = Self::default();
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            layer.is_broken = true;
            layer.complaints = errors.iter().map(|error| syntax_complaint(text, error)).collect();
            layer.complaints.dedup_by_key(|placed| placed.origin.clone());
            return layer;
        }
        for (key, value) in root.get_ref() {
            let line = position(text, key.span().start).0;
            let name = key.get_ref().to_string();
            let Some(table) = value.get_ref().as_table().filter(|_| is_plain_name(&name)) else {
                layer.strays.push((line, name));
                continue;
            };
            let table = table_of(text, table, &mut layer.complaints);
            layer.section_lines.insert(name.clone(), line);
            layer.sections.insert(name, table);
        }
        layer
    }

    /// The layer of the variables whose names begin with the prefix; others are not ours.
    pub(super) fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Self {
        let mut layer = Self::default();
        for (name, text) in variables {
            let Some(path) = name.strip_prefix(VARIABLE_PREFIX) else {
                layer.near_misses.push(name);
                continue;
            };
            let path = path.to_lowercase();
            match path.split_once("__") {
                Some((section, key)) if is_plain_name(section) && is_plain_name(key) => {
                    layer.set(section, key, plain_text(text, &Origin::Variable(name.clone())));
                }
                _ => layer.complaints.push(Placed::new(
                    Origin::Variable(name),
                    Complaint::new("the variable names no section and key")
                        .hint(format!("its form is {VARIABLE_PREFIX}SECTION__KEY, for example {VARIABLE_PREFIX}SERVER__LISTEN")),
                )),
            }
        }
        layer
    }

    /// The layer of the command line.
    pub(super) fn from_flags(flags: &Overrides) -> Self {
        let mut layer = Self::default();
        for assignment in &flags.set {
            let path_and_text = assignment.split_once('=');
            let path = path_and_text.map(|(path, _)| path).and_then(|path| path.trim().split_once('.'));
            match (path, path_and_text) {
                (Some((section, key)), Some((_, text))) if is_plain_name(section) && is_plain_name(key) => {
                    let origin = Origin::Flag(format!("--set {section}.{key}"));
                    layer.set(section, key, plain_text(text.to_owned(), &origin));
                }
                _ => layer.complaints.push(Placed::new(
                    Origin::Flag(format!("--set {assignment}")),
                    Complaint::new("the flag sets no key").hint(
                        "its form is --set section.key=value, for example --set server.listen=0.0.0.0:2222",
                    ),
                )),
            }
        }
        if !flags.listen.is_empty() {
            let tag = Origin::Flag("--listen".to_owned()).tag();
            let addresses: Vec<Value> =
                flags.listen.iter().map(|address| Value::new(Some(&tag), address.as_str())).collect();
            layer.set("server", "listen", Value::new(Some(&tag), ValueKind::Array(addresses)));
        }
        layer
    }

    fn set(&mut self, section: &str, key: &str, value: Value) {
        self.sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value);
    }
}

/// A value that is written as a TOML array, on a variable or flag; each element has its origin.
pub(super) fn parse_array(text: &str, origin: &Origin) -> Result<Vec<Value>, Complaint> {
    let source = format!("v = {text}");
    let bad = |detail: &str| Complaint::new(format!("the list cannot be read: {detail}"));
    let root = DeTable::parse(&source).map_err(|error| bad(error.message()))?;
    let mut complaints = Vec::new();
    let table = table_of(&source, root.get_ref(), &mut complaints);
    if let Some(placed) = complaints.pop() {
        return Err(placed.complaint);
    }
    match table.into_values().next().map(|value| value.kind) {
        Some(ValueKind::Array(values)) => Ok(values.into_iter().map(|value| moved(value, origin)).collect()),
        _ => Err(bad("it is not an array")),
    }
}

/// The same value, with another origin all the way down.
fn moved(value: Value, origin: &Origin) -> Value {
    let kind = if let ValueKind::Array(values) = value.kind {
        ValueKind::Array(values.into_iter().map(|value| moved(value, origin)).collect())
    } else if let ValueKind::Table(table) = value.kind {
        ValueKind::Table(table.into_iter().map(|(key, value)| (key, moved(value, origin))).collect())
    } else {
        value.kind
    };
    Value::new(Some(&origin.tag()), kind)
}

fn plain_text(text: String, origin: &Origin) -> Value {
    Value::new(Some(&origin.tag()), text)
}

/// Names that the layering crate takes literally, rather than as a path expression.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && !name.contains("__") && name.chars().all(plain)
}

fn syntax_complaint(text: &str, error: &toml::de::Error) -> Placed {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    let mut placed =
        Placed::new(Origin::Line(line), Complaint::new(format!("this is not TOML: {}", error.message())));
    placed.column = Some(column);
    placed
}

fn table_of(text: &str, table: &DeTable<'_>, complaints: &mut Vec<Placed>) -> Table {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::de::DeString<'_> = key.get_ref();
        Some((key.to_string(), value_of(text, value, complaints)?))
    };
    table.iter().filter_map(entry).collect()
}

fn value_of(text: &str, value: &toml::Spanned<DeValue<'_>>, complaints: &mut Vec<Placed>) -> Option<Value> {
    let origin = Origin::Line(position(text, value.span().start).0);
    let kind = match value.get_ref() {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Array(values) => {
            ValueKind::Array(values.iter().filter_map(|one| value_of(text, one, complaints)).collect())
        }
        DeValue::Table(table) => ValueKind::Table(table_of(text, table, complaints)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => ValueKind::I64(number),
            Err(_) => return complain(complaints, origin, format!("the number {number} is too large")),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => ValueKind::Float(number),
            Err(_) => return complain(complaints, origin, format!("{} is not a number", number.as_str())),
        },
        DeValue::Datetime(date) => {
            return complain(complaints, origin, format!("no key takes a date such as {date}"));
        }
    };
    Some(Value::new(Some(&origin.tag()), kind))
}

fn complain(complaints: &mut Vec<Placed>, origin: Origin, message: String) -> Option<Value> {
    complaints.push(Placed::new(origin, Complaint::new(message)));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (String, String)> + 'a {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
    }

    fn find<'a>(merged: &'a Table, section: &str, key: &str) -> &'a Value {
        let ValueKind::Table(table) = &merged[section].kind else { panic!("[{section}] is not a table") };
        &table[key]
    }

    #[test]
    fn later_layers_win_and_every_value_keeps_its_origin() {
        let file = Layer::from_toml("[upstream]\nport = 22\nport_tag = \"a\"\nhost_keys = \"tofu\"\n");
        let variables = Layer::from_variables(variables(&[
            ("DRAWBRIDGE__UPSTREAM__PORT", "23"),
            ("DRAWBRIDGE__UPSTREAM__HOST_KEYS", "pinned"),
            ("PATH", "/bin"),
        ]));
        let flags =
            Layer::from_flags(&Overrides { listen: vec![], set: vec!["upstream.port=24".to_owned()] });
        let merged = merge([file, variables, flags]).expect("layers");
        assert_eq!(
            Origin::of(find(&merged, "upstream", "port")),
            Origin::Flag("--set upstream.port".to_owned())
        );
        assert_eq!(
            Origin::of(find(&merged, "upstream", "host_keys")),
            Origin::Variable("DRAWBRIDGE__UPSTREAM__HOST_KEYS".to_owned())
        );
        assert_eq!(Origin::of(find(&merged, "upstream", "port_tag")), Origin::Line(3));
    }

    #[test]
    fn keys_with_dots_are_strays_and_not_paths() {
        let layer = Layer::from_toml("\"server.listen\" = 1\n[\"a[0]\"]\nb = 1\n");
        assert_eq!(layer.strays, [(2, "a[0]".to_owned()), (1, "server.listen".to_owned())]);
        assert!(layer.sections.is_empty());
    }

    #[test]
    fn arrays_on_a_flag_keep_the_flag_as_their_origin() {
        let origin = Origin::Flag("--set a.b".to_owned());
        let values = parse_array("[{ x = \"1\" }, { x = \"2\" }]", &origin).expect("an array");
        assert_eq!(values.len(), 2);
        let ValueKind::Table(table) = &values[1].kind else { panic!("a table") };
        assert_eq!(Origin::of(&table["x"]), origin);
        assert!(parse_array("[1, ", &origin).is_err());
    }
}
