//! The operations that wait to be taken by the recorder.

use std::collections::VecDeque;

use super::operation::FileOperation;
use crate::audit::FileProtocol;

/// The most operations that wait. A recorder takes them after each piece of data, and what one piece can
/// complete is bounded by what may be under way.
const WAITING_MAX: usize = 16 * 1024;

/// A bounded queue that says what it had no room for.
#[derive(Debug)]
pub(super) struct Told {
    protocol: FileProtocol,
    waiting: VecDeque<FileOperation>,
    missed: u64,
}

impl Told {
    pub(super) fn new(protocol: FileProtocol) -> Self {
        Self { protocol, waiting: VecDeque::new(), missed: 0 }
    }

    pub(super) fn tell(&mut self, operation: FileOperation) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(operation);
        } else {
            self.missed += 1;
        }
    }

    /// The oldest.
    pub(super) fn take(&mut self) -> Option<FileOperation> {
        let next = self.waiting.pop_front();
        if next.is_none() && self.missed > 0 {
            let missed = std::mem::take(&mut self.missed);
            let detail =
                format!("{missed} operations came faster than they could be told and are missing here");
            return Some(FileOperation::untracked(self.protocol, &detail));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::FileAct;

    #[test]
    fn what_has_no_room_is_counted_and_told() {
        let mut told = Told::new(FileProtocol::Scp);
        for _ in 0..WAITING_MAX + 3 {
            told.tell(FileOperation::new(FileProtocol::Scp, FileAct::Read));
        }
        let all: Vec<_> = std::iter::from_fn(|| told.take()).collect();
        assert_eq!(all.len(), WAITING_MAX + 1);
        let last = all.last().expect("there are some");
        assert_eq!(last.action, FileAct::Untracked);
        assert!(last.detail.as_deref().is_some_and(|detail| detail.starts_with("3 operations")));
    }
}
