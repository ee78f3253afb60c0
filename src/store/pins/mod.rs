//! Host keys of targets, each pinned to one machine.
//!
//! What always holds: a machine has one pin at most; of several that are set at once one wins and all who set one are
//! answered with it; a row that makes no sense is an error that names its machine, and can be forgotten.
//!
//! What is not here: whether a key may be pinned or trusted (`vouch`).

mod board;
mod keep;
mod row;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;

use crate::domain::{Fingerprint, InstanceId, PinVoucher, Target};

/// Which machine: private addresses overlap and are reused, these three together are not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId {
    /// The 12-digit account id.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance id.
    pub instance: InstanceId,
}

impl From<&Target> for MachineId {
    fn from(target: &Target) -> Self {
        Self { account: target.account.clone(), region: target.region.clone(), instance: target.id.clone() }
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} of account {}", self.instance, self.region, self.account)
    }
}

/// What became of a pin that was to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgotten {
    /// There was none.
    Nothing,
    /// It is gone, and this was it.
    Pin(Box<Pin>),
    /// It is gone, and what it was could not be read.
    Damaged,
}

/// One pinned host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Whose key it is.
    pub machine: MachineId,
    /// The key's type, as SSH names it.
    pub key_type: String,
    /// The public key in its wire form (RFC 4253 §6.6).
    pub key_blob: Vec<u8>,
    /// The fingerprint of `key_blob`.
    pub fingerprint: Fingerprint,
    /// What made it trustworthy.
    pub vouched_by: PinVoucher,
    /// When it was pinned, to the millisecond.
    pub first_seen: Timestamp,
    /// When the machine last proved to have it, to the millisecond.
    pub last_seen: Timestamp,
    /// What was known of the machine when the key was pinned.
    pub circumstances: Circumstances,
}

/// A key that is to be pinned.
#[derive(Debug, Clone, Copy)]
pub struct NewPin<'a> {
    /// The key's type, as SSH names it.
    pub key_type: &'a str,
    /// The public key in its wire form (RFC 4253 §6.6).
    pub key_blob: &'a [u8],
    /// What makes it trustworthy.
    pub vouched_by: PinVoucher,
    /// What is known of the machine.
    pub circumstances: &'a Circumstances,
}

/// What was known of a machine when its key was pinned. An operator who pins a key beforehand knows nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// When it had last been started, to the millisecond.
    pub launch_time: Option<Timestamp>,
    /// Its image.
    pub image: Option<String>,
}

impl<'a> NewPin<'a> {
    /// A key whose type is what it says itself.
    fn of(key_blob: &'a [u8], vouched_by: PinVoucher, circumstances: &'a Circumstances) -> Self {
        let key_type = crate::signature::key_type(key_blob).unwrap_or("unknown");
        Self { key_type, key_blob, vouched_by, circumstances }
    }
}

impl From<&Target> for Circumstances {
    fn from(target: &Target) -> Self {
        let image = (!target.image.is_empty()).then(|| target.image.clone());
        Self { launch_time: target.launch_time, image }
    }
}
