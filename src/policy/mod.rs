//! (Identity, Target, Login, Action, now) → [`Permit`] | [`Refusal`]. Pure: no IO, no clock.
//!
//! What always holds here: a [`Permit`] is made only by a decision, and carries exactly the
//! machine that was decided about, so that nothing later can re-resolve another one.

mod permit;

pub use permit::{Limits, Permit, Question, Refusal, RefusalReason, RuleId};
