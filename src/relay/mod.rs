//! Moves one running channel, or one forwarded stream, both ways, until it is over.
//!
//! What always holds here:
//! - Bytes and requests of the target reach the client in the target's order, so the exit status comes
//!   after the last byte.
//! - Requests of the client (a resize, a signal) go ahead of its data, so they arrive even while the
//!   target does not read; data stays in order.
//! - A direction that cannot go on holds up neither the other direction nor another channel.
//! - Nothing is buffered here: back-pressure is that of the two channels' windows.
//!
//! What is not here: deciding, recording, and starting the program.

mod forward;
mod hold;
mod outcome;
mod pump;
mod stream;
mod witness;

pub use forward::join;
pub use hold::{Hold, Loan};
pub use outcome::{Activity, Outcome};
pub use pump::{Stop, run};
pub use stream::pipe;
pub use witness::Witness;
