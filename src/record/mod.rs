//! What is recorded of a session's channels, where it is kept, and how it is read back.
//!
//! ```text
//! relay ─Witness▶ Recorder ─Tape▶ station (a thread: asciicast, zstd, SHA-256) ─▶ spool ─▶ vault
//!                    ├─ hashes of what went each way              player, Follow ◀─┘
//!                    └─ file operations, from SFTP and scp as they go past; files are hashed by threads
//! ```
//!
//! What always holds here:
//! - A recording gives back the very bytes, in order; what is on the disk a quarter of a second later plays to its
//!   last whole frame, however the daemon ends.
//! - Memory is bounded for each recording, and an idle one needs next to none; where the disk is slow, the relay waits.
//! - A file has its last name only when it is whole, and its hash is that of its bytes as they are stored.
//! - A recording is named by a parsed id, never by a path or a text from outside.
//!
//! What it deliberately does not do: decide what is recorded (`policy`), write the audit trail (`session` does, from
//! what is returned here), and know lists of recordings (`store`).

mod cast;
mod error;
mod files;
mod follow;
mod frame;
mod hashing;
pub mod operation;
pub mod player;
mod recorder;
mod recorders;
pub mod scp;
pub mod sftp;
mod spool;
mod station;
mod tape;
#[cfg(test)]
mod tests;
mod told;
pub mod vault;

pub use cast::{Format, Origin};
pub use error::RecordError;
pub use files::{Following, Operations};
pub use follow::Follow;
pub use hashing::Hashers;
pub use recorder::{Finished, FinishedRecording, Recorder, SumFacts};
pub use recorders::{Program, Recorders, Settings, Subject, Terminal};
pub use spool::{Salvaged, Spool};
