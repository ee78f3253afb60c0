//! Keys and sections that do not exist, and which ones may have been meant.

use std::collections::{BTreeMap, BTreeSet};

use super::VARIABLE_NEAR_MISS;
use super::origin::{Complaint, Origin, Placed};
use super::reader::{KnownKeys, Reader};
use super::suggest::nearest;

/// One complaint for each unknown key; an unknown section of the file counts once.
/// `strays` are keys of the file that stand before the first section.
pub(super) fn complaints(
    reader: &Reader,
    section_lines: &BTreeMap<String, usize>,
    strays: &[(usize, String)],
) -> Vec<Placed> {
    let mut found = Vec::new();
    for (section, line) in section_lines {
        if !reader.known.contains_key(section.as_str()) {
            let complaint = unknown_section(&reader.known, section);
            found.push(Placed::new(Origin::Line(*line), complaint));
        }
    }
    for (section, key, origin) in &reader.unknown {
        let section_was_named = !reader.known.contains_key(section.as_str()) && !origin.is_plain_text();
        if !section_was_named {
            found.push(Placed::new(origin.clone(), unknown_key(&reader.known, section, key, origin)));
        }
    }
    let stray = |(line, key): &(usize, String)| Placed::new(Origin::Line(*line), stray(&reader.known, key));
    found.extend(strays.iter().map(stray));
    found
}

/// One complaint for each variable that spells a key, but for the second underscore: it would set nothing.
pub(super) fn near_misses(known: &KnownKeys, variables: &[String]) -> Vec<Placed> {
    let meant = |variable: &String| {
        let spelt = variable.strip_prefix(VARIABLE_NEAR_MISS)?.to_lowercase().replace("__", "_");
        let mut keys = known.iter().flat_map(|(section, keys)| keys.iter().map(move |key| (section, key)));
        let (section, key) = keys.find(|(section, key)| spelt == format!("{section}_{key}"))?;
        let origin = Origin::Variable(variable.clone());
        let hint = format!("did you mean `{}`?", origin.spell(section, key));
        let told = "the variable sets nothing: two underscores part its words";
        Some(Placed::new(origin, Complaint::new(told).hint(hint)))
    };
    variables.iter().filter_map(meant).collect()
}

fn unknown_section(known: &KnownKeys, section: &str) -> Complaint {
    let names: BTreeSet<&str> = top_sections(known).collect();
    let complaint = Complaint::new(format!("there is no section [{section}]"));
    match nearest(section, names.iter().copied()) {
        Some(meant) => complaint.hint(format!("did you mean [{meant}]?")),
        None => complaint.hint(format!("the sections are {}", listed(names))),
    }
}

fn unknown_key(known: &KnownKeys, section: &str, key: &str, origin: &Origin) -> Complaint {
    let Some(keys) = known.get(section) else { return unknown_section(known, section) };
    let complaint = Complaint::new(format!("[{section}] has no key `{key}`"));
    if let Some(meant) = nearest(key, keys.iter().copied()) {
        return complaint.hint(format!("did you mean `{}`?", origin.spell(section, meant)));
    }
    match sections_with(known, key) {
        Some(homes) => complaint.hint(format!("`{key}` belongs to {homes}")),
        None => complaint.hint(format!("its keys are {}", listed(keys.iter().copied()))),
    }
}

fn stray(known: &KnownKeys, key: &str) -> Complaint {
    if top_sections(known).any(|section| section == key) {
        return Complaint::new(format!("`{key}` is a section and not a key"))
            .hint(format!("write a line [{key}] and its keys below it"));
    }
    let complaint = Complaint::new(format!("the key `{key}` stands in no section"));
    match sections_with(known, key) {
        Some(homes) => complaint.hint(format!("put it below a line {homes}")),
        None => complaint.hint(format!("the sections are {}", listed(top_sections(known)))),
    }
}

/// Every section that has such a key: `[metrics] or [server]`.
fn sections_with(known: &KnownKeys, key: &str) -> Option<String> {
    let homes =
        known.iter().filter(|(_, keys)| keys.contains(&key)).map(|(section, _)| format!("[{section}]"));
    let homes: Vec<String> = homes.collect();
    (!homes.is_empty()).then(|| homes.join(" or "))
}

/// The sections that can stand in single brackets.
fn top_sections(known: &KnownKeys) -> impl Iterator<Item = &'static str> {
    known.keys().copied().filter(|name| !name.contains('.'))
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
