use std::path::Path;

use super::*;
use crate::policy::run_table;

const POLICY: &str = include_str!("../../../config/policy.cedar");
const TABLE: &str = include_str!("../../../config/policy-tests.toml");
const GUIDE: &str = include_str!("../../../docs/policy.md");

#[test]
fn the_example_policy_is_valid_and_its_table_agrees_and_covers_every_rule() {
    let policy = policy(POLICY);
    assert!(policy.warnings().is_empty());
    let report = run_table(&policy, Path::new("policy-tests.toml"), TABLE, &|_| None)
        .unwrap_or_else(|problems| panic!("{}", listing(&problems)));
    assert!(report.passed() && report.untested.is_empty(), "{report}");
}

/// Every fenced example of a language in the guide.
fn examples(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    GUIDE.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn every_example_of_the_guide_is_valid() {
    let rules = examples("cedar");
    assert!(rules.len() >= 5, "the guide has examples");
    for rule in rules {
        policy(rule);
    }
    for table in examples("toml") {
        let report = run_table(&policy(POLICY), Path::new("docs/policy.md"), table, &|_| None);
        assert!(report.expect("a table without mistakes").passed(), "{table}");
    }
}

#[test]
fn the_guide_names_everything_in_the_schema() {
    for line in crate::policy::SCHEMA_TEXT.lines() {
        let declaration = line.split("//").next().unwrap_or_default();
        let Some((name, _)) = declaration.trim().split_once(':') else { continue };
        let name = name.trim_end_matches('?');
        if !["principal", "resource", "context", "host", "port", "ip"].contains(&name) {
            assert!(GUIDE.contains(&format!("`{name}`")), "docs/policy.md does not mention `{name}`");
        }
    }
}
