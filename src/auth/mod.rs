//! Who is it? From an SSH user name and a key whose possession the engine verified to an
//! [`Identity`](crate::domain::Identity) of local policy.
//!
//! What always holds here:
//!
//! - The key's owner decides who somebody is. The SSH user name can only pick among the owners of
//!   a shared key, or refuse; it can never add anybody.
//! - Every option of a key and every critical option of a certificate is enforced or refuses.
//! - A [`Directory`] is read whole or not at all, and never changes.
//! - A reason for a refusal ([`AuthFailure`]) is for the audit. It has no user text on purpose.
//! - Timing: every attempt costs one parse, one hash and the same look-ups; every certificate that
//!   can be read costs one CA signature check besides, trusted or not. What is left differs by
//!   microseconds, which the engine's delay on failure covers.
//!
//! What it does not do: verify possession (the engine does, with [`crate::signature`]), decide what
//! an identity may do (policy does), or speak to the network: no host name is ever looked up.

mod address;
mod attempt;
mod authenticate;
mod authorized_key;
mod certificate;
mod directory;
mod failure;
mod files;
mod krl;
mod options;
mod refresh;
mod revocation;
mod users_file;
mod ways_in;

pub use attempt::{Accepted, KEY_BLOB_BYTES_MAX, KeyAttempt, PublicKeyInfo, parse_public_key};
pub use certificate::{Extensions, certificate_claims};
pub use directory::{Directory, IdentitySources, User};
pub use failure::AuthFailure;

#[cfg(test)]
mod tests;
