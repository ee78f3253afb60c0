//! The SSH engine, both ends: transport (RFC 4253), authentication (RFC 4252) and connection (RFC 4254).
//!
//! Why our own: `docs/decisions/0002-ssh-engine.md`. The cryptography is aws-lc's, key formats are
//! `ssh-key`'s; what is here is the protocol.
//!
//! What always holds here:
//! - A channel's peer may send no more than its reader has taken out plus one window; nobody else is
//!   held up by a channel that is not read.
//! - Whatever a peer can make us remember is bounded, before and after authentication.
//! - Parsing never panics; what cannot be right ends the connection with a [`ProtocolError`].
//! - Nothing here decides who may do what, and nothing here writes to a disk, except a key file that
//!   [`HostKey::load_or_create`] is asked to make.
//!
//! A server: [`accept`] → [`Unauthenticated`] → [`Connection`] → [`ChannelOpen`] → [`Channel`].
//! A client: [`connect`] → [`Unverified`] → [`Connection`] → [`Connection::open`] → [`Channel`].

mod algorithms;
mod auth;
mod channel;
mod cipher;
mod client;
mod connection;
mod data;
mod diffie_hellman;
mod driver;
mod error;
mod hostkeys;
mod kex;
mod lull;
mod numbers;
mod offer;
mod outgoing;
mod packet;
mod server;
mod stream;
mod transport;
mod wakers;
mod wire;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use algorithms::Role;
pub use auth::{AuthAttempt, AuthRequest, ClientAuthError, Proof, Signer, USER_NAME_MAX};
pub use channel::{Channel, ChannelEvent, ChannelRequest, OpenRefused, STDERR};
pub use client::{ClientConfig, NoExchange, Unverified, connect, connect_within};
pub use connection::{
    ChannelKind, ChannelOpen, Connection, ConnectionEvent, GlobalRequest, Limits, OpenError, Opener,
    RefusalCode,
};
pub use data::Data;
pub use driver::Stream;
pub use error::{CloseReason, Closed, ProtocolError};
pub use hostkeys::{HostKey, HostKeyError};
pub use lull::give_way;
pub use offer::{NotAddable, Offer};
pub use server::{ServerConfig, Unauthenticated, accept, goodbye_in_the_clear};
pub use stream::ChannelStream;
pub use transport::{Heard, HostCertificate, Negotiated, RekeyPolicy, ServerIdentity};
