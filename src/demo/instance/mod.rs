//! One private "instance" of the demo: the machine's own programs behind an SSH server.
//!
//! What always holds here: a program that was started here is gone, with everything it started,
//! when its [`RunningProgram`] is dropped or the demo ends.
//!
//! What it deliberately does not do: separate users. Everything runs as the user who started
//! the demo, whatever the login is called.

mod modes;
#[cfg(test)]
mod openssh_tests;
mod processes;
mod program;
mod pty;
mod requests;
mod server;
mod sftp;
mod shut;
mod ssh;
#[cfg(test)]
mod tests;

pub use program::{Host, ProgramControl, PtyRequest, RunningProgram, Start};
pub use server::Bound;
pub use shut::Shut;
