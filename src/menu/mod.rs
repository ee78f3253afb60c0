//! The menu of `ssh bastion`: what may be reached, found by typing, on whatever terminal there is.
//!
//! ```text
//! bytes ─Keys▶ Key ─Menu▶ Wish (for the session)        Menu ─Screen▶ bytes that draw what has changed
//! ```
//!
//! What always holds:
//! - Nothing that somebody else wrote (names, tags, `TERM`, keys) reaches the terminal as more than printable
//!   characters of a known width; see `safe_text`.
//! - Memory follows from the number of targets and from bounds written here, never from what a client sends:
//!   the filter, a key's sequence and the screen's size are cut.
//! - It looks the same without colour; without UTF-8 it is drawn in ASCII.
//!
//! What is not here: input and output, SSH, policy, and time. `session` has those.

mod ansi;
mod columns;
mod filter;
mod keys;
mod look;
mod model;
mod paint;
mod safe_text;
mod screen;
#[cfg(test)]
pub(crate) mod tests;

pub use keys::{Key, Keys};
pub use look::{Glyphs, Look, Stage};
pub use model::{Listing, Menu, Wish};
pub use screen::Screen;
