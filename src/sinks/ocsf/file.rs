//! File System Activity (1001).

use serde_json::{Map, Value};

use super::super::record::Record;
use super::activity::{Activity, Class, Status};
use super::context::Context;
use super::object::{actor, fixed, number, object, target_device};
use super::{put, put_known};

/// Types of files.
const UNKNOWN: (u64, &str) = (0, "Unknown");
const REGULAR: (u64, &str) = (1, "Regular File");
const FOLDER: (u64, &str) = (2, "Folder");
const SYMBOLIC_LINK: (u64, &str) = (7, "Symbolic Link");

/// What is done, and to what type of file as far as the operation tells.
fn kind(operation: &str) -> ((u64, &'static str), (u64, &'static str)) {
    match operation {
        "open" => ((14, "Open"), UNKNOWN),
        "read" => ((2, "Read"), REGULAR),
        "write" => ((3, "Update"), REGULAR),
        "remove" => ((4, "Delete"), UNKNOWN),
        "rmdir" => ((4, "Delete"), FOLDER),
        "rename" => ((5, "Rename"), UNKNOWN),
        "mkdir" => ((1, "Create"), FOLDER),
        "setstat" => ((6, "Set Attributes"), UNKNOWN),
        "symlink" => ((1, "Create"), SYMBOLIC_LINK),
        "hardlink" => ((1, "Create"), UNKNOWN),
        "list" => ((2, "Read"), FOLDER),
        "copy" => ((99, "copy"), UNKNOWN),
        _other => ((0, "Unknown"), UNKNOWN),
    }
}

fn kind_of(record: &Record<'_>) -> ((u64, &'static str), (u64, &'static str)) {
    kind(record.text_of("operation").unwrap_or_default())
}

/// What a file operation is in the schema.
pub(super) fn what(record: &Record<'_>) -> Activity {
    let status = if record.text_of("result") == Some("ok") { Status::Success } else { Status::Failure };
    Activity::new(Class::FileActivity, kind_of(record).0, status)
}

/// The fields of the class.
pub(super) fn activity(event: &mut Map<String, Value>, record: &Record<'_>, context: &Context) {
    let (session, connection) = (record.text_of("session"), record.text_of("connection"));
    // The schema requires one; a session that began before all that is known is at least named.
    let unknown = || object([("app_name", fixed("drawbridge"))]);
    put(event, "actor", actor(context, session, connection).unwrap_or_else(unknown));
    put(event, "device", target_device(context));
    let path = record.text_of("path").unwrap_or_default();
    let operation = record.text_of("operation").unwrap_or_default();
    put(event, "file", file(path, kind_of(record).1, content(record)));
    put_known(
        event,
        "file_result",
        record.text_of("other_path").map(|path| file(path, kind_of(record).1, None)),
    );
    put_known(event, "connection_uid", connection.map(Value::from));
    put(event, "message", format!("{operation}: {path}"));
    if let Some(Value::Object(unmapped)) = event.get_mut("unmapped") {
        for (name, value) in [("client_addr", &context.client_addr), ("login", &context.login)] {
            put_known(unmapped, name, value.as_deref().map(Value::from));
        }
    }
}

/// How much was moved, and its hash, where it went from front to back.
fn content<'a>(record: &'a Record<'_>) -> Option<(u64, &'a str)> {
    Some((record.number_of("bytes")?, record.text_of("sha256")?))
}

fn file(path: &str, (type_id, type_name): (u64, &str), content: Option<(u64, &str)>) -> Value {
    let name = path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
    let hash = |(_, value): (u64, &str)| {
        let hash = [("algorithm_id", number(3)), ("algorithm", fixed("SHA-256")), ("value", fixed(value))];
        Value::Array(vec![object(hash)])
    };
    object([
        ("name", fixed(name.unwrap_or(path))),
        ("path", fixed(path)),
        ("type_id", number(type_id)),
        ("type", fixed(type_name)),
        ("size", content.and_then(|(bytes, _)| number(bytes))),
        ("hashes", content.map(hash)),
    ])
}
