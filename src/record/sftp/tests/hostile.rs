//! Ends that lie.

use super::super::SftpReader;
use super::super::numbers::*;
use super::talk::{Packet, READING, Talk, WRITING, all, briefs, status};
use crate::audit::FileAct;

fn is_lost(talk: &Talk) -> bool {
    let mut reader = talk.reader();
    reader.end();
    let told = all(&mut reader);
    let last = told.last().is_some_and(|told| told.action == FileAct::Untracked);
    let quiet = {
        reader.to_target(&Talk::default().write(77, "h", 0, b"abc").0[0].1);
        reader.to_client(&[0xff; 1000]);
        reader.end();
        reader.take().is_none() && reader.unanswered_write_bytes() == 0
    };
    assert!(!reader.lost_track() || (last && quiet), "{told:?}");
    reader.lost_track()
}

fn raw(to_target: bool, bytes: &[u8]) -> Talk {
    let mut talk = Talk::v3();
    talk.0.push((to_target, bytes.to_vec()));
    talk
}

#[test]
fn lengths_that_no_packet_has_end_the_reading() {
    for to_target in [true, false] {
        assert!(is_lost(&raw(to_target, &[0xff; 4])));
        assert!(is_lost(&raw(to_target, &[0; 4])));
        assert!(is_lost(&raw(to_target, b"Welcome to web-1\r\n")));
        assert!(!is_lost(&raw(to_target, &[0, 0, 0, 9])), "half a packet");
        assert!(!is_lost(&raw(to_target, &[1, 0, 0, 0])), "16 MiB");
    }
}

#[test]
fn a_field_that_says_more_than_its_packet_has_is_not_told_and_the_rest_is() {
    let lies = [
        Packet::new(REMOVE, 1).u32(u32::MAX).raw(b"abc"),
        Packet::new(RENAME, 1).string("a").u32(5).raw(b"b"),
        Packet::new(OPEN, 1).u32(4).raw(b"abc"),
        Packet::new(WRITE, 1).string("h").u64(0).u32(u32::MAX).raw(b"abc"),
        Packet::new(WRITE, 1).u32(300).raw(&[b'h'; 300]).u64(0).string("abc"),
        Packet::new(WRITE, 1).raw(b"abc"),
        Packet::new(EXTENDED, 1),
    ];
    for lie in lies {
        let talk = Talk::v3()
            .open(9, "f", WRITING, "h")
            .ask(lie.clone())
            .status(1, 5)
            .ask(lie.clone())
            .status(1, 5)
            .write(2, "h", 0, b"abc")
            .status(2, OK)
            .close(3, "h");
        let told = briefs(&talk.told());
        assert_eq!(told.len(), 2, "{lie:?}: {told:?}");
        assert!(told[0].contains("not well formed") && told[1] == "write f 3: ok", "{told:?}");
    }
}

#[test]
fn a_number_that_is_used_twice_makes_both_unknown_and_the_rest_goes_on() {
    let talk = Talk::v3()
        .ask(Packet::new(REMOVE, 1).string("a"))
        .ask(Packet::new(REMOVE, 1).string("b"))
        .ask(Packet::new(REMOVE, 1).string("c"))
        .status(1, OK)
        .status(1, 3)
        .status(1, OK)
        .ask(Packet::new(REMOVE, 1).string("d"))
        .status(1, OK);
    let told = briefs(&talk.told());
    assert!(told[0].contains("the number of a request again"), "{told:?}");
    assert_eq!(told[1..], ["remove a: unknown", "remove b: unknown", "remove c: unknown", "remove d: ok"]);
}

#[test]
fn writes_with_one_number_leave_nothing_unanswered_and_no_hash_in_doubt() {
    let talk = Talk::v3()
        .open(9, "f", WRITING, "h")
        .write(1, "h", 0, b"abc")
        .write(1, "h", 3, b"def")
        .status(1, OK)
        .status(1, OK);
    assert_eq!(talk.reader().unanswered_write_bytes(), 0);
    let told = talk.close(2, "h").told();
    assert_eq!(briefs(&told)[1..], ["write f 0: unknown"]);
    assert_eq!(told[1].sha256, None);
}

#[test]
fn answers_that_nobody_asked_for_are_told_once_and_passed_over() {
    let talk = Talk::v3()
        .data(5, b"secret")
        .status(6, OK)
        .answer(Packet::new(HANDLE, 7).string("h"))
        .ask(Packet::new(REMOVE, 1).string("a"))
        .status(1, OK);
    let told = briefs(&talk.told());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("answered what was not asked") && told[1] == "remove a: ok", "{told:?}");
}

#[test]
fn answers_of_the_wrong_kind_make_the_result_unknown() {
    let ask = || Talk::v3().ask(Packet::new(REMOVE, 1).string("a"));
    let nonsense = [
        ask().data(1, b"abc"),
        ask().answer(Packet::new(HANDLE, 1).string("h")),
        ask().answer(Packet::new(250, 1)),
        ask().answer(Packet::new(STATUS, 1)),
    ];
    for talk in nonsense {
        assert_eq!(briefs(&talk.told())[1..], ["remove a: unknown"]);
    }
    let open = Talk::v3().ask(Packet::new(OPEN, 1).string("a").u32(READING).u32(0));
    let long = open.clone().answer(Packet::new(HANDLE, 1).string([b'h'; 257]));
    assert_eq!(briefs(&long.told())[1..], ["open a: unknown (to read)"]);
    assert_eq!(briefs(&open.status(1, OK).told())[1..], ["open a: unknown (to read)"]);
    let read = Talk::v3().open(9, "f", READING, "h").read(1, "h", 0, 3);
    let lie = read.answer(Packet::new(DATA, 1).u32(9).raw(b"abc")).close(2, "h");
    assert_eq!(briefs(&lie.told())[1..], ["read f 0: unknown"]);
}

#[test]
fn a_handle_that_is_given_twice_ends_the_file_before() {
    let talk = Talk::v3()
        .open(1, "a", WRITING, "h")
        .write(2, "h", 0, b"abc")
        .status(2, OK)
        .open(3, "b", WRITING, "h");
    assert_eq!(briefs(&talk.told()), ["write a 3: unknown"]);
}

#[test]
fn what_is_open_or_asked_for_is_bounded() {
    let mut opened = Talk::v3();
    for at in 0..4097_u32 {
        opened = opened.open(at, "f", READING, &format!("h{at}"));
    }
    assert!(is_lost(&opened));
    let mut unseen = Talk::v3();
    for at in 0..4097_u32 {
        unseen = unseen.read(at, &format!("h{at}"), 0, 1).status(at, 4);
    }
    assert!(is_lost(&unseen));
    let name = "x".repeat(4096);
    let mut asked = Talk::v3();
    for at in 0..300_u32 {
        asked = asked.ask(Packet::new(REMOVE, at).string(&name));
    }
    assert!(is_lost(&asked));
    let mut scattered = Talk::v3();
    for at in 0..70_000_u32 {
        scattered = scattered.ask(Packet::new(STAT, at * 2).string("x"));
    }
    assert!(is_lost(&scattered));
}

#[test]
fn one_endless_packet_costs_nothing() {
    let mut reader = Talk::v3().open(1, "f", READING, "h").read(2, "h", 0, 3).reader();
    let head = Packet::new(DATA, 2).u32(9_000_000).raw(b"").bytes();
    let length = 9_000_009_u32.to_be_bytes();
    reader.to_client(&[&length[..], &head[4..]].concat());
    for _ in 0..9_000 {
        reader.to_client(&[0; 1000]);
    }
    reader.to_client(&status(3, OK, "").bytes());
    reader.end();
    assert_eq!(briefs(&all(&mut reader))[1..], ["read f 9000000: unfinished"]);
}

#[test]
fn nothing_at_all_is_nothing() {
    let mut reader = SftpReader::default();
    reader.to_target(b"");
    reader.to_client(b"");
    reader.end();
    assert!(reader.take().is_none() && !reader.lost_track());
}
