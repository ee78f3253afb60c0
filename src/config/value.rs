//! One value as the type that a key has.
//!
//! The file writes types; variables and flags write plain text, which is read as whatever type
//! the key has.

use std::path::PathBuf;

use ::config::{Value, ValueKind};

use super::layers::{Table, parse_array};
use super::origin::{Complaint, Origin};

/// Text that is not empty.
pub(super) fn text(value: &Value) -> Result<&str, Complaint> {
    let ValueKind::String(text) = &value.kind else {
        return Err(wrong_type(&value.kind, "text", "write it in quotes"));
    };
    if text.trim().is_empty() {
        return Err(
            Complaint::new("the value is empty").hint("write a value, or leave it out for the default")
        );
    }
    Ok(text)
}

/// A list of at least so many elements. A variable or flag writes a TOML array, or elements with
/// commas between them.
pub(super) fn list_of(value: &Value, least: usize) -> Result<Vec<Value>, Complaint> {
    let values = match (&value.kind, plain_text(value)) {
        (ValueKind::Array(values), _) => values.clone(),
        (_, Some(text)) => list_in_text(text, &Origin::of(value))?,
        (other, None) => return Err(wrong_type(other, "a list", "write it in square brackets")),
    };
    if values.len() >= least {
        return Ok(values);
    }
    Err(Complaint::new("the list is too short")
        .hint(format!("write at least {least}, or leave it out for the default")))
}

fn list_in_text(text: &str, origin: &Origin) -> Result<Vec<Value>, Complaint> {
    if text.starts_with('[') && text.ends_with(']') {
        return parse_array(text, origin);
    }
    Ok(text.split(',').map(|part| Value::new(Some(&origin.tag()), part.trim())).collect())
}

/// A table of names and values.
pub(super) fn table_of(value: &Value) -> Result<Table, Complaint> {
    let ValueKind::Table(table) = &value.kind else {
        return Err(wrong_type(&value.kind, "a table", "write { name = \"value\" }"));
    };
    Ok(table.clone())
}

/// A whole number.
pub(super) fn integer(value: &Value) -> Result<i64, Complaint> {
    if let ValueKind::I64(number) = value.kind {
        return Ok(number);
    }
    plain_text(value)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| wrong_type(&value.kind, "a whole number", "write digits only, without quotes or unit"))
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value) -> Result<bool, Complaint> {
    if let ValueKind::Boolean(flag) = value.kind {
        return Ok(flag);
    }
    plain_text(value)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| wrong_type(&value.kind, "true or false", "write the word without quotes"))
}

/// A path, as it was written.
pub(super) fn path(value: &Value) -> Result<PathBuf, Complaint> {
    let text = text(value)?;
    if text.starts_with('~') {
        return Err(Complaint::new(format!("{} begins with ~, which only shells know", quoted(text)))
            .hint("write the path out, from / or relative to this file's folder"));
    }
    Ok(PathBuf::from(text))
}

/// The text of a variable or flag.
fn plain_text(value: &Value) -> Option<&str> {
    let ValueKind::String(text) = &value.kind else { return None };
    Origin::of(value).is_plain_text().then(|| text.trim())
}

fn wrong_type(found: &ValueKind, expected: &str, hint: &str) -> Complaint {
    let found = match found {
        ValueKind::Nil => "nothing".to_owned(),
        ValueKind::Boolean(flag) => format!("the word {flag}"),
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            format!("the number {found}")
        }
        ValueKind::Float(number) => format!("the number {number}"),
        ValueKind::String(text) => format!("the text {}", quoted(text)),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
    };
    Complaint::new(format!("{found} stands where {expected} is expected")).hint(hint)
}

/// The text in quotes, shortened so that a runaway value cannot fill the screen.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{dots}")
}
