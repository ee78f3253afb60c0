//! The readers of the protocols by which files are moved, as a recorder follows them.

use super::files::Following;
use super::scp::ScpReader;
use super::sftp::SftpReader;
use crate::audit::FileFacts;

impl Following for SftpReader {
    fn to_target(&mut self, data: &[u8]) {
        self.to_target(data);
    }

    fn to_client(&mut self, data: &[u8]) {
        self.to_client(data);
    }

    fn end(&mut self) {
        self.end();
    }

    fn take(&mut self) -> Option<FileFacts> {
        self.take().map(FileFacts::from)
    }

    fn unanswered_write_bytes(&self) -> u64 {
        self.unanswered_write_bytes()
    }

    fn lost_track(&self) -> bool {
        self.lost_track()
    }
}

/// scp has one answer for each file, so nothing is held back for its sake.
impl Following for ScpReader {
    fn to_target(&mut self, data: &[u8]) {
        self.to_target(data);
    }

    fn to_client(&mut self, data: &[u8]) {
        self.to_client(data);
    }

    fn end(&mut self) {
        self.end();
    }

    fn take(&mut self) -> Option<FileFacts> {
        self.take().map(FileFacts::from)
    }

    fn unanswered_write_bytes(&self) -> u64 {
        0
    }

    fn lost_track(&self) -> bool {
        self.lost_track()
    }
}
