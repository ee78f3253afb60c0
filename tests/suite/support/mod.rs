//! What the tests stand on: a lab with a daemon, instances and an AWS; clients; eyes.
//!
//! What always holds: whatever is started here is gone when its owner is dropped, every wait has a
//! deadline, and a test that fails shows the daemon's log.

mod audit;
mod builder;
mod client;
mod daemon;
mod files;
mod instance;
mod lab;
mod network;
mod postgres;
mod process;
mod supervisor;
mod terminal;
mod tmux;

use std::process::Command;
use std::time::Duration;

pub(crate) use audit::{named, of_session};
pub(crate) use builder::Builder;
pub(crate) use client::{Client, Running, Way};
pub(crate) use daemon::{Daemon, Start, greets};
pub(crate) use files::{UserEntry, certify, fingerprint, new_key, new_key_of, public_half, revocation_list};
pub(crate) use instance::{Instance, next_address};
pub(crate) use lab::{Lab, Prepared};
pub(crate) use network::Network;
pub(crate) use postgres::Postgres;
pub(crate) use process::{Finished, finish, lines_of, noise, start, wait_for};
pub(crate) use supervisor::Supervisor;
pub(crate) use terminal::Terminal;
pub(crate) use tmux::Tmux;

/// The program under test.
pub(crate) const DRAWBRIDGE: &str = env!("CARGO_BIN_EXE_drawbridge");

/// Runs the program under test to its end, with only these variables.
pub(crate) fn run_drawbridge(args: &[&str], env: &[(&str, &str)]) -> Finished {
    let mut command = Command::new(DRAWBRIDGE);
    command.args(args).env_clear().envs(env.iter().copied());
    finish(start(&mut command), Vec::new(), Duration::from_secs(30))
}
