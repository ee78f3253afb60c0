//! Which room may name which: the order of `docs/architecture.md`, held against the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the leaves up. A room names rooms of rows before its own, and none beside it.
const ROWS: &[&[&str]] = &[
    &["clock", "domain", "problem", "reachable", "signature", "tasks", "tcp"],
    &["auth", "menu", "policy", "reload", "ssh", "target"],
    &["credential", "diagnose", "relay", "vouch"],
    &["audit", "upstream"],
    &["record", "telemetry"],
    &["config"],
    &["aws", "sinks", "store"],
    &["console", "iam", "metrics", "prune"],
    &["checkup", "health", "session"],
    &["listener"],
    &["app"],
    &["demo"],
    &["cli"],
];

/// Adapters that implement a trait of a consumer that also has other uses for them.
const UPWARD: &[(&str, &str)] = &[("aws", "checkup"), ("store", "session")];

/// Crates that only one room names.
const CRATES: &[(&str, &str)] = &[
    ("aws_config::", "aws"),
    ("aws_sdk_ec2::", "aws"),
    ("aws_sdk_ec2instanceconnect::", "aws"),
    ("aws_sdk_sts::", "aws"),
    ("cedar_policy::", "policy"),
    ("sqlx::", "store"),
    ("object_store::", "record"),
    ("prometheus_client::", "metrics"),
    ("tokio_rustls::", "sinks"),
    ("ratatui_core::", "menu"),
];

/// One file that is not for tests alone: its room, its path, and its text without comments and tests.
struct Source {
    room: String,
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("our own sources") {
            let path = entry.expect("our own sources").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8");
            if matches!(stem, "tests" | "testing" | "examples" | "layering") || stem.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let within = path.strip_prefix(&root).expect("within");
                let first = within.components().next().expect("a name").as_os_str().to_str().expect("UTF-8");
                let room = first.trim_end_matches(".rs").to_owned();
                let whole = std::fs::read_to_string(&path).expect("our own sources");
                let product = whole.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let code = product.lines().map(|line| line.split("//").next().unwrap_or_default());
                let text = code.collect::<Vec<_>>().join("\n");
                found.push(Source { room, path, text });
            }
        }
    }
    found.retain(|source| !matches!(source.room.as_str(), "lib" | "main"));
    found
}

/// What a text names of the crate: rooms, and what stands at its root.
fn named(text: &str) -> BTreeSet<&str> {
    let after = text.split("crate::").skip(1);
    after
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default())
        .collect()
}

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&room))
}

#[test]
fn dependencies_point_one_way() {
    let sources = sources();
    let mut upward = BTreeSet::new();
    for Source { room, path, text } in &sources {
        let own = row(room).unwrap_or_else(|| panic!("{room} has no place among the rows"));
        assert!(!text.contains("crate::{"), "{}: a line for each room, please", path.display());
        for other in named(text) {
            let Some(others) = row(other).filter(|_| other != room) else { continue };
            if others >= own {
                let known = UPWARD.iter().find(|edge| **edge == (room.as_str(), other));
                upward.insert(*known.unwrap_or_else(|| panic!("{} names {other}", path.display())));
            }
        }
    }
    assert_eq!(upward, UPWARD.iter().copied().collect(), "what is listed is needed");
    let rooms: BTreeSet<&str> = sources.iter().map(|source| source.room.as_str()).collect();
    assert_eq!(rooms, ROWS.iter().copied().flatten().copied().collect(), "each room has one place");
}

#[test]
fn some_crates_are_one_room_s_alone() {
    for (name, room) in CRATES {
        let users: BTreeSet<_> = sources()
            .into_iter()
            .filter(|source| source.text.contains(name))
            .map(|source| source.room)
            .collect();
        assert_eq!(users, BTreeSet::from([(*room).to_owned()]), "{name}");
    }
}
