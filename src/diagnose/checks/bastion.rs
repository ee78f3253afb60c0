//! Where is the bastion, and has it an address that can dial the target's?

use super::case::{Case, End, either, ip_version, known};
use crate::diagnose::facts::{Bastion, Gap, GapReason};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;

pub(super) fn bastion(case: &Case<'_>) -> Option<Check> {
    let place = known(&case.facts.bastion, |gap| unknown(case, gap));
    Some(either(place.map(|bastion| placed(case, bastion))))
}

fn unknown(case: &Case<'_>, gap: &Gap) -> Check {
    let check = case.gap(Subject::Bastion, gap, End::Bastion);
    if gap.reason == GapReason::Denied {
        return check;
    }
    check.with_change(
        "Name the instance that drawbridge runs on as `bastion_instance` under [diagnosis] in its configuration.",
    )
}

fn placed(case: &Case<'_>, bastion: &Bastion) -> Check {
    let id = words::foreign(&bastion.id);
    match &case.from {
        Ok(from) => Check::sound(Subject::Bastion, format!("drawbridge runs on {id} and dials from {from}.")),
        Err(doubt) if bastion.addresses.is_empty() => case.doubt(Subject::Bastion, doubt),
        Err(_) => {
            let version = ip_version(case.to);
            Check::broken(
                Subject::Bastion,
                format!("The bastion, {id}, has no {version} address, and {} is one.", case.to),
                format!("Give the bastion's interface an {version} address."),
            )
        }
    }
}
