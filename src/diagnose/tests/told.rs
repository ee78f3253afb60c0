//! What is told: full sentences, bounded, safe to show, in the order of the checklist.

use std::sync::Arc;

use crate::diagnose::testing::{edit, one_vpc, one_vpc_ipv6, transit, two_vpcs};
use crate::diagnose::{
    Check, Facts, Gap, GapReason, Group, Subject, Symptom, Verdict, diagnose, diagnose_login,
};
use crate::domain::{FailureClass, Login, Target};

const DOCUMENT: &str = include_str!("../../../docs/diagnosis-checks.md");

#[test]
fn every_check_is_documented() {
    for subject in Subject::ALL {
        let row = format!("| {} | `{}` |", subject.title(), subject.label());
        assert!(DOCUMENT.contains(&row), "{row}");
    }
}

fn every_check() -> Vec<Check> {
    let worlds = [one_vpc(), one_vpc_ipv6(), two_vpcs(), transit()];
    let unknown =
        |reason| Facts::unknown(Arc::clone(&worlds[0].target), &Gap::new("ec2:DescribeInstances", reason));
    let blind =
        [GapReason::Denied, GapReason::Timeout, GapReason::NotVisible, GapReason::Failed("odd".to_owned())];
    let facts: Vec<_> = worlds.iter().cloned().chain(blind.map(unknown)).collect();
    let classes = || FailureClass::ALL.into_iter().map(Some).chain([None]);
    let of = |facts: &Facts, class: Option<FailureClass>| {
        let symptom = class.map(|class| Symptom { class, login: Login::parse("deploy").ok() });
        diagnose(facts, symptom.as_ref()).checks
    };
    facts.iter().flat_map(|facts| classes().flat_map(|class| of(facts, class)).collect::<Vec<_>>()).collect()
}

#[test]
fn findings_and_changes_are_full_sentences() {
    for check in every_check() {
        for said in [Some(&check.finding), check.change.as_ref()].into_iter().flatten() {
            let begins = said.chars().next().is_some_and(|first| !first.is_lowercase());
            let name = said.starts_with("web-1") || said.starts_with("drawbridge") || said.starts_with("i-");
            let id = said.starts_with("sgr-") || said.starts_with("acl-") || said.starts_with("pcx-");
            let login = said.starts_with("deploy") || said.starts_with("vpc-") || said.starts_with("fd00");
            assert!(begins || name || id || login, "{said}");
            assert!(said.ends_with('.') && !said.contains("  ") && !said.contains(".."), "{said}");
            assert!(said.chars().count() <= 600, "{said}");
        }
        assert_eq!(
            check.verdict == Verdict::Broken,
            check.change.is_some() && check.verdict != Verdict::Unknown
        );
    }
}

#[test]
fn the_list_is_in_the_order_of_the_subjects() {
    let facts = one_vpc();
    for class in FailureClass::ALL {
        let symptom = Symptom { class, login: Login::parse("ec2-user").ok() };
        let diagnosis = diagnose(&facts, Some(&symptom));
        let subjects: Vec<_> = diagnosis.checks.iter().map(|check| check.subject).collect();
        assert!(subjects.is_sorted(), "{subjects:?}");
        let mut distinct = subjects.clone();
        distinct.dedup();
        assert_eq!(subjects, distinct);
    }
}

#[test]
fn the_login_is_asked_about_where_one_is_named() {
    let facts = one_vpc();
    let has = |login: Option<&Login>| {
        diagnose_login(&facts, None, login).checks.iter().any(|check| check.subject == Subject::Login)
    };
    assert!(has(Login::parse("ec2-user").ok().as_ref()) && !has(None));
}

/// Names are other people's: a tag, a group's name, an image's.
#[test]
fn foreign_names_cannot_drive_a_terminal() {
    let evil = "\u{1b}[2J\u{202e}evil\r\n".repeat(100);
    let mut facts = one_vpc();
    edit(&mut facts.target_end.groups)
        .insert(0, Group { id: "sg-1".to_owned(), name: evil.clone(), rules: Vec::new() });
    edit(&mut facts.target_end.groups).truncate(1);
    edit(&mut facts.image).name = format!("debian-{evil}");
    edit(&mut facts.instance).state_reason = evil.clone();
    edit(&mut facts.instance).state = "stopped".to_owned();
    facts.target = Arc::new(Target { name: Some(evil), ..Target::clone(&facts.target) });
    for class in FailureClass::ALL {
        for check in diagnose(&facts, Some(&Symptom { class, login: None })).checks {
            let said = format!("{}{}", check.finding, check.change.unwrap_or_default());
            assert!(!said.chars().any(|c| c.is_control() || c == '\u{202e}'), "{said:?}");
        }
    }
}

/// Every failure has a line that says what was seen, or says nothing of the kind because it is our own fault.
#[test]
fn every_failure_of_a_sound_world_has_a_cause_or_is_ours() {
    for class in FailureClass::ALL {
        let symptom = Symptom { class, login: Login::parse("ec2-user").ok() };
        let facts = one_vpc();
        let diagnosis = diagnose(&facts, Some(&symptom));
        assert_eq!(diagnosis.cause().is_some(), class != FailureClass::OwnFault, "{class:?}");
        assert_eq!(diagnosis.open().count(), 0, "{class:?}");
    }
}
