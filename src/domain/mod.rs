//! Plain values with the product's names. No IO, no async, no dependency on the rest of the crate.
//!
//! What always holds here: a value that exists is well formed (parse, don't validate), and
//! nothing in this folder can reach the network, the disk or the clock.

mod action;
mod destination;
mod ending;
mod failure;
mod host_key;
mod identity;
mod ids;
mod node;
mod recording;
mod server_address;
mod target;
mod verdict;

pub use action::{Action, ActionKind};
pub use destination::Destination;
pub use ending::{Ending, Exit};
pub use failure::FailureClass;
pub use host_key::{HostKeyVoucher, PinVoucher};
pub use identity::{AuthMethod, CertificateFacts, Fingerprint, Identity, NameError, UserName};
pub use ids::{ChannelNumber, ConnectionId, RecordingId, SessionId};
pub use node::NodeName;
pub use recording::RecordMode;
pub use server_address::{ServerAddress, ServerAddressError};
pub use target::{InstanceId, Login, Target, TargetRef, TargetRefError};
pub use verdict::Verdict;
