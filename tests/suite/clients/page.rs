//! `docs/clients.md`: the blocks that tests run.

use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../../docs/clients.md");
const SOURCES: [&str; 8] = [
    include_str!("ansible.rs"),
    include_str!("dropbear.rs"),
    include_str!("git.rs"),
    include_str!("openssh.rs"),
    include_str!("paramiko.rs"),
    include_str!("person.rs"),
    include_str!("putty.rs"),
    include_str!("rsync.rs"),
];

/// The block after the mark with that name.
#[track_caller]
pub(super) fn block(name: &str) -> &'static str {
    blocks().get(name).unwrap_or_else(|| panic!("docs/clients.md has no snippet {name:?}"))
}

fn blocks() -> BTreeMap<&'static str, &'static str> {
    let marked = PAGE.split("<!-- snippet: ").skip(1).map(|rest| {
        let (name, rest) = rest.split_once(" -->\n```").expect("a mark is followed by its block");
        let (_language, rest) = rest.split_once('\n').expect("a fence ends its line");
        let (text, _) = rest.split_once("\n```\n").expect("a block ends");
        (name, text)
    });
    marked.collect()
}

#[test]
fn every_marked_block_of_the_page_is_used_by_a_test() {
    let blocks = blocks();
    assert_eq!(blocks.len(), PAGE.matches("<!-- snippet: ").count(), "two blocks have one name");
    for name in blocks.keys() {
        let quoted = format!("\"{name}\"");
        assert!(SOURCES.iter().any(|source| source.contains(&quoted)), "no test runs {name:?}");
    }
}
