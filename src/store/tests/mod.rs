//! What holds on both databases.

mod appending;
mod asking;
mod following;
