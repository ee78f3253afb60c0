//! The record of what is done in a session.

pub mod operation;
pub mod scp;
pub mod sftp;
mod told;
