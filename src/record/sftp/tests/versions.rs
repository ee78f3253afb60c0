//! Other versions than 3.

use super::super::numbers::*;
use super::talk::{Packet, Talk, briefs};
use crate::record::operation::Sha256;

#[test]
fn version_6_is_read_as_far_as_it_does_the_same() {
    let attributes =
        |packet: Packet| packet.u32(0x4 | 0x80).byte(1).string("root").string("wheel").u32(0o640);
    let talk = Talk::version(6)
        .ask(attributes(Packet::new(OPEN, 1).string("f").u32(0x2).u32(1)))
        .answer(Packet::new(HANDLE, 1).string("h"))
        .write(2, "h", 0, b"abc")
        .status(2, OK)
        .close(3, "h")
        .ask(attributes(Packet::new(SETSTAT, 4).string("f")))
        .status(4, OK)
        .ask(Packet::new(LINK, 5).string("new").string("there").byte(1))
        .status(5, OK)
        .ask(Packet::new(LINK, 6).string("new").string("there").byte(0))
        .status(6, 11)
        .ask(Packet::new(RENAME, 7).string("a").string("b").u32(1))
        .status(7, OK)
        .ask(Packet::new(SETSTAT, 8).string("f").u32(0x1 | 0x400 | 0x20).byte(1).u64(9).u64(10).u64(11))
        .status(8, OK);
    let told = talk.told();
    assert_eq!(
        briefs(&told),
        [
            "write f 3 0640: ok",
            "setstat f 0640: ok (owner root, group wheel)",
            "symlink there -> new: ok",
            "hardlink there -> new: file-already-exists",
            "rename a -> b: ok",
            "setstat f 9: ok (times)",
        ]
    );
    assert_eq!(told[0].sha256, Some(Sha256::of(b"abc")));
}

#[test]
fn how_a_file_is_opened_in_version_5_is_said() {
    let open = |access: u32, flags: u32| {
        let packet = Packet::new(OPEN, 1).string("f").u32(access).u32(flags).u32(0).byte(1);
        briefs(&Talk::version(5).ask(packet).status(1, 3).told()).join("")
    };
    assert_eq!(open(0x1, 2), "open f: permission-denied (to read)");
    assert_eq!(open(0x2, 0), "open f: permission-denied (to write, must be new)");
    assert_eq!(open(0x3, 4), "open f: permission-denied (to read, to write, emptied)");
    assert_eq!(open(0x4, 0x8 | 3), "open f: permission-denied (to write, to append, made if missing)");
}

#[test]
fn the_version_is_the_lower_of_the_two() {
    let agreed = |client, server| {
        let talk = Talk::default().ask(Packet::new(INIT, client)).answer(Packet::new(VERSION, server));
        let talk = talk.ask(Packet::new(SETSTAT, 1).string("f").u32(2).u32(10).u32(20)).status(1, OK);
        briefs(&talk.told()).join("")
    };
    assert_eq!(agreed(6, 3), "setstat f: ok (owner 10, group 20)");
    assert_eq!(agreed(3, 6), "setstat f: ok (owner 10, group 20)");
    assert_eq!(agreed(2, 3), "setstat f: ok (owner 10, group 20)");
}

#[test]
fn a_version_that_is_not_known_is_told_and_nothing_is_guessed() {
    let talk = Talk::version(7).ask(Packet::new(REMOVE, 1).string("a")).status(1, OK);
    let told = briefs(&talk.told_at_the_end());
    assert_eq!(
        told,
        [
            "untracked: unknown (the ends speak version 7 of SFTP, which drawbridge does not; from here on file \
          operations of this channel are not told)"
        ]
    );
}

#[test]
fn the_client_may_choose_another_version_later() {
    let choose = |version: &str| {
        Talk::version(6).ask(Packet::new(EXTENDED, 1).string("version-select").string(version)).status(1, OK)
    };
    let talk = choose("3").ask(Packet::new(SETSTAT, 2).string("f").u32(2).u32(10).u32(20)).status(2, OK);
    assert_eq!(briefs(&talk.told()), ["setstat f: ok (owner 10, group 20)"]);
    assert!(choose("9").reader().lost_track() && choose("new").reader().lost_track());
}

#[test]
fn a_request_before_the_version_is_known_is_not_guessed_at() {
    let talk = Talk::default()
        .ask(Packet::new(INIT, 6))
        .ask(Packet::new(REMOVE, 1).string("a"))
        .answer(Packet::new(VERSION, 6))
        .status(1, OK)
        .ask(Packet::new(REMOVE, 2).string("b"))
        .status(2, OK);
    let told = briefs(&talk.told());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("before the version was agreed on") && told[1] == "remove b: ok", "{told:?}");
}
