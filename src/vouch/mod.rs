//! Is this the machine we mean? Who can vouch for its host key, what each of them says, and what follows from that.
//!
//! A [`Chain`] asks its vouchers in order: a host certificate, the [`PinBoard`], a tag of the instance, what cloud-init
//! wrote on its console ([`read_console`]), and first use. A [`Harvest`] fetches what the consoles of new instances say
//! before it is lost.
//!
//! What always holds: a statement is read whole or not at all, so half a block and a tag with a slip in it vouch
//! for nothing; silence leaves it to the next voucher, and a contradiction refuses; a key that is pinned binds,
//! whatever the chain is; whatever comes from outside is bounded before it is read.
//!
//! Deliberately not here: dialling and asking ([`crate::upstream`]), AWS (a [`ConsoleReader`] is implemented
//! elsewhere), and the words for people.

mod certificate;
mod chain;
mod console;
mod harvest;
mod known;
mod pin;
mod reader;
mod tag;

pub use certificate::{CertificateDoubt, HostCas};
pub(crate) use chain::changed;
pub use chain::{Chain, Contradicts, Doubt, Evidence, ShownKey, Silence, Unvouched, Vouched};
pub use console::{ConsoleError, read_console};
pub use harvest::{Harvest, HarvestSettings, PinLedger};
pub use known::{KnownKey, KnownKeys, Opinion};
pub use pin::{KeyChange, PinBoard, PinError, PinnedKey};
pub use reader::{ConsoleCopy, ConsoleFault, ConsoleReader, NoConsoles, Unread, ask_console};
pub use tag::{TAG_LENGTH_MAX, TagError, read_tag};
