//! The directory that recordings are written to. A file has its last name only once it is whole:
//! `r-….cast.zst.part` while it is written, `r-….cast.zst` after its ending, or after the crash that ended it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{Context, SHA256};

use super::error::RecordError;
use super::frame::{Front, Unpress, front};
use super::player::{Header, read_header};
use super::tape::Written;
use crate::domain::RecordingId;

/// What the name of a recording's file ends in.
const ENDING: &str = ".cast.zst";
/// And while it is written.
const PART: &str = ".cast.zst.part";

/// The directory that recordings are written to.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
}

/// What became of a recording whose daemon was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// What its header says.
    pub header: Header,
    /// Bytes of text.
    pub bytes: u64,
    /// Bytes of the file.
    pub compressed_bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    part: PathBuf,
    whole: PathBuf,
}

impl Salvaged {
    /// Gives the file its last name. Until then, the next start finds it again.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn keep(&self) -> Result<(), RecordError> {
        std::fs::rename(&self.part, &self.whole).map_err(RecordError::file(&self.part, "name a recording"))
    }
}

impl Spool {
    /// The spool in this directory, which is made where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, RecordError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(RecordError::file(dir, "make the directory of recordings"))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a recording's whole file is, or would be.
    #[must_use]
    pub fn path(&self, id: RecordingId) -> PathBuf {
        self.dir.join(format!("{id}{ENDING}"))
    }

    /// Where the file of a running recording is, or would be.
    #[must_use]
    pub fn part(&self, id: RecordingId) -> PathBuf {
        self.dir.join(format!("{id}{PART}"))
    }

    /// Where a recording that is kept elsewhere is put for a moment, to be read.
    pub(super) fn scratch(&self, id: RecordingId) -> PathBuf {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!(".{id}.{}.{turn}", std::process::id()))
    }

    /// Begins a file. The header is its first frame, so that it plays however soon it is cut off.
    pub(super) fn begin(&self, id: RecordingId, header: &[u8], text: u64) -> Result<SpoolFile, RecordError> {
        let path = self.part(id);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(RecordError::file(&path, "begin a recording"))?;
        let last = self.path(id);
        let mut file = SpoolFile { file, path, last, sum: Context::new(&SHA256), length: 0, text: 0 };
        if let Err(error) = file.append(header, text) {
            // Nothing was promised of it, and nothing could be played.
            let _gone = std::fs::remove_file(self.part(id)).is_ok();
            return Err(error);
        }
        Ok(file)
    }

    /// The whole recordings, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn whole(&self) -> io::Result<Vec<RecordingId>> {
        self.named(ENDING)
    }

    fn named(&self, ending: &str) -> io::Result<Vec<RecordingId>> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(ending));
            ids.extend(id.and_then(RecordingId::parse));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Closes what an earlier daemon left unfinished: what is not a whole frame is cut off, and the rest is hashed; it has
    /// its last name after [`Salvaged::keep`]. A file in which nothing had begun yet is removed. What cannot be read is left
    /// alone and told to the operator. To be called before anything is recorded. Blocks.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn salvage(&self) -> io::Result<Vec<Salvaged>> {
        let mut salvaged = Vec::new();
        for id in self.named(PART)? {
            match self.salvage_one(id) {
                Ok(Some(one)) => salvaged.push(one),
                Ok(None) => {
                    tracing::info!(recording = %id, "a recording that was cut off before anything was in it is removed");
                }
                Err(error) => {
                    tracing::error!(recording = %id, %error, "a recording that was cut off cannot be closed; it stays as it is");
                }
            }
        }
        Ok(salvaged)
    }

    /// Reads again what is whole, and whose ending did not get into the record. Blocks.
    ///
    /// # Errors
    /// When there is no such file, or it is no recording.
    pub fn reread(&self, id: RecordingId) -> io::Result<Salvaged> {
        let path = self.path(id);
        let mut file = open(&path)?;
        let read = read_through(&mut file)?;
        self.close_up(id, path, &file, read)
    }

    /// Reads again what has been moved elsewhere, as [`Self::reread`]. Nothing of it is changed.
    ///
    /// # Errors
    /// When it is no recording.
    pub fn reread_from(&self, id: RecordingId, mut file: File) -> io::Result<Salvaged> {
        let read = read_through(&mut file)?;
        self.salvaged(id, self.path(id), read)
    }

    fn salvage_one(&self, id: RecordingId) -> io::Result<Option<Salvaged>> {
        let part = self.part(id);
        let mut file = open(&part)?;
        let read = read_through(&mut file)?;
        if read.blank {
            // The header is written before anything tells of the recording, so only a power cut leaves one without.
            std::fs::remove_file(&part)?;
            return Ok(None);
        }
        self.close_up(id, part, &file, read).map(Some)
    }

    fn close_up(
        &self,
        id: RecordingId,
        part: PathBuf,
        file: &File,
        read: ReadThrough,
    ) -> io::Result<Salvaged> {
        let salvaged = self.salvaged(id, part, read)?;
        file.set_len(salvaged.compressed_bytes)?;
        file.sync_all()?;
        Ok(salvaged)
    }

    fn salvaged(&self, id: RecordingId, part: PathBuf, read: ReadThrough) -> io::Result<Salvaged> {
        Ok(Salvaged {
            header: read.header.ok_or(io::ErrorKind::UnexpectedEof)?,
            bytes: read.written.bytes,
            compressed_bytes: read.written.compressed_bytes,
            sha256: read.written.sha256,
            part,
            whole: self.path(id),
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

struct ReadThrough {
    header: Option<Header>,
    written: Written,
    /// There is nothing but the beginning of the first frame, or not even that.
    blank: bool,
}

/// Reads the whole frames at the beginning of a file.
fn read_through(file: &mut File) -> io::Result<ReadThrough> {
    let mut sum = Context::new(&SHA256);
    let mut unpress = Unpress::new()?;
    let (mut header, mut bytes, mut compressed_bytes) = (None, 0, 0);
    let mut waiting = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    'file: loop {
        while let Front::Whole(size) = front(&waiting) {
            let frame = waiting.get(..size).unwrap_or_default();
            // A frame that does not hold what it says was written when the machine went down. What is behind it is not read:
            // it may be gigabytes.
            let Ok(text) = unpress.text(frame) else { break 'file };
            header = header.or_else(|| read_header(&text));
            sum.update(frame);
            bytes += text.len() as u64;
            compressed_bytes += size as u64;
            waiting.drain(..size);
        }
        let count = file.read(&mut chunk)?;
        if count == 0 || front(&waiting) == Front::Foreign {
            break;
        }
        waiting.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    let blank = compressed_bytes == 0 && front(&waiting) == Front::Begun;
    let written = Written { bytes, compressed_bytes, sha256: digest(sum), complete: false };
    Ok(ReadThrough { header, written, blank })
}

/// SHA-256's 32 bytes.
pub(super) fn digest(sum: Context) -> [u8; 32] {
    sum.finish().as_ref().try_into().unwrap_or_default()
}

/// A file that is being written.
pub(super) struct SpoolFile {
    file: File,
    path: PathBuf,
    last: PathBuf,
    sum: Context,
    length: u64,
    text: u64,
}

impl SpoolFile {
    /// Appends a frame, which holds `text` bytes: all of it, or none that anybody would read.
    pub(super) fn append(&mut self, frame: &[u8], text: u64) -> Result<(), RecordError> {
        if let Err(error) = self.file.write_all(frame) {
            // Half a frame would only be in the way; where it stays, readers stop in front of it.
            let _cut = self.file.set_len(self.length);
            return Err(RecordError::file(&self.path, "write a recording")(error));
        }
        self.sum.update(frame);
        self.length += frame.len() as u64;
        self.text += text;
        // A file whose name is gone takes everything and keeps nothing.
        match self.file.metadata() {
            Ok(facts) if facts.nlink() == 0 => Err(RecordError::Removed { path: self.path.clone() }),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A recording on a disk of the test's choice.
    #[cfg(test)]
    pub(super) fn dangerous_for_test(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            last: path.to_owned(),
            sum: Context::new(&SHA256),
            length: 0,
            text: 0,
        }
    }

    /// Bytes on the disk.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of text in it.
    pub(super) fn text(&self) -> u64 {
        self.text
    }

    /// Puts it on the disk under its last name; its SHA-256 in any case.
    pub(super) fn finish(self) -> Result<[u8; 32], (RecordError, [u8; 32])> {
        let sha256 = digest(self.sum);
        let synced = self.file.sync_data().map_err(RecordError::file(&self.path, "sync a recording"));
        let renamed = std::fs::rename(&self.path, &self.last);
        let renamed = renamed.map_err(RecordError::file(&self.path, "name a recording"));
        synced.and(renamed).map(|()| sha256).map_err(|error| (error, sha256))
    }
}

impl std::fmt::Debug for SpoolFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolFile").field("path", &self.path).finish_non_exhaustive()
    }
}
