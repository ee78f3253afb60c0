//! Words: foreign text made safe, and why something could not be checked.

use super::facts::{Gap, GapReason};

/// Characters of a finding or of what to change.
const SENTENCE_MAX: usize = 600;
/// Characters of a name or a reason that comes from AWS, where anybody with an account may have written it.
const FOREIGN_MAX: usize = 120;

/// A text of others, without what drives a terminal or turns a line around, and cut where it is long.
pub(super) fn foreign(text: &str) -> String {
    bounded(text, FOREIGN_MAX)
}

/// A whole sentence, likewise: ids and names stand in it.
pub(super) fn sentence(text: &str) -> String {
    bounded(text, SENTENCE_MAX)
}

fn bounded(text: &str, characters_max: usize) -> String {
    let mut safe = text.trim().chars().filter(|c| !is_unruly(*c));
    let mut kept: String = safe.by_ref().take(characters_max).collect();
    if safe.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// Controls, what has no width, what changes the direction of writing, what breaks lines, private use.
fn is_unruly(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

/// Why something could not be checked.
pub(super) fn could_not_check(gap: &Gap, account: &str) -> String {
    let call = foreign(&gap.permission);
    let call = if call.is_empty() { "what tells it".to_owned() } else { call };
    match &gap.reason {
        GapReason::Denied => {
            format!("Could not check: AWS does not permit drawbridge to call {call} {account}.")
        }
        GapReason::Timeout => format!("Could not check: {call} did not answer in time."),
        GapReason::Throttled => format!("Could not check: AWS is limiting how often {call} may be called."),
        GapReason::Failed(label) => format!("Could not check: {call} failed ({}).", foreign(label)),
        GapReason::NotVisible => {
            format!(
                "Could not check: {call} shows nothing of it {account}; it is another account's, or gone."
            )
        }
        GapReason::NotAsked => format!("Could not check: {call} was not asked for."),
    }
}

/// What would let it be checked.
pub(super) fn let_it_be_checked(gap: &Gap, account: &str) -> Option<String> {
    let denied = gap.reason == GapReason::Denied && !gap.permission.is_empty();
    denied.then(|| format!("Grant {} to drawbridge's role {account}.", foreign(&gap.permission)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_drive_a_terminal_and_is_bounded() {
        assert_eq!(foreign("a\u{1b}[2Jb\r\n\u{9b}31m\u{202e}c"), "a[2Jb31mc");
        assert_eq!(foreign(&"x".repeat(5_000)).chars().count(), FOREIGN_MAX);
        assert!(foreign(&"x".repeat(5_000)).ends_with('…'));
        assert_eq!(foreign("größe 東京"), "größe 東京");
        assert_eq!(sentence(&"é".repeat(600)).chars().count(), 600);
    }

    #[test]
    fn every_gap_is_a_sentence_and_a_denial_says_what_to_grant() {
        for reason in [
            GapReason::Denied,
            GapReason::Timeout,
            GapReason::Throttled,
            GapReason::Failed("bad-answer".to_owned()),
            GapReason::NotVisible,
            GapReason::NotAsked,
        ] {
            let gap = Gap::new("ec2:DescribeSubnets", reason.clone());
            let said = could_not_check(&gap, "in account 1");
            assert!(said.contains("ec2:DescribeSubnets") && said.ends_with('.'), "{said}");
            assert_eq!(let_it_be_checked(&gap, "in account 1").is_some(), reason == GapReason::Denied);
        }
        assert_eq!(
            could_not_check(&Gap::new("", GapReason::NotAsked), ""),
            "Could not check: what tells it was not asked for."
        );
    }
}
