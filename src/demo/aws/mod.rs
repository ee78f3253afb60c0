//! An AWS look-alike on loopback: EC2, STS and EC2 Instance Connect behind one listener, spoken
//! to by the real AWS SDK.
//!
//! What always holds here: the answers have the shape that the services' models describe, the
//! errors are among those they model, and a pushed key is forgotten 60 seconds after its push.
//!
//! What it deliberately does not do: it checks no signature (any `Authorization` header will
//! do), it knows no IAM, and it creates no instances: the [`World`] is given to it.

mod connect;
mod ec2;
mod faults;
mod http;
mod select;
mod sts;
#[cfg(test)]
mod tests;
mod world;
mod xml;

pub use faults::{Faults, FaultsError};
pub use http::{LookAlike, LookAlikeError};
pub use world::{Image, PUSHED_KEY_LIFETIME, World, WorldInstance};
