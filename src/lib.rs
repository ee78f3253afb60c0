//! drawbridge: a self-hosted SSH bastion for EC2.
//!
//! ```text
//! TcpStream ─listener▶ Accepted ─ssh+auth▶ Authenticated ─target▶ Target
//!                               (Authenticated, Target, Action, now) ─policy▶ Permit | Refusal
//! Permit ─credential▶ Injected ─upstream▶ Upstream ─relay▶ Ending ─audit▶ done
//! ```
//!
//! Each arrow is a value made in exactly one place; see `docs/architecture.md`.

pub mod app;
pub mod audit;
pub mod auth;
pub mod aws;
pub mod checkup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod credential;
pub mod demo;
pub mod diagnose;
pub mod domain;
pub mod health;
pub mod iam;
pub mod listener;
pub mod menu;
pub mod metrics;
pub mod policy;
pub mod problem;
pub mod prune;
pub mod reachable;
pub mod record;
pub mod relay;
pub mod reload;
pub mod session;
pub mod signature;
pub mod sinks;
pub mod ssh;
pub mod store;
pub mod target;
pub mod tasks;
pub mod tcp;
pub mod telemetry;
pub mod upstream;
pub mod vouch;

#[cfg(test)]
mod layering;
