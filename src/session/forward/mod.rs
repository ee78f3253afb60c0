//! Forwarding through a session: what `ssh -L`, `-D`, `-R`, `-A` and `-X` ask of one target.
//!
//! ```text
//! client opens ──outbound──▶ the target connects          (-L, -D, -W; ports and Unix sockets)
//! client asks ───requests──▶ the target listens           (-R)
//! target opens ──inbound───▶ the client, if it asked for that: -R, agent, display
//! ```
//!
//! What always holds here:
//! - Each connection that a client wants from a target, each place where a target is to listen, and each use of agent
//!   or display that a program is to have, is a decision of its own, durable before anything follows from it.
//! - A target opens nothing that was not asked for, permitted and is still in force; anything else is refused, on
//!   record.
//! - Each forwarded connection that starts on record ends on record, with its bytes.
//! - What is passed on is what was decided about, to the last byte.
//!
//! What is not here: how bytes move (`relay::join`), who decides (`policy`), forwards by the bastion alone.

mod features;
mod inbound;
mod listeners;
mod narrate;
mod outbound;
mod requests;
mod wire;

pub(super) use features::{Features, Wish, pass_on as pass_on_features};
pub(super) use inbound::receive;
pub(super) use listeners::{Listeners, still_listening};
pub(super) use outbound::{is_for_the_target, serve as connect};
pub(super) use requests::{Queue, answer};
pub(super) use wire::{is_request, x11_is_for_one};
