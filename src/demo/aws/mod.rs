//! An AWS look-alike on loopback: EC2, STS and EC2 Instance Connect behind one listener, spoken
//! to by the real AWS SDK.
//!
//! A [`World`] says what exists, [`Faults`] what goes wrong, and [`Denials`] what IAM does not allow.
//!
//! What always holds here: the answers have the shape that the services' models describe, the
//! errors are among those they model, and a pushed key is forgotten 60 seconds after its push.
//!
//! What it deliberately does not do: it checks no signature (any `Authorization` header will
//! do), it reads no IAM policies, and it creates and changes nothing: the world is given to it.

mod connect;
mod denials;
#[cfg(test)]
mod denials_tests;
mod describe;
mod ec2;
mod faults;
mod guards;
mod http;
mod images;
mod instances;
pub mod network;
#[cfg(test)]
mod network_tests;
mod select;
mod sts;
#[cfg(test)]
mod tests;
mod ways;
mod world;
mod xml;

pub use denials::Denials;
pub use faults::{Faults, FaultsError};
pub use http::{LookAlike, LookAlikeError};
pub use world::{Health, Image, PUSHED_KEY_LIFETIME, World, WorldEvent, WorldInstance};
