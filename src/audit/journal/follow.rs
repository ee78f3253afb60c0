//! Those who follow the journal, and keep what they have not passed.

use std::sync::Arc;

use super::book::Book;

/// One that follows. What it has not passed is kept, also while it is down: letting go of this value changes nothing.
#[derive(Debug)]
pub struct Follower {
    pub(super) book: Arc<Book>,
    pub(super) name: String,
}

impl Follower {
    /// It needs nothing up to and including this line any more. An earlier line than before is passed over.
    pub fn passed(&self, seq: u64) {
        self.book.passed(&self.name, seq);
    }
}
