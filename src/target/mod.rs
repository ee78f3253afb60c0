//! What someone typed → the one machine it means.
//!
//! An [`Inventory`] keeps a copy of every account and region, refreshed in the background, and
//! answers from it. What always holds:
//!
//! - **An answer is never a guess.** A name that fits several running machines is
//!   [`Resolution::Ambiguous`] with all of them.
//! - **The last good copy stays** while its source fails; [`Inventory::ages`] says how old it is.
//! - **An outsider cannot drive AWS calls.** Only a miss asks the sources: one look-up per name
//!   at a time, a bounded number at once, a bounded number a minute, and the answer is remembered.
//! - **A name that AWS gave wins over one that people gave**: instance id, then private address
//!   and private DNS name, then the `Name` tag. Nobody can tag an instance into another's place.
//!
//! Deliberately not here: AWS (a [`Source`] is implemented elsewhere), policy (who may go there),
//! and dialling.

mod catalogue;
mod inventory;
mod login;
mod lookups;
mod port;
mod presence;
mod readings;
mod refresh;
mod source;

pub use inventory::{Inventory, Resolution, Settings};
pub use login::{LOGIN_TAG, default_login, default_logins};
pub use port::port_from_tags;
pub use presence::{Gone, Presence};
pub use source::{Place, Source, SourceError, SourceErrorKind};

#[cfg(test)]
pub(crate) mod testing;
