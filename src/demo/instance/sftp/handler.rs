//! The protocol's requests, each answered by one file operation on a thread that may block.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh_sftp::protocol::{
    Attrs, Data, File as NamedFile, FileAttributes, Handle, Name, OpenFlags, Packet, Status, Version,
};
use russh_sftp::server::Handler;
use tokio::sync::watch;

use super::answers::{Failure, done};
use super::files;
use super::listing::Listing;
use crate::domain::Exit;

/// The most files and directories that one client may have open.
const HANDLES_MAX: usize = 256;

/// The most bytes that one read answers with.
const READ_MAX: u32 = 128 * 1024;

/// Serves one client.
#[derive(Debug)]
pub(super) struct SftpHandler {
    home: PathBuf,
    open: HashMap<String, Open>,
    opened: u64,
    ended: watch::Sender<Option<Exit>>,
}

#[derive(Debug, Clone)]
enum Open {
    File(Arc<File>),
    Directory(Arc<Mutex<Listing>>),
}

impl SftpHandler {
    pub(super) fn new(home: PathBuf, ended: watch::Sender<Option<Exit>>) -> Self {
        Self { home, open: HashMap::new(), opened: 0, ended }
    }

    /// The path that was named; relative ones start at home.
    fn path(&self, text: &str) -> PathBuf {
        self.home.join(text)
    }

    fn remember(&mut self, id: u32, open: Open) -> Result<Handle, Failure> {
        self.opened += 1;
        let handle = self.opened.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn check_room(&self) -> Result<(), Failure> {
        if self.open.len() >= HANDLES_MAX {
            return Err(Failure::because("too many files are open"));
        }
        Ok(())
    }

    fn file(&self, handle: &str) -> Result<Arc<File>, Failure> {
        match self.open.get(handle) {
            Some(Open::File(file)) => Ok(Arc::clone(file)),
            Some(Open::Directory(_)) | None => Err(Failure::unknown_handle()),
        }
    }
}

impl Drop for SftpHandler {
    fn drop(&mut self) {
        self.ended.send_replace(Some(Exit::Status { code: 0 }));
    }
}

/// Runs a file operation where blocking harms nobody.
async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(operation).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::because("the demo is ending")),
    }
}

impl Handler for SftpHandler {
    type Error = Failure;

    fn unimplemented(&self) -> Failure {
        Failure::unsupported()
    }

    async fn init(
        &mut self,
        _version: u32,
        _extensions: HashMap<String, String>,
    ) -> Result<Version, Failure> {
        let mut version = Version::new();
        for name in ["posix-rename@openssh.com", "fsync@openssh.com", "hardlink@openssh.com"] {
            version.extensions.insert(name.to_owned(), "1".to_owned());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        pflags: OpenFlags,
        attrs: FileAttributes,
    ) -> Result<Handle, Failure> {
        self.check_room()?;
        let path = self.path(&filename);
        let file = blocking(move || files::open(&path, pflags, &attrs)).await?;
        self.remember(id, Open::File(Arc::new(file)))
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, Failure> {
        self.open.remove(&handle).map(|_| done(id)).ok_or_else(Failure::unknown_handle)
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, Failure> {
        let file = self.file(&handle)?;
        let length = usize::try_from(len.min(READ_MAX)).unwrap_or_default();
        let data = blocking(move || files::read(&file, offset, length)).await?;
        if data.is_empty() && len > 0 {
            return Err(Failure::end_of_file());
        }
        Ok(Data { id, data })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, Failure> {
        let file = self.file(&handle)?;
        blocking(move || file.write_all_at(&data, offset)).await?;
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, Failure> {
        let path = self.path(&path);
        let metadata = blocking(move || fs::symlink_metadata(path)).await?;
        Ok(Attrs { id, attrs: files::attributes(&metadata) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, Failure> {
        let path = self.path(&path);
        let metadata = blocking(move || fs::metadata(path)).await?;
        Ok(Attrs { id, attrs: files::attributes(&metadata) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, Failure> {
        let file = self.file(&handle)?;
        let metadata = blocking(move || file.metadata()).await?;
        Ok(Attrs { id, attrs: files::attributes(&metadata) })
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, Failure> {
        let path = self.path(&path);
        blocking(move || files::set_attributes_at(&path, &attrs)).await?;
        Ok(done(id))
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attrs: FileAttributes) -> Result<Status, Failure> {
        let file = self.file(&handle)?;
        blocking(move || files::set_attributes(&file, &attrs)).await?;
        Ok(done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, Failure> {
        self.check_room()?;
        let path = self.path(&path);
        let listing = blocking(move || Listing::open(&path)).await?;
        self.remember(id, Open::Directory(Arc::new(Mutex::new(listing))))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, Failure> {
        let Some(Open::Directory(listing)) = self.open.get(&handle).cloned() else {
            return Err(Failure::unknown_handle());
        };
        let files = blocking(move || listing.lock().unwrap_or_else(PoisonError::into_inner).next()).await?;
        if files.is_empty() {
            return Err(Failure::end_of_file());
        }
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, Failure> {
        let path = self.path(&filename);
        blocking(move || fs::remove_file(path)).await?;
        Ok(done(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, Failure> {
        let path = self.path(&path);
        let mode = attrs.permissions.unwrap_or(0o777) & 0o7777;
        blocking(move || fs::DirBuilder::new().mode(mode).create(path)).await?;
        Ok(done(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, Failure> {
        let path = self.path(&path);
        blocking(move || fs::remove_dir(path)).await?;
        Ok(done(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, Failure> {
        let path = self.path(&path);
        let real = blocking(move || Ok(fs::canonicalize(&path).unwrap_or_else(|_| tidy(&path)))).await?;
        Ok(Name { id, files: vec![NamedFile::dummy(real.to_string_lossy())] })
    }

    async fn rename(&mut self, id: u32, oldpath: String, newpath: String) -> Result<Status, Failure> {
        let (from, to) = (self.path(&oldpath), self.path(&newpath));
        blocking(move || files::rename(&from, &to)).await?;
        Ok(done(id))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Result<Name, Failure> {
        let path = self.path(&path);
        let target = blocking(move || fs::read_link(path)).await?;
        Ok(Name { id, files: vec![NamedFile::dummy(target.to_string_lossy())] })
    }

    /// OpenSSH sends the two paths in the order of `ln -s`, against the draft, and so does
    /// everyone else (OpenSSH's `PROTOCOL`, section 4.1): the first is what the link points to.
    async fn symlink(&mut self, id: u32, linkpath: String, targetpath: String) -> Result<Status, Failure> {
        let (points_to, link) = (linkpath, self.path(&targetpath));
        blocking(move || std::os::unix::fs::symlink(points_to, link)).await?;
        Ok(done(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, Failure> {
        let strings = strings(&data);
        match (request.as_str(), strings.as_slice()) {
            ("posix-rename@openssh.com", [from, to]) => {
                let (from, to) = (self.path(from), self.path(to));
                blocking(move || fs::rename(from, to)).await?;
            }
            ("hardlink@openssh.com", [from, to]) => {
                let (from, to) = (self.path(from), self.path(to));
                blocking(move || fs::hard_link(from, to)).await?;
            }
            ("fsync@openssh.com", [handle]) => {
                let file = self.file(handle)?;
                blocking(move || file.sync_all()).await?;
            }
            (_, _) => return Err(Failure::unsupported()),
        }
        Ok(Packet::Status(done(id)))
    }
}

/// A path without `.` and `..`, for one that does not exist yet.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => tidy.push(component),
        }
    }
    tidy
}

/// The strings that an extended request carries, each with its length before it (RFC 4251 §5).
fn strings(data: &[u8]) -> Vec<String> {
    let mut strings = Vec::new();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((string, after)) = after.split_at_checked(length) else { break };
        strings.push(String::from_utf8_lossy(string).into_owned());
        rest = after;
    }
    strings
}
