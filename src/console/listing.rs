//! What somebody may reach, in the order of lists.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::{Identity, Target};
use crate::policy::{Policy, Reach};
use crate::target::default_login;

/// Of all these machines, those that this identity may reach: by name, then by account, region and id.
#[must_use]
pub fn listing(
    policy: &Policy,
    identity: &Arc<Identity>,
    targets: &[Arc<Target>],
    now: Timestamp,
) -> Vec<Reach> {
    let mut reach = policy.listing(identity, targets, now, &default_login);
    reach.sort_by_cached_key(|reach| {
        let Target { account_alias, region, id, .. } = reach.target.as_ref();
        let name = reach.target.display_name().to_lowercase();
        (name, account_alias.clone(), region.clone(), id.clone())
    });
    reach
}
