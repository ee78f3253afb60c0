//! What was typed → the one machine that somebody may reach. Every way in finds names here.

use std::sync::Arc;

use jiff::Timestamp;

use super::text::shown;
use crate::domain::{Identity, Login, Target, TargetRef, TargetRefError};
use crate::policy::Policy;
use crate::target::{Inventory, Resolution, default_login};

/// The most characters of what was typed that are repeated to whoever typed it.
const TYPED_MAX: usize = 64;
/// The most candidates that are named.
const CANDIDATES_MAX: usize = 10;

/// What a name means to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The one machine. It may be stopped.
    Target(Arc<Target>),
    /// Machines that are not for them. They are not told so.
    NotTheirs(Vec<Arc<Target>>),
    /// Several that they may reach.
    Ambiguous(Vec<Arc<Target>>),
    /// None.
    Unknown,
    /// Nothing that can be a name.
    Malformed(TargetRefError),
    /// The inventory cannot say.
    Unavailable,
}

/// Finds the one machine that `typed` means to this identity.
pub async fn find(
    inventory: &Inventory,
    policy: &Policy,
    identity: &Arc<Identity>,
    typed: &str,
    now: Timestamp,
) -> Found {
    let wanted = match TargetRef::parse(typed) {
        Ok(wanted) => wanted,
        Err(error) => return Found::Malformed(error),
    };
    let theirs = |target: &Arc<Target>| {
        let logins: Vec<Login> = default_login(target).into_iter().collect();
        policy.may_reach(identity, target, &logins, now)
    };
    match inventory.resolve(&wanted).await {
        Resolution::Found(target) if theirs(&target) => Found::Target(target),
        Resolution::Found(target) => Found::NotTheirs(vec![target]),
        Resolution::Ambiguous(targets) => among(targets.into_iter().partition(theirs)),
        Resolution::Unknown => Found::Unknown,
        Resolution::Unavailable => Found::Unavailable,
    }
}

/// Of several machines, those that are not for them do not count.
fn among((theirs, others): (Vec<Arc<Target>>, Vec<Arc<Target>>)) -> Found {
    match theirs.as_slice() {
        [] => Found::NotTheirs(others),
        [only] => Found::Target(Arc::clone(only)),
        _ => Found::Ambiguous(theirs),
    }
}

impl Found {
    /// The machine, or the sentence about why there is none. Unknown and not-yours read the same.
    ///
    /// # Errors
    /// The sentence.
    pub fn target(self, typed: &str) -> Result<Arc<Target>, String> {
        let sentence = self.sentence(typed);
        if let Self::Target(target) = self { Ok(target) } else { Err(sentence) }
    }

    /// What is said of it where it is no machine; nothing where it is one.
    pub(crate) fn sentence(&self, typed: &str) -> String {
        match self {
            Self::Target(_) => String::new(),
            Self::NotTheirs(_) | Self::Unknown | Self::Malformed(_) => unknown_target(typed),
            Self::Ambiguous(targets) => ambiguous(typed, targets),
            Self::Unavailable => INVENTORY_UNAVAILABLE.to_owned(),
        }
    }
}

const INVENTORY_UNAVAILABLE: &str =
    "drawbridge cannot list the instances at the moment; please try again in a minute.";

fn repeated(typed: &str) -> String {
    shown(&typed.chars().filter(|c| !c.is_control()).take(TYPED_MAX).collect::<String>())
}

fn unknown_target(typed: &str) -> String {
    let typed = repeated(typed);
    format!(
        "there is no target \"{typed}\" that you may reach; check the name, or ask whoever manages your access."
    )
}

fn ambiguous(typed: &str, targets: &[Arc<Target>]) -> String {
    let candidates = candidates(targets);
    let more = targets.len().saturating_sub(CANDIDATES_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "\"{}\" means more than one target: {candidates}{more}; name one by its instance id, or add the account or region.",
        repeated(typed)
    )
}

/// The first of several machines, so that they can be told apart.
#[must_use]
pub(crate) fn candidates(targets: &[Arc<Target>]) -> String {
    let one = |target: &Arc<Target>| {
        let Target { id, account_alias, region, .. } = target.as_ref();
        format!("{} ({id}, {account_alias}, {region})", shown(target.display_name()))
    };
    targets.iter().take(CANDIDATES_MAX).map(one).collect::<Vec<_>>().join(", ")
}
