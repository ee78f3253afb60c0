//! Notices that users, policy, CA keys or revocation lists changed, and holds what is read from
//! them ([`Reloadable`]).
//!
//! What always holds: SIGHUP asks for a reload whatever else fails; a new version that is broken
//! is refused, loudly, and the old one stays; nothing waits in an unbounded queue.
//!
//! What this room does not do: read the files. It says that they changed; who reads them decides
//! what they mean.

mod reloadable;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use reloadable::Reloadable;

/// How long the files have to be quiet before a change counts as finished.
const QUIET: Duration = Duration::from_millis(200);

/// How long a change may go on before it counts as finished anyway.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(2);

/// How often the files are looked at where the system does not tell: on network file systems,
/// and where a directory cannot be watched.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Why a reload is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadCause {
    /// SIGHUP arrived.
    Hangup,
    /// These files changed, appeared or vanished.
    FilesChanged(Vec<PathBuf>),
}

/// Calls `on_change` whenever one of the files changes and on every SIGHUP, until `shutdown`.
///
/// The files' directories are watched, so that an editor's rename over the file is seen. What
/// cannot be watched is an `error!` and is looked at every 30 seconds. Files that changed before
/// this future is first polled are not reported: start it before reading them, or use
/// [`FileWatch::start`].
pub async fn watch(
    paths: Vec<PathBuf>,
    shutdown: CancellationToken,
    on_change: impl FnMut(ReloadCause) + Send,
) {
    FileWatch::start(paths).run(shutdown, on_change).await;
}

/// A set of files under watch. Changes count from [`FileWatch::start`] on.
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Signature>>,
    /// One place: while a hint waits there, another one would say nothing new.
    hints: mpsc::Receiver<()>,
    hangups: Option<Signal>,
    /// Watches as long as it lives.
    _watcher: Option<RecommendedWatcher>,
}

impl FileWatch {
    /// Starts watching. Needs a tokio runtime, for the signal.
    #[must_use]
    pub fn start(paths: Vec<PathBuf>) -> Self {
        let hangups = signal(SignalKind::hangup())
            .inspect_err(|error| error!(%error, "SIGHUP cannot be caught; it will end this process"))
            .ok();
        let (hint, hints) = mpsc::channel(1);
        let watcher = start_watcher(&paths, hint)
            .inspect_err(
                |error| error!(%error, "files cannot be watched; they are looked at every 30 seconds"),
            )
            .ok();
        let seen = signatures(&paths);
        Self { paths, seen, hints, hangups, _watcher: watcher }
    }

    /// Reports changes until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken, mut on_change: impl FnMut(ReloadCause) + Send) {
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let hangup = tokio::select! {
                () = shutdown.cancelled() => return,
                () = next_hangup(&mut self.hangups) => true,
                () = next_hint(&mut self.hints) => false,
                _ = look.tick() => false,
            };
            if !hangup {
                self.wait_for_quiet(&shutdown).await;
            }
            let changed = self.changed_files();
            if hangup {
                on_change(ReloadCause::Hangup);
            } else if !changed.is_empty() {
                on_change(ReloadCause::FilesChanged(changed));
            }
        }
    }

    async fn wait_for_quiet(&mut self, shutdown: &CancellationToken) {
        let quiet = async { while timeout(QUIET, next_hint(&mut self.hints)).await.is_ok() {} };
        tokio::select! {
            () = quiet => {}
            () = sleep(QUIET_WAIT_MAX) => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Which files are other than they were when this was last asked.
    fn changed_files(&mut self) -> Vec<PathBuf> {
        let before = std::mem::replace(&mut self.seen, signatures(&self.paths));
        let pairs = self.paths.iter().zip(before.iter().zip(&self.seen));
        pairs.filter(|(_, (before, after))| before != after).map(|(path, _)| path.clone()).collect()
    }
}

/// What tells one version of a file from another without reading it; symbolic links are
/// followed, so that a swapped link (Kubernetes mounts) is another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn signatures(paths: &[PathBuf]) -> Vec<Option<Signature>> {
    paths.iter().map(|path| Signature::of(path).ok()).collect()
}

fn start_watcher(paths: &[PathBuf], hint: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let names: BTreeSet<PathBuf> = paths.iter().cloned().collect();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let worth_a_look = event.map_or_else(
            |error| {
                error!(%error, "the watch on the files reports an error");
                true
            },
            |event| may_concern(&event, &names),
        );
        if worth_a_look {
            // When it does not fit, a hint is waiting already, or nobody listens any more.
            hint.try_send(()).ok();
        }
    })?;
    let directories: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    for directory in directories {
        let watched = notify::Watcher::watch(&mut watcher, directory, RecursiveMode::NonRecursive);
        if let Err(error) = watched {
            error!(%error, directory = %directory.display(), "a directory cannot be watched; its files are looked at every 30 seconds");
        }
    }
    Ok(watcher)
}

/// Whether an event may mean that a file changed. Other files that are written in the same
/// directory (the audit trail) do not count; something that appears or vanishes does, because it
/// may be what a link leads to.
fn may_concern(event: &Event, names: &BTreeSet<PathBuf>) -> bool {
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => {
            event.need_rescan() || event.paths.iter().any(|path| names.contains(path))
        }
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(ModifyKind::Any | ModifyKind::Name(_) | ModifyKind::Other)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// Never, where SIGHUP cannot be caught.
async fn next_hangup(hangups: &mut Option<Signal>) {
    if let Some(signal) = hangups
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Never, where nothing is watched.
async fn next_hint(hints: &mut mpsc::Receiver<()>) {
    if hints.recv().await.is_none() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// All tests are one process, so a signal that one of them sends reaches every watch.
    #[derive(PartialEq)]
    enum Signals {
        Heard,
        Ignored,
    }

    type Running = (mpsc::Receiver<ReloadCause>, CancellationToken, tokio::task::JoinHandle<()>);

    /// A watch that runs, and the causes it reports.
    fn running(paths: Vec<PathBuf>, signals: Signals) -> Running {
        let (report, reports) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let on_change = move |cause| report.try_send(cause).expect("room for the report");
        let mut watch = FileWatch::start(paths);
        if signals == Signals::Ignored {
            watch.hangups = None;
        }
        let task = tokio::spawn(watch.run(shutdown.clone(), on_change));
        (reports, shutdown, task)
    }

    async fn next(reports: &mut mpsc::Receiver<ReloadCause>) -> ReloadCause {
        timeout(PATIENCE, reports.recv()).await.expect("a report in time").expect("a running watch")
    }

    #[tokio::test]
    async fn an_editors_rename_over_a_file_is_seen_and_another_file_is_not() {
        let folder = tempfile::tempdir().expect("a directory");
        let (users, other) = (folder.path().join("users.toml"), folder.path().join("policy.cedar"));
        std::fs::write(&users, "old").expect("a file");
        std::fs::write(&other, "old").expect("a file");
        let (mut reports, shutdown, task) = running(vec![users.clone(), other], Signals::Ignored);
        let draft = folder.path().join("users.toml.swp");
        std::fs::write(&draft, "new").expect("a file");
        std::fs::rename(&draft, &users).expect("a rename");
        assert_eq!(next(&mut reports).await, ReloadCause::FilesChanged(vec![users]));
        shutdown.cancel();
        task.await.expect("a clean end");
        assert!(reports.try_recv().is_err(), "one change is one report");
    }

    #[tokio::test]
    async fn writing_in_place_deleting_and_creating_are_seen() {
        let folder = tempfile::tempdir().expect("a directory");
        let list = folder.path().join("revoked");
        std::fs::write(&list, "a").expect("a file");
        let (mut reports, _shutdown, _task) = running(vec![list.clone()], Signals::Ignored);
        std::fs::write(&list, "a and b").expect("a write");
        assert_eq!(next(&mut reports).await, ReloadCause::FilesChanged(vec![list.clone()]));
        std::fs::remove_file(&list).expect("a removal");
        assert_eq!(next(&mut reports).await, ReloadCause::FilesChanged(vec![list.clone()]));
        std::fs::write(&list, "c").expect("a file");
        assert_eq!(next(&mut reports).await, ReloadCause::FilesChanged(vec![list]));
    }

    #[tokio::test]
    async fn a_swapped_link_is_seen() {
        let folder = tempfile::tempdir().expect("a directory");
        let (link, file) = (folder.path().join("..data"), folder.path().join("users.toml"));
        for version in ["v1", "v2"] {
            std::fs::create_dir(folder.path().join(version)).expect("a directory");
            std::fs::write(folder.path().join(version).join("users.toml"), version).expect("a file");
        }
        std::os::unix::fs::symlink("v1", &link).expect("a link");
        std::os::unix::fs::symlink("..data/users.toml", &file).expect("a link");
        let (mut reports, _shutdown, _task) = running(vec![file.clone()], Signals::Ignored);
        let fresh = folder.path().join("..data_tmp");
        std::os::unix::fs::symlink("v2", &fresh).expect("a link");
        std::fs::rename(&fresh, &link).expect("a rename");
        assert_eq!(next(&mut reports).await, ReloadCause::FilesChanged(vec![file]));
    }

    #[tokio::test]
    async fn hangup_asks_for_a_reload_even_where_nothing_can_be_watched() {
        let missing = PathBuf::from("/nonexistent-directory/users.toml");
        let (mut reports, _shutdown, _task) = running(vec![missing], Signals::Heard);
        let this_process = rustix::process::getpid();
        rustix::process::kill_process(this_process, rustix::process::Signal::HUP).expect("a signal");
        assert_eq!(next(&mut reports).await, ReloadCause::Hangup);
    }

    #[test]
    fn lines_appended_to_a_neighbour_are_no_hint() {
        let names = BTreeSet::from([PathBuf::from("/d/users.toml")]);
        let data = |path: &str| {
            Event::new(EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any)))
                .add_path(path.into())
        };
        assert!(!may_concern(&data("/d/audit.jsonl"), &names));
        assert!(may_concern(&data("/d/users.toml"), &names));
    }
}
