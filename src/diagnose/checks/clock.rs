//! The bastion's clock against AWS's.

use jiff::SignedDuration;

use super::case::{Case, End, either, known};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;

/// AWS refuses requests whose signature is older or younger (Signature Version 4).
const SIGNATURE_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// Less than this is the time that an answer takes, and the whole seconds of its header.
const UNNOTICED: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn clock(case: &Case<'_>) -> Option<Check> {
    let ahead = known(&case.facts.clock_ahead, |gap| case.gap(Subject::Clock, gap, End::Target));
    Some(either(ahead.map(|ahead| clock_of(*ahead))))
}

fn clock_of(ahead: SignedDuration) -> Check {
    let off = ahead.unsigned_abs();
    let which = if ahead.is_negative() { "ahead of" } else { "behind" };
    let seconds = off.as_secs();
    if off > SIGNATURE_TOLERANCE.unsigned_abs() {
        return Check::broken(
            Subject::Clock,
            format!(
                "The bastion's clock is {seconds} seconds {which} AWS's, which refuses requests when it is five minutes."
            ),
            "Set the bastion's clock by NTP; on EC2 the server is 169.254.169.123.",
        );
    }
    if off > UNNOTICED.unsigned_abs() {
        return Check::sound(
            Subject::Clock,
            format!("The bastion's clock is {seconds} seconds {which} AWS's, which still does."),
        );
    }
    Check::sound(Subject::Clock, "The bastion's clock agrees with AWS's.")
}
