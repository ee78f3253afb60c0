//! Who looks on while lines are written.

use super::{AuditError, Entry};

/// Sees what is on record and what could not be put there, entry by entry, in the order of the lines.
///
/// It is called on the writer's own thread, between two groups of lines: it must be quick, must not wait for
/// anything, and must not record anything itself.
pub trait Observer: Send + Sync {
    /// The entry's line is durable.
    fn recorded(&self, entry: &Entry);

    /// The entry's line could not be written. What it announced does not happen; what it tells of the past has
    /// happened all the same.
    fn lost(&self, _entry: &Entry, _error: &AuditError) {}
}
