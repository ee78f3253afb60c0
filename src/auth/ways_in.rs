//! Who of the users file cannot come in at all.

use super::directory::{Directory, User};

impl Directory {
    /// The users who have no key, while no CA is trusted whose certificate could name them.
    pub fn users_without_a_way_in(&self) -> impl Iterator<Item = &User> {
        self.users().filter(|user| user.keys.is_empty() && self.trusted_cas.is_empty())
    }
}
