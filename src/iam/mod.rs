//! Which permissions exactly this configuration needs, and the policy documents that grant them and nothing more.
//!
//! What always holds: the actions are those of [`crate::aws::IAM_ACTIONS`], which a test compares with the calls in
//! the code; a document allows nothing that the configuration has no use for; what was assumed on the way, such as
//! the logins, is said in [`Policies::notes`].
//!
//! What it deliberately does not do: ask AWS anything, or change anything there.

mod document;
mod needs;
mod policies;
#[cfg(test)]
mod tests;

pub use document::{Document, Statement};
pub use needs::Circumstances;
pub use policies::{AccountPolicies, Options, Policies, Principal, RequiredTag};
