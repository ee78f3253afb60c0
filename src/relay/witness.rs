//! Who sees a running channel as it goes past.

use crate::domain::Ending;
use crate::tasks::BoxFuture;

/// Sees what goes through a channel, in the order in which it is passed on. The relay waits where the witness asks it to;
/// all other calls are quick, on the connection's own thread.
pub trait Witness: Send + Sync {
    /// Data from the client, before it is passed on to the target.
    fn to_target(&self, data: &[u8]);
    /// Data from the target, before it is passed on to the client.
    fn to_client(&self, data: &[u8]);
    /// Standard error, likewise.
    fn stderr_to_client(&self, data: &[u8]);
    /// The client's terminal has another size, in characters.
    fn window(&self, columns: u32, rows: u32);
    /// Whether more may go to the target at once; where not, [`Witness::wait_target`] is waited for.
    fn target_ready(&self) -> bool;
    /// Whether more may go to the client at once; where not, [`Witness::wait_client`] is waited for.
    fn client_ready(&self) -> bool;
    /// Resolves when more may go to the target.
    fn wait_target(&self) -> BoxFuture<'_, ()>;
    /// Resolves when more may go to the client.
    fn wait_client(&self) -> BoxFuture<'_, ()>;
    /// Resolves when the channel must end, with the cause and what the client is told; mostly never.
    fn broken(&self) -> BoxFuture<'_, (Ending, &'static str)>;
}
