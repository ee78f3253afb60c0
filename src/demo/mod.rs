//! `drawbridge demo`: the main job in one command, with nothing installed.

pub mod aws;
pub mod instance;
