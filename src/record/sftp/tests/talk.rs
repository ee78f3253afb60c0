//! Packets made by hand, and what is told of them in one line each.

use super::super::SftpReader;
use super::super::numbers::*;
use crate::record::operation::FileOperation;

/// A packet in the making.
#[derive(Debug, Clone)]
pub(super) struct Packet(Vec<u8>);

impl Packet {
    pub(super) fn new(kind: u8, id: u32) -> Self {
        Self(vec![kind]).u32(id)
    }

    pub(super) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.u32(u32::try_from(bytes.len()).expect("short")).raw(bytes)
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        [&u32::try_from(self.0.len()).expect("short").to_be_bytes()[..], &self.0].concat()
    }
}

/// Flags of OPEN.
pub(super) const READING: u32 = 0x1;
pub(super) const WRITING: u32 = 0x2 | 0x8 | 0x10;

/// What each end said, in order: to the target, and to the client.
#[derive(Debug, Clone, Default)]
pub(super) struct Talk(pub(super) Vec<(bool, Vec<u8>)>);

impl Talk {
    /// The ends have agreed on version 3.
    pub(super) fn v3() -> Self {
        Self::version(3)
    }

    pub(super) fn version(version: u32) -> Self {
        Self::default().ask(Packet::new(INIT, version)).answer(Packet::new(VERSION, version))
    }

    pub(super) fn ask(mut self, packet: Packet) -> Self {
        self.0.push((true, packet.bytes()));
        self
    }

    pub(super) fn answer(mut self, packet: Packet) -> Self {
        self.0.push((false, packet.bytes()));
        self
    }

    pub(super) fn status(self, id: u32, code: u32) -> Self {
        self.answer(status(id, code, ""))
    }

    /// Opens a file and gets that handle.
    pub(super) fn open(self, id: u32, path: &str, flags: u32, handle: &str) -> Self {
        let asked = Packet::new(OPEN, id).string(path).u32(flags).u32(0);
        self.ask(asked).answer(Packet::new(HANDLE, id).string(handle))
    }

    pub(super) fn write(self, id: u32, handle: &str, offset: u64, data: &[u8]) -> Self {
        self.ask(Packet::new(WRITE, id).string(handle).u64(offset).string(data))
    }

    pub(super) fn read(self, id: u32, handle: &str, offset: u64, length: u32) -> Self {
        self.ask(Packet::new(READ, id).string(handle).u64(offset).u32(length))
    }

    pub(super) fn data(self, id: u32, data: &[u8]) -> Self {
        self.answer(Packet::new(DATA, id).string(data))
    }

    pub(super) fn close(self, id: u32, handle: &str) -> Self {
        self.ask(Packet::new(CLOSE, id).string(handle)).status(id, OK)
    }

    /// What is told of it up to there.
    pub(super) fn told(&self) -> Vec<FileOperation> {
        all(&mut self.reader())
    }

    /// What is told when the channel ends there.
    pub(super) fn told_at_the_end(&self) -> Vec<FileOperation> {
        let mut reader = self.reader();
        reader.end();
        all(&mut reader)
    }

    pub(super) fn reader(&self) -> SftpReader {
        let mut reader = SftpReader::new();
        for (to_target, data) in &self.0 {
            if *to_target { reader.to_target(data) } else { reader.to_client(data) }
        }
        reader
    }
}

pub(super) fn status(id: u32, code: u32, message: &str) -> Packet {
    Packet::new(STATUS, id).u32(code).string(message).string("en")
}

pub(super) fn all(reader: &mut SftpReader) -> Vec<FileOperation> {
    std::iter::from_fn(|| reader.take()).collect()
}

/// `write a -> b 12@4 0644: ok (detail)`.
pub(super) fn brief(operation: &FileOperation) -> String {
    let name = |path: &Option<crate::record::operation::PathName>| {
        path.as_ref().map(|path| path.text().into_owned())
    };
    let mut text = operation.action.label().to_owned();
    text.extend(name(&operation.path).map(|path| format!(" {path}")));
    text.extend(name(&operation.new_path).map(|path| format!(" -> {path}")));
    text.extend(operation.bytes.map(|bytes| format!(" {bytes}")));
    text.extend(operation.from.filter(|from| *from > 0).map(|from| format!("@{from}")));
    text.extend(operation.mode.map(|mode| format!(" {mode:04o}")));
    text.push_str(": ");
    text.push_str(operation.result.label());
    text.extend(operation.detail.as_ref().map(|detail| format!(" ({detail})")));
    text
}

pub(super) fn briefs(operations: &[FileOperation]) -> Vec<String> {
    operations.iter().map(brief).collect()
}
