//! The journal on a disk: rolling, following, removing, and every place at which a crash can tear it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::audit::chain::{LineHash, Placed};
use crate::domain::NodeName;

fn node() -> NodeName {
    NodeName::parse("a").expect("a name")
}

fn settings(journal: &Path) -> Settings {
    Settings { journal: journal.to_owned(), node: node(), sync: false, resume: None }
}

/// A journal and its chain, as the writer thread has them.
struct Writer {
    journal: Journal,
    chain: Chain,
}

impl Writer {
    fn open(path: &Path, segment_bytes: u64) -> Result<Self, JournalError> {
        Self::open_with(&settings(path), segment_bytes)
    }

    fn open_with(settings: &Settings, segment_bytes: u64) -> Result<Self, JournalError> {
        let (journal, chain) = Journal::open_with(settings, segment_bytes)?;
        Ok(Self { journal, chain })
    }

    /// Writes lines in one group.
    fn write(&mut self, count: usize) {
        let line = b"{\"v\":1,\"time\":\"2026-01-02T03:04:05.678Z\",\"event\":\"reloaded\"}\n";
        let batch = self.chain.place(std::iter::repeat_n(line.as_slice(), count));
        self.journal.append(&batch).expect("written");
        self.chain.tip = batch.tip;
    }

    fn reader(&self) -> JournalReader {
        JournalReader::new(self.journal.book())
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn numbers(lines: &[JournalLine]) -> Vec<u64> {
    for line in lines {
        assert_eq!(Placed::read(&line.text).expect("a place").seq, line.seq);
    }
    lines.iter().map(|line| line.seq).collect()
}

fn all(reader: &JournalReader, after: u64) -> Vec<u64> {
    numbers(&reader.read(after, usize::MAX, usize::MAX).expect("readable"))
}

/// Every line of every file, which must be one chain.
fn chain_in(path: &Path) -> u64 {
    let mut before = Tip::START;
    for file in files(path) {
        let text = fs::read_to_string(file).expect("text");
        assert!(text.is_empty() || text.ends_with('\n'));
        for line in text.lines() {
            let placed = Placed::read(line).expect("a whole line");
            assert_eq!((placed.seq, placed.prev), (before.seq + 1, before.hash));
            before = Tip { seq: placed.seq, hash: LineHash::of(line) };
        }
    }
    before.seq
}

/// How long a line is whose number has one digit, in bytes.
const LINE: u64 = 154;

#[test]
fn segments_roll_and_are_read_across() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = Writer::open(&path, 4 * LINE).expect("it opens");
    let reader = writer.reader();
    assert_eq!(all(&reader, 0), Vec::<u64>::new());
    for _ in 0..10 {
        writer.write(1);
    }
    let names: Vec<String> =
        files(&path).iter().map(|file| file.file_name().expect("a name").display().to_string()).collect();
    assert_eq!(
        names,
        ["00000000000000000001.jsonl", "00000000000000000005.jsonl", "00000000000000000009.jsonl"]
    );
    assert_eq!(chain_in(&path), 10);
    assert_eq!(all(&reader, 0), (1..=10).collect::<Vec<_>>());
    assert_eq!(all(&reader, 3), (4..=10).collect::<Vec<_>>());
    assert_eq!(all(&reader, 4), (5..=10).collect::<Vec<_>>());
    assert_eq!(all(&reader, 10), Vec::<u64>::new());
    assert_eq!(all(&reader, 99), Vec::<u64>::new());
    assert_eq!(numbers(&reader.read(2, 3, usize::MAX).expect("readable")), [3, 4, 5]);
    assert_eq!(numbers(&reader.read(2, 9, 1).expect("readable")), [3], "one line at least");
    assert_eq!(reader.bytes_after(4), 6 * LINE + 1, "the tenth line has a number of two digits");
    assert_eq!(*reader.committed().borrow(), 10);
}

#[test]
fn a_group_larger_than_a_segment_has_one_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = Writer::open(&path, 4 * LINE).expect("it opens");
    writer.write(1);
    writer.write(20_000);
    writer.write(1);
    assert_eq!(files(&path).len(), 3);
    assert_eq!(all(&writer.reader(), 0), (1..=20_002).collect::<Vec<_>>());
    assert_eq!(all(&writer.reader(), 15_000), (15_001..=20_002).collect::<Vec<_>>());
}

#[test]
fn following_goes_on_where_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Writer::open(&directory.path().join("journal"), 7 * LINE).expect("it opens");
    let reader = writer.reader();
    let mut seen = Vec::new();
    for count in 1..60 {
        writer.write(count % 5);
        let after = seen.last().copied().unwrap_or(0);
        seen.extend(numbers(&reader.read(after, count % 7, usize::MAX).expect("readable")));
    }
    seen.extend(all(&reader, seen.last().copied().unwrap_or(0)));
    assert_eq!(seen, (1..=writer.chain.tip.seq).collect::<Vec<_>>());
}

#[test]
fn what_all_have_passed_is_removed_and_never_the_last_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = Writer::open(&path, 2 * LINE + 1).expect("it opens");
    (0..10).for_each(|_| writer.write(1));
    let reader = writer.reader();
    reader.remove_passed();
    assert_eq!(files(&path).len(), 5, "nobody follows, nothing goes");
    let (store, sink) = (reader.follow("store", 0), reader.follow("sink", 3));
    store.passed(10);
    reader.remove_passed();
    assert_eq!(all(&reader, 0), (3..=10).collect::<Vec<_>>(), "the sink has only the first segment");
    drop(sink);
    reader.remove_passed();
    assert_eq!(files(&path).len(), 4, "a sink that is down keeps what it has not passed");
    let late = reader.clone();
    assert_eq!(numbers(&late.read(3, 1, 1).expect("readable")), [4]);
    reader.follow("sink", 3).passed(10);
    reader.remove_passed();
    assert_eq!(all(&late, 4), [9, 10], "what is gone is passed over");
    writer.write(1);
    drop(writer);
    let writer = Writer::open(&path, 2 * LINE + 1).expect("it opens");
    assert_eq!(writer.chain.tip.seq, 11, "the chain goes on from the last line");
}

#[test]
fn wherever_a_crash_tears_the_journal_whole_lines_stay_and_it_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = Writer::open(&path, 2 * LINE).expect("it opens");
    (0..3).for_each(|_| writer.write(1));
    drop(writer);
    let last = files(&path).pop().expect("a segment");
    // The last segment has one line; the group that was being written has three more.
    let before = fs::read(&last).expect("readable");
    let mut writer = Writer::open(&path, u64::MAX).expect("it opens");
    writer.write(3);
    drop(writer);
    let bytes = fs::read(&last).expect("readable");
    for torn in 0..=bytes.len() {
        fs::write(&last, &bytes[..torn]).expect("written");
        let whole = bytes[..torn].iter().filter(|byte| **byte == b'\n').count() as u64;
        let mut writer = Writer::open(&path, 2 * LINE).expect("it opens");
        assert_eq!(writer.chain.tip.seq, 2 + whole, "torn at {torn}");
        assert_eq!(all(&writer.reader(), 0), (1..=2 + whole).collect::<Vec<_>>());
        writer.write(1);
        writer.write(2);
        assert_eq!(chain_in(&path), 5 + whole, "torn at {torn}");
        drop(writer);
        for file in files(&path).into_iter().filter(|file| *file > last) {
            fs::remove_file(file).expect("removed");
        }
    }
    // As a power cut can leave it: the length is there, what was written is not.
    let zeros = [before.as_slice(), &[0; 500]].concat();
    fs::write(&last, zeros).expect("written");
    assert_eq!(Writer::open(&path, LINE).expect("it opens").chain.tip.seq, 3);
    let zeros = [before.as_slice(), &[0; 100], b"\n", &[0; 100]].concat();
    fs::write(&last, zeros).expect("written");
    assert_eq!(Writer::open(&path, LINE).expect("it opens").chain.tip.seq, 3);
}

#[test]
fn a_journal_that_was_edited_is_not_gone_on_with() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = Writer::open(&path, u64::MAX).expect("it opens");
    writer.write(5);
    drop(writer);
    let file = files(&path).pop().expect("a segment");
    let text = fs::read_to_string(&file).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let without = |at: usize| {
        lines
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != at)
            .map(|(_, line)| format!("{line}\n"))
            .collect::<String>()
    };
    for (edited, line) in [
        (text.replacen("reloaded", "reloadet", 3), 2),
        (text.replacen("\"event\"", "event", 1), 2),
        (without(0), 1),
        (without(2), 3),
        (format!("{text}rubbish\n"), 6),
        (format!("{text}rubbish\n{}\n", lines[4]), 6),
        (format!("{text}\0\n{}\n", lines[4]), 6),
    ] {
        fs::write(&file, &edited).expect("written");
        let error = Writer::open(&path, u64::MAX).err().expect("refused").to_string();
        assert!(error.starts_with(&format!("line {line} of ")), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("text"), edited, "it is evidence");
    }
}

#[test]
fn another_nodes_journal_is_not_gone_on_with() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    Writer::open(&path, LINE).expect("it opens").write(1);
    let other = Settings { node: NodeName::parse("b").expect("a name"), ..settings(&path) };
    let error = Writer::open_with(&other, LINE).err().expect("refused");
    assert_eq!(error.to_string(), "it belongs to the node a, and this node is called b");
}

#[test]
fn where_the_journal_does_not_reach_the_chain_goes_on_from_the_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let hash = LineHash::of("forty-one");
    let resumed = Settings { resume: Some((41, hash)), ..settings(&path) };
    let mut writer = Writer::open_with(&resumed, u64::MAX).expect("it opens");
    assert_eq!(*writer.reader().committed().borrow(), 41);
    assert_eq!(all(&writer.reader(), 0), Vec::<u64>::new());
    writer.write(2);
    assert_eq!(all(&writer.reader(), 41), [42, 43]);
    drop(writer);
    // The store is behind, as usual: the journal counts.
    let writer = Writer::open_with(&resumed, u64::MAX).expect("it opens");
    assert_eq!(writer.chain.tip.seq, 43);
    drop(writer);
    // Lines were lost that the store had taken.
    let ahead = Settings { resume: Some((50, hash)), ..settings(&path) };
    let mut writer = Writer::open_with(&ahead, u64::MAX).expect("it opens");
    assert_eq!(all(&writer.reader(), 42), [43]);
    writer.write(1);
    assert_eq!(all(&writer.reader(), 42), [43, 51]);
    assert_eq!(all(&writer.reader(), 45), [51]);
    let text = &writer.reader().read(50, 1, 1).expect("readable")[0].text;
    assert_eq!(Placed::read(text).expect("a place").prev, hash);
    drop(writer);
    let writer = Writer::open(&path, LINE).expect("it opens");
    assert_eq!(writer.chain.tip.seq, 51);
    assert_eq!(all(&writer.reader(), 42), [43, 51]);
    assert_eq!(all(&writer.reader(), 45), [51]);
}

#[test]
fn it_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = Writer::open(&path, LINE).expect("it opens");
    writer.write(1);
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&files(&path)[0])), (0o700, 0o600));
}

#[test]
fn a_journal_that_is_taken_away_takes_no_more_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = Writer::open(&path, u64::MAX).expect("it opens");
    writer.write(2);
    fs::remove_dir_all(&path).expect("removed");
    let batch = writer.chain.place(std::iter::once(b"{\"v\":1,\"x\":1}\n".as_slice()));
    let error = writer.journal.append(&batch).expect_err("refused");
    assert!(error.to_string().contains("somebody removed"), "{error}");
}

#[test]
fn what_the_store_must_have_is_known_without_opening_the_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    assert_eq!(known_to_journal(&path, 9).expect("nothing"), []);
    let mut writer = Writer::open(&path, 2 * LINE).expect("it opens");
    (0..6).for_each(|_| writer.write(1));
    let reader = writer.reader();
    let tip = |seq: u64| {
        let line = &reader.read(seq - 1, 1, 1).expect("readable")[0].text;
        Tip { seq, hash: LineHash::of(line) }
    };
    assert_eq!(known_to_journal(&path, 0).expect("readable"), []);
    assert_eq!(known_to_journal(&path, 3).expect("readable"), [tip(3)]);
    assert_eq!(known_to_journal(&path, 99).expect("readable"), [tip(6)]);
    let second = tip(2);
    drop(reader.follow("store", 6));
    let fourth = tip(4);
    reader.remove_passed();
    assert_eq!(known_to_journal(&path, 6).expect("readable"), [fourth, tip(6)]);
    assert_eq!(known_to_journal(&path, 2).expect("readable"), [fourth]);
    assert_ne!(second, fourth);
}
