//! What is told of requests that move no data.

use super::super::numbers::*;
use super::talk::{Packet, READING, Talk, WRITING, briefs, status};

/// Asks, is answered with OK, and says what is told.
fn done(packet: Packet) -> Vec<String> {
    briefs(&Talk::v3().ask(packet).status(7, OK).told())
}

fn ask(kind: u8) -> Packet {
    Packet::new(kind, 7)
}

fn extended(name: &str) -> Packet {
    ask(EXTENDED).string(name)
}

#[test]
fn each_operation_is_told_when_it_is_answered() {
    assert_eq!(done(ask(REMOVE).string("/a")), ["remove /a: ok"]);
    assert_eq!(done(ask(RENAME).string("a").string("b")), ["rename a -> b: ok"]);
    assert_eq!(done(extended("posix-rename@openssh.com").string("a").string("b")), ["rename a -> b: ok"]);
    assert_eq!(done(ask(MKDIR).string("d").u32(4).u32(0o40_750)), ["mkdir d 0750: ok"]);
    assert_eq!(done(ask(MKDIR).string("d").u32(0)), ["mkdir d: ok"]);
    assert_eq!(done(ask(RMDIR).string("d")), ["rmdir d: ok"]);
    assert_eq!(done(ask(SYMLINK).string("there").string("new")), ["symlink there -> new: ok"]);
    assert_eq!(done(extended("hardlink@openssh.com").string("a").string("b")), ["hardlink a -> b: ok"]);
    assert_eq!(done(ask(99).string("a")), ["untracked: ok (a request of the unknown type 99)"]);
    assert_eq!(done(extended("x@y").string("a")), ["untracked: ok (the unknown extension x@y)"]);
}

#[test]
fn what_only_looks_is_not_told() {
    for kind in [STAT, LSTAT, REALPATH, READLINK] {
        assert!(done(ask(kind).string("a")).is_empty());
    }
    assert!(done(ask(FSTAT).string("h")).is_empty());
    for name in ["limits@openssh.com", "statvfs@openssh.com", "expand-path@openssh.com", "fsync@openssh.com"]
    {
        assert!(done(extended(name).string("a")).is_empty());
    }
}

#[test]
fn attributes_are_told_as_they_were_asked_for() {
    let set = |flags: u32| ask(SETSTAT).string("f").u32(flags);
    assert_eq!(done(set(4).u32(0o100_644)), ["setstat f 0644: ok"]);
    assert_eq!(done(set(2).u32(10).u32(20)), ["setstat f: ok (owner 10, group 20)"]);
    assert_eq!(done(set(8).u32(1).u32(2)), ["setstat f: ok (times)"]);
    assert_eq!(done(set(1).u64(5)), ["setstat f 5: ok"]);
    let several = set(1 | 2 | 4 | 8).u64(5).u32(10).u32(20).u32(0o600).u32(1).u32(2);
    assert_eq!(done(several), ["setstat f 5 0600: ok (owner 10, group 20; times)"]);
    let link = extended("lsetstat@openssh.com").string("l").u32(8).u32(1).u32(2);
    assert_eq!(done(link), ["setstat l: ok (times)"]);
    let open = Talk::v3().open(1, "f", WRITING, "h").ask(ask(FSETSTAT).string("h").u32(4).u32(0o600));
    assert_eq!(briefs(&open.status(7, OK).told()), ["setstat f 0600: ok"]);
    let unseen = ask(FSETSTAT).string("h").u32(4).u32(0o600);
    assert_eq!(done(unseen), ["setstat 0600: ok (the handle was not seen being opened)"]);
}

#[test]
fn a_refusal_is_told_in_the_target_s_words() {
    let refused = |code, message| {
        briefs(&Talk::v3().ask(ask(REMOVE).string("a")).answer(status(7, code, message)).told())
    };
    assert_eq!(refused(2, "No such file"), ["remove a: no-such-file"]);
    assert_eq!(refused(3, "Permission denied"), ["remove a: permission-denied"]);
    assert_eq!(refused(4, "Failure"), ["remove a: failure"]);
    assert_eq!(refused(4, "it is busy"), ["remove a: failure (it is busy)"]);
    assert_eq!(refused(8, ""), ["remove a: not-supported"]);
    assert_eq!(refused(999, ""), ["remove a: failure"]);
    // Versions before 3 give no words.
    let bare = Talk::v3().ask(ask(REMOVE).string("a")).answer(Packet::new(STATUS, 7).u32(3));
    assert_eq!(briefs(&bare.told()), ["remove a: permission-denied"]);
}

#[test]
fn opening_is_told_where_nothing_else_would_be() {
    let refused = Talk::v3().ask(ask(OPEN).string("a").u32(READING).u32(0)).status(7, 3);
    assert_eq!(briefs(&refused.told()), ["open a: permission-denied (to read)"]);
    let untouched = Talk::v3().open(1, "a", READING, "h").close(2, "h");
    assert_eq!(briefs(&untouched.told()), ["open a: ok (to read)"]);
    let emptied = Talk::v3()
        .ask(ask(OPEN).string("a").u32(WRITING).u32(4).u32(0o100_640))
        .answer(Packet::new(HANDLE, 7).string("h"));
    let emptied = emptied.close(2, "h").told();
    assert_eq!(briefs(&emptied), ["open a 0640: ok (to write, made if missing, emptied)"]);
}

#[test]
fn a_directory_that_is_listed_is_told_once() {
    let listed = Talk::v3()
        .ask(ask(OPENDIR).string("/srv"))
        .answer(Packet::new(HANDLE, 7).string("d"))
        .ask(Packet::new(READDIR, 8).string("d"))
        .answer(Packet::new(NAME, 8).u32(2).string("a").string("b").raw(&[0; 500]))
        .ask(Packet::new(READDIR, 9).string("d"))
        .status(9, EOF)
        .close(10, "d");
    assert_eq!(briefs(&listed.told()), ["list /srv: ok (2 names)"]);
    let refused = Talk::v3().ask(ask(OPENDIR).string("/root")).status(7, 3);
    assert_eq!(briefs(&refused.told()), ["list /root: permission-denied"]);
}

#[test]
fn copies_on_the_target_are_told() {
    let open = Talk::v3().open(1, "a", READING, "h").open(2, "b", WRITING, "g");
    let copied = |length| extended("copy-data").string("h").u64(0).u64(length).string("g").u64(0);
    assert_eq!(briefs(&open.clone().ask(copied(9)).status(7, OK).told()), ["copy a -> b 9: ok"]);
    assert_eq!(briefs(&open.ask(copied(0)).status(7, OK).told()), ["copy a -> b: ok"]);
    assert_eq!(done(extended("copy-file").string("a").string("b").byte(1)), ["copy a -> b: ok"]);
}

#[test]
fn what_was_not_answered_is_unfinished() {
    let talk = Talk::v3()
        .ask(Packet::new(REMOVE, 1).string("a"))
        .ask(Packet::new(OPEN, 2).string("b").u32(READING).u32(0))
        .open(3, "c", READING, "h");
    assert!(talk.told().is_empty());
    let told = talk.told_at_the_end();
    assert_eq!(
        briefs(&told),
        ["remove a: unfinished", "open b: unfinished (to read)", "open c: unfinished (to read)"]
    );
}

#[test]
fn names_are_kept_as_they_are() {
    let odd = b"a\n\x1b[2J\xff";
    let told = Talk::v3().ask(ask(REMOVE).string(odd)).status(7, OK).told();
    assert_eq!(told[0].path.as_ref().expect("a name").as_bytes(), odd);
    // A name that goes on beyond what is gathered of a request.
    let long = vec![b'x'; 100_000];
    let told = Talk::v3().ask(ask(RENAME).string(&long).string("b")).status(7, 2).told();
    let path = told[0].path.as_ref().expect("a name");
    assert!(path.is_cut() && path.as_bytes() == &long[..4096]);
    assert_eq!((told.len(), &told[0].new_path, told[0].result.label()), (1, &None, "no-such-file"));
}
