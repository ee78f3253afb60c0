//! Files and standard output, each written by a thread of its own.
//!
//! What always holds: a batch is written whole or taken back (a file) or begun anew (standard output); a disk or a
//! pipe that does not answer holds up this sink and nothing else, also not the end of the process; a file that was
//! renamed, removed or emptied by log rotation is followed by a new one.
//!
//! What it does not do: rotate files.

mod appender;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use serde::Deserialize;
use tokio::sync::oneshot;

use super::destination::{Delivered, Destination, Failure};
use super::ocsf;
use super::record::Record;
use crate::audit::JournalLine;
use appender::LogFile;

/// What the thread writes to.
trait Medium: Send {
    /// Appends whole lines, or fails and leaves none behind as far as it can.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;
    /// Sees to it that what was appended survives a power cut.
    fn sync(&mut self) -> io::Result<()>;
    /// Looks for a file that was rotated away.
    fn reopen(&mut self) -> io::Result<()>;
    /// The last whole line that is there, where that can be told.
    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>>;
}

struct StandardOutput;

impl Medium for StandardOutput {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(lines).and_then(|()| stdout.flush())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// What the lines look like.
#[derive(Debug)]
pub(super) enum Form {
    /// As the journal has them.
    Native,
    /// As OCSF events.
    Ocsf(Box<ocsf::Translator>),
}

impl Form {
    fn render(&mut self, lines: &[JournalLine]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
        for line in lines {
            match self {
                Self::Native => bytes.extend_from_slice(line.text.as_bytes()),
                Self::Ocsf(translator) => bytes.extend(translator.event(&Record::of(line))),
            }
            bytes.push(b'\n');
        }
        bytes
    }
}

enum Job {
    Append(Vec<u8>, oneshot::Sender<io::Result<()>>),
    Sync(oneshot::Sender<io::Result<()>>),
    Reopen(oneshot::Sender<io::Result<()>>),
    LastLine(oneshot::Sender<io::Result<Option<Vec<u8>>>>),
}

/// Lines that the thread was given.
#[derive(Debug)]
struct UnderWay {
    through: u64,
    answered: oneshot::Receiver<io::Result<()>>,
}

/// A file or standard output.
#[derive(Debug)]
pub(super) struct Local {
    jobs: SyncSender<Job>,
    form: Form,
    node: String,
    under_way: Option<UnderWay>,
    /// The batch that was rendered last, to be tried again as it is: its first and last line, and the bytes.
    rendered: Option<(u64, u64, Vec<u8>)>,
}

impl Local {
    /// Lines for a file. It is opened when there is something to write.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn file(path: PathBuf, form: Form, node: &str) -> io::Result<Self> {
        Self::start(Box::new(LogFile::new(path)), form, node)
    }

    /// Lines for standard output.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn stdout(node: &str) -> io::Result<Self> {
        Self::start(Box::new(StandardOutput), Form::Native, node)
    }

    fn start(medium: Box<dyn Medium>, form: Form, node: &str) -> io::Result<Self> {
        let (jobs, received) = sync_channel(1);
        std::thread::Builder::new().name("sink".to_owned()).spawn(move || work(&received, medium))?;
        Ok(Self { jobs, form, node: node.to_owned(), under_way: None, rendered: None })
    }

    fn give(&self, job: Job) -> Result<(), Failure> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Failure::new("the lines before are still being written"),
            TrySendError::Disconnected(_) => Failure::new("the thread that writes has ended"),
        })
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Job) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        self.give(job(answer))?;
        settle(answered.await)
    }

    /// Waits for lines that an earlier call gave to the thread and did not wait for.
    async fn finish_what_is_under_way(&mut self) -> Result<Option<u64>, Failure> {
        let Some(under_way) = &mut self.under_way else { return Ok(None) };
        let through = under_way.through;
        let answer = (&mut under_way.answered).await;
        self.under_way = None;
        settle(answer).map(|()| Some(through))
    }

    fn bytes_of(&mut self, lines: &[JournalLine]) -> Vec<u8> {
        let ends = (lines.first().map_or(0, |line| line.seq), lines.last().map_or(0, |line| line.seq));
        match &self.rendered {
            Some((first, last, bytes)) if (*first, *last) == ends => bytes.clone(),
            Some(_) | None => {
                let bytes = self.form.render(lines);
                self.rendered = Some((ends.0, ends.1, bytes.clone()));
                bytes
            }
        }
    }
}

fn settle<T>(answer: Result<io::Result<T>, oneshot::error::RecvError>) -> Result<T, Failure> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::new(error.to_string())),
        Err(_) => Err(Failure::new("the thread that writes has ended")),
    }
}

impl Destination for Local {
    async fn reached(&mut self) -> Option<u64> {
        let line = self.ask(Job::LastLine).await.ok().flatten()?;
        let said: Said = serde_json::from_slice(&line).ok()?;
        said.seq_of(&self.node)
    }

    fn wants_the_past(&self) -> bool {
        matches!(self.form, Form::Ocsf(_))
    }

    fn recall(&mut self, line: &JournalLine) {
        if let Form::Ocsf(translator) = &mut self.form {
            translator.recall(&Record::of(line));
        }
    }

    async fn deliver(&mut self, lines: &[JournalLine]) -> Result<Delivered, Failure> {
        let Some(last) = lines.last().map(|line| line.seq) else { return Ok(Delivered::default()) };
        if let Some(through) = self.finish_what_is_under_way().await? {
            if through == last {
                self.rendered = None;
                return Ok(Delivered::default());
            }
            return Err(Failure::new("the lines before took long").resuming_after(through));
        }
        let bytes = self.bytes_of(lines);
        let (answer, answered) = oneshot::channel();
        self.give(Job::Append(bytes, answer))?;
        self.under_way = Some(UnderWay { through: last, answered });
        self.finish_what_is_under_way().await?;
        self.rendered = None;
        Ok(Delivered::default())
    }

    async fn settled(&mut self, sent: u64) -> Result<u64, Failure> {
        self.ask(Job::Sync).await.map(|()| sent)
    }

    async fn reopen(&mut self) {
        if let Err(failure) = self.ask(Job::Reopen).await {
            tracing::warn!(error = %failure, "the file of a sink cannot be opened again");
        }
    }
}

/// What a line of ours, native or OCSF, says about its place.
#[derive(Deserialize)]
struct Said {
    node: Option<String>,
    seq: Option<u64>,
    metadata: Option<SaidInMetadata>,
}

#[derive(Deserialize)]
struct SaidInMetadata {
    uid: Option<String>,
}

impl Said {
    fn seq_of(self, node: &str) -> Option<u64> {
        if let Some(uid) = self.metadata.and_then(|metadata| metadata.uid) {
            return uid.strip_prefix(node)?.strip_prefix(ocsf::UID_SEPARATOR)?.parse().ok();
        }
        self.seq.filter(|_| self.node.as_deref() == Some(node))
    }
}

/// The thread: does one job after the other until nobody can ask any more.
fn work(jobs: &Receiver<Job>, mut medium: Box<dyn Medium>) {
    // Whoever does not wait for an answer any more wants none.
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Append(lines, answer) => drop(answer.send(medium.append(&lines))),
            Job::Sync(answer) => drop(answer.send(medium.sync())),
            Job::Reopen(answer) => drop(answer.send(medium.reopen())),
            Job::LastLine(answer) => drop(answer.send(medium.last_line())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(seq: u64) -> JournalLine {
        JournalLine { seq, text: format!(r#"{{"v":1,"node":"b1","seq":{seq},"event":"reloaded"}}"#) }
    }

    #[tokio::test]
    async fn lines_are_written_as_they_are_and_the_last_one_is_known_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        let mut sink = Local::file(path.clone(), Form::Native, "b1").expect("a thread");
        assert_eq!(sink.reached().await, None);
        sink.deliver(&[line(1), line(2)]).await.expect("written");
        sink.deliver(&[line(3)]).await.expect("written");
        assert_eq!(sink.settled(3).await, Ok(3));
        let text: String = (1..=3).map(|seq| line(seq).text + "\n").collect();
        assert_eq!(fs::read_to_string(&path).expect("readable"), text);
        assert_eq!(sink.reached().await, Some(3));
        let mut other = Local::file(path, Form::Native, "b2").expect("a thread");
        assert_eq!(other.reached().await, None, "the line of another node says nothing");
    }

    #[tokio::test]
    async fn a_directory_that_is_missing_is_a_failure_until_it_is_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("logs/audit.jsonl");
        let mut sink = Local::file(path.clone(), Form::Native, "b1").expect("a thread");
        let failure = sink.deliver(&[line(1)]).await.expect_err("no directory");
        assert!(failure.detail.contains("logs/audit.jsonl: No such file"), "{failure}");
        fs::create_dir(path.parent().expect("a parent")).expect("made");
        sink.deliver(&[line(1)]).await.expect("written");
        assert_eq!(fs::read_to_string(path).expect("readable"), line(1).text + "\n");
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_reads_holds_up_its_own_sink_and_doubles_nothing() {
        struct Pipe(io::PipeWriter);
        impl Medium for Pipe {
            fn append(&mut self, lines: &[u8]) -> io::Result<()> {
                self.0.write_all(lines)
            }
            fn sync(&mut self) -> io::Result<()> {
                Ok(())
            }
            fn reopen(&mut self) -> io::Result<()> {
                Ok(())
            }
            fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
                Ok(None)
            }
        }
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut sink = Local::start(Box::new(Pipe(writer)), Form::Native, "b1").expect("a thread");
        let big = JournalLine { seq: 1, text: "x".repeat(1 << 20) };
        let lines = [big];
        // Polled once and dropped, as a deadline does: the thread is in the middle of it.
        let dropped =
            tokio::select! { biased; _ = sink.deliver(&lines) => false, () = std::future::ready(()) => true };
        assert!(dropped);
        let read = std::thread::spawn(move || io::read_to_string(reader).expect("readable").len());
        sink.deliver(&lines).await.expect("the same lines, once");
        drop(sink);
        assert_eq!(read.join().expect("a count"), (1 << 20) + 1);
    }

    #[test]
    fn the_place_is_found_in_lines_of_both_forms() {
        let seq = |text: &str| serde_json::from_str::<Said>(text).expect("JSON").seq_of("b1");
        assert_eq!(seq(r#"{"node":"b1","seq":5}"#), Some(5));
        assert_eq!(seq(r#"{"node":"b2","seq":5}"#), None);
        assert_eq!(seq(r#"{"v":1,"event":"reloaded"}"#), None);
        assert_eq!(seq(r#"{"metadata":{"uid":"b1/9"}}"#), Some(9));
        assert_eq!(seq(r#"{"metadata":{"uid":"b10/9"}}"#), None);
    }
}
