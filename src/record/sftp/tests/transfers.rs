//! What is told of data that are moved.

use super::super::numbers::*;
use super::talk::{Packet, READING, Talk, WRITING, briefs, status};
use crate::record::operation::Sha256;

const APPENDING: u32 = 0x2 | 0x4 | 0x8;

fn hash(talk: &Talk) -> Option<Sha256> {
    talk.told()[0].sha256
}

#[test]
fn an_upload_is_told_once_with_its_hash() {
    let talk = Talk::v3()
        .open(1, "f", WRITING, "h")
        .write(2, "h", 0, b"abc")
        .write(3, "h", 3, b"def")
        .status(2, OK)
        .status(3, OK);
    assert!(talk.told().is_empty(), "it is not closed");
    let talk = talk.close(4, "h");
    assert_eq!(briefs(&talk.told()), ["write f 6: ok"]);
    assert_eq!(hash(&talk), Some(Sha256::of(b"abcdef")));
    assert_eq!(talk.told()[0].sequential, Some(true));
}

#[test]
fn a_download_is_told_once_with_its_hash() {
    let talk = Talk::v3()
        .open(1, "f", READING, "h")
        .read(2, "h", 0, 3)
        .read(3, "h", 3, 3)
        .read(4, "h", 6, 3)
        .data(2, b"abc")
        .data(3, b"de")
        .status(4, EOF)
        .close(5, "h");
    assert_eq!(briefs(&talk.told()), ["read f 5: ok"]);
    assert_eq!(hash(&talk), Some(Sha256::of(b"abcde")));
}

#[test]
fn an_empty_file_that_is_read_has_the_hash_of_nothing() {
    let talk = Talk::v3().open(1, "f", READING, "h").read(2, "h", 0, 3).status(2, EOF).close(5, "h");
    assert_eq!(briefs(&talk.told()), ["read f 0: ok"]);
    assert_eq!(hash(&talk), Some(Sha256::of(b"")));
}

#[test]
fn answers_in_another_order_and_short_ones_that_are_asked_for_again_are_put_in_order() {
    let talk = Talk::v3()
        .open(1, "f", READING, "h")
        .read(2, "h", 0, 4)
        .read(3, "h", 4, 4)
        .read(4, "h", 8, 4)
        .data(4, b"ijkl")
        .data(2, b"ab")
        .data(3, b"efgh")
        .read(5, "h", 2, 2)
        .data(5, b"cd")
        .close(6, "h");
    assert_eq!(briefs(&talk.told()), ["read f 12: ok"]);
    assert_eq!(hash(&talk), Some(Sha256::of(b"abcdefghijkl")));
}

#[test]
fn a_transfer_that_goes_on_says_where_it_began() {
    let talk = Talk::v3()
        .open(1, "f", 0x2, "h")
        .write(2, "h", 1000, b"abc")
        .write(3, "h", 1003, b"def")
        .status(2, OK)
        .status(3, OK)
        .close(4, "h");
    assert_eq!(briefs(&talk.told()), ["write f 6@1000: ok"]);
    assert_eq!(hash(&talk), Some(Sha256::of(b"abcdef")));
}

#[test]
fn appended_data_have_a_hash_and_no_place() {
    let talk = Talk::v3()
        .open(1, "f", APPENDING, "h")
        .write(2, "h", 0, b"abc")
        .status(2, OK)
        .write(3, "h", 0, b"def")
        .status(3, OK)
        .close(4, "h");
    assert_eq!(briefs(&talk.told()), ["write f 6: ok (appended)"]);
    assert_eq!((hash(&talk), talk.told()[0].from), (Some(Sha256::of(b"abcdef")), None));
}

#[test]
fn holes_and_repetitions_have_no_hash() {
    let hole = Talk::v3()
        .open(1, "f", WRITING, "h")
        .write(2, "h", 0, b"abc")
        .write(3, "h", 100, b"def")
        .status(2, OK)
        .status(3, OK)
        .close(4, "h");
    assert_eq!(briefs(&hole.told()), ["write f 6: ok"]);
    assert_eq!((hash(&hole), hole.told()[0].sequential), (None, Some(false)));
    let again = Talk::v3()
        .open(1, "f", READING, "h")
        .read(2, "h", 0, 3)
        .data(2, b"abc")
        .read(3, "h", 0, 3)
        .data(3, b"abc")
        .close(4, "h");
    assert_eq!((hash(&again), again.told()[0].sequential), (None, Some(false)));
}

#[test]
fn a_write_that_fails_counts_nothing_and_leaves_no_hash() {
    let talk = Talk::v3()
        .open(1, "f", WRITING, "h")
        .write(2, "h", 0, b"abc")
        .write(3, "h", 3, b"def")
        .status(2, OK)
        .answer(status(3, 4, "No space left on device"))
        .close(4, "h");
    assert_eq!(briefs(&talk.told()), ["write f 3: failure (No space left on device)"]);
    assert_eq!((hash(&talk), talk.told()[0].sequential), (None, Some(true)));
    let closing = Talk::v3()
        .open(1, "f", WRITING, "h")
        .write(2, "h", 0, b"abc")
        .status(2, OK)
        .ask(Packet::new(CLOSE, 3).string("h"))
        .status(3, 15);
    assert_eq!(briefs(&closing.told()), ["write f 3: quota-exceeded"]);
    assert_eq!(hash(&closing), Some(Sha256::of(b"abc")));
}

#[test]
fn a_read_that_fails_says_so() {
    let talk = Talk::v3()
        .open(1, "f", READING, "h")
        .read(2, "h", 0, 3)
        .data(2, b"abc")
        .read(3, "h", 3, 3)
        .status(3, 4);
    assert_eq!(briefs(&talk.close(4, "h").told()), ["read f 3: failure"]);
}

#[test]
fn a_transfer_that_is_cut_off_says_how_far_it_came() {
    let up =
        Talk::v3().open(1, "f", WRITING, "h").write(2, "h", 0, b"abc").status(2, OK).write(3, "h", 3, b"def");
    let told = up.told_at_the_end();
    assert_eq!(briefs(&told), ["write f 3: unfinished"]);
    assert_eq!(told[0].sha256, None, "what the target has is not what was sent");
    let mut down = Talk::v3().open(1, "f", READING, "h").read(2, "h", 0, 30);
    let (_, half) = Talk::default().data(2, &[b'x'; 30]).0.remove(0);
    down.0.push((false, half[..half.len() - 10].to_vec()));
    let told = down.told_at_the_end();
    assert_eq!(briefs(&told), ["read f 20: unfinished"]);
    assert_eq!(told[0].sha256, Some(Sha256::of(&[b'x'; 20])));
}

#[test]
fn a_file_that_is_both_read_and_written_is_told_as_both() {
    let talk = Talk::v3()
        .open(1, "f", READING | WRITING, "h")
        .write(2, "h", 0, b"abc")
        .status(2, OK)
        .read(3, "h", 0, 9)
        .data(3, b"abc")
        .close(4, "h");
    assert_eq!(briefs(&talk.told()), ["read f 3: ok", "write f 3: ok"]);
}

#[test]
fn several_files_at_once_are_kept_apart_and_handles_are_used_again() {
    let talk = Talk::v3()
        .open(1, "a", WRITING, "0")
        .open(2, "b", WRITING, "1")
        .write(3, "0", 0, b"aaa")
        .write(4, "1", 0, b"bb")
        .ask(Packet::new(CLOSE, 5).string("0"))
        .ask(Packet::new(OPEN, 6).string("c").u32(WRITING).u32(0))
        .status(3, OK)
        .status(4, OK)
        .answer(Packet::new(HANDLE, 6).string("0"))
        .status(5, OK)
        .write(7, "0", 0, b"c")
        .status(7, OK)
        .close(8, "1")
        .close(9, "0");
    assert_eq!(briefs(&talk.told()), ["write a 3: ok", "write b 2: ok", "write c 1: ok"]);
    let hashes: Vec<_> = talk.told().iter().map(|told| told.sha256).collect();
    assert_eq!(hashes, [b"aaa".as_slice(), b"bb", b"c"].map(|data| Some(Sha256::of(data))));
}

#[test]
fn a_hundred_thousand_reads_may_be_under_way() {
    let mut talk = Talk::v3().open(1, "f", READING, "h");
    for at in 0..100_000_u32 {
        talk = talk.read(10 + at, "h", u64::from(at) * 4, 4);
    }
    for at in 0..100_000_u32 {
        talk = talk.data(10 + at, &at.to_be_bytes());
    }
    let talk = talk.close(2, "h");
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    assert_eq!(briefs(&talk.told()), ["read f 400000: ok"]);
    assert_eq!(hash(&talk), Some(Sha256::of(&content)));
}

#[test]
fn writes_without_an_answer_are_counted_once_they_have_passed() {
    let talk = Talk::v3().open(1, "f", WRITING, "h").write(2, "h", 0, &[0; 100]).write(3, "h", 100, &[0; 50]);
    assert_eq!(talk.reader().unanswered_write_bytes(), 150);
    assert_eq!(talk.clone().status(3, 4).reader().unanswered_write_bytes(), 100);
    assert_eq!(talk.clone().status(3, OK).status(2, OK).reader().unanswered_write_bytes(), 0);
    let mut half = talk.clone();
    let (_, bytes) = Talk::default().write(4, "h", 150, &[0; 1000]).0.remove(0);
    half.0.push((true, bytes[..500].to_vec()));
    assert_eq!(half.reader().unanswered_write_bytes(), 150, "the target cannot answer what is not there");
    let mut ended = talk.reader();
    ended.end();
    assert_eq!(ended.unanswered_write_bytes(), 0);
}

#[test]
fn data_behind_an_unknown_handle_are_told_without_a_name() {
    let talk = Talk::v3().write(2, "?", 0, b"abc").status(2, OK).close(3, "?");
    assert_eq!(briefs(&talk.told()), ["write 3: ok (the handle was not seen being opened)"]);
    assert_eq!(hash(&talk), Some(Sha256::of(b"abc")));
    let refused = Talk::v3().write(2, "?", 0, b"abc").status(2, 4);
    assert_eq!(
        briefs(&refused.told_at_the_end()),
        ["write 0: failure (the handle was not seen being opened)"]
    );
}
