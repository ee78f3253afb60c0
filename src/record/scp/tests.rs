//! Copies as they go.

use proptest::prelude::*;

use super::*;
use crate::audit::FileAct;
use crate::record::hashing::Hashers;
use crate::record::operation::{FileResult, Sha256};

fn all(reader: &mut ScpReader) -> Vec<FileOperation> {
    std::iter::from_fn(|| reader.take()).collect()
}

fn reader(command: &str) -> ScpReader {
    ScpReader::from_command(command.as_bytes(), &Hashers::default()).expect("a copy")
}

/// What is said, in turns: `>` by the sending end, `<` by the taking one.
fn talk(command: &str, said: &[(char, &[u8])], ended: bool) -> Vec<FileOperation> {
    let mut reader = reader(command);
    for (who, data) in said {
        if (*who == '>') == reader.upload { reader.to_target(data) } else { reader.to_client(data) }
    }
    if ended {
        reader.end();
    }
    all(&mut reader)
}

fn brief(operation: &FileOperation) -> String {
    let path = operation.path.as_ref().map(|path| path.text().into_owned()).unwrap_or_default();
    let bytes = operation.bytes.map(|bytes| format!(" {bytes}")).unwrap_or_default();
    let detail = operation.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("{} {path}{bytes}: {}{detail}", operation.action.label(), operation.result.label())
}

fn briefs(operations: &[FileOperation]) -> Vec<String> {
    operations.iter().map(brief).collect()
}

#[test]
fn an_upload_is_told_once_with_its_hash() {
    let said: [(char, &[u8]); 9] = [
        ('<', b"\0"),
        ('>', b"T1 0 1 0\n"),
        ('<', b"\0"),
        ('>', b"C0640 6 a.txt\n"),
        ('<', b"\0"),
        ('>', b"abc"),
        ('>', b"def\0"),
        ('<', b"\0"),
        ('>', b""),
    ];
    let told = talk("scp -p -t /srv/a.txt", &said, true);
    assert_eq!(briefs(&told), ["write /srv/a.txt 6: ok"]);
    assert_eq!((told[0].sha256, told[0].mode), (Some(Sha256::of(b"abcdef")), Some(0o640)));
}

#[test]
fn a_tree_is_told_file_by_file() {
    let said: [(char, &[u8]); 14] = [
        ('<', b"\0"),
        ('>', b"D0755 0 dir\n"),
        ('<', b"\0"),
        ('>', b"C0644 0 empty\n"),
        ('<', b"\0"),
        ('>', b"\0"),
        ('<', b"\0"),
        ('>', b"D0700 0 sub\n"),
        ('<', b"\x01scp: /srv/dir/sub: Not a directory\n"),
        ('>', b"C0644 1 x\n"),
        ('<', b"\0"),
        ('>', b"x\0"),
        ('<', b"\x01scp: /srv/dir/x: No space left on device\n"),
        ('>', b"E\n"),
    ];
    let told = talk("scp -r -t /srv/dir", &said, true);
    assert_eq!(
        briefs(&told),
        [
            "mkdir /srv/dir: ok (unless it was there)",
            "write /srv/dir/empty 0: ok",
            "mkdir /srv/dir/sub: not-a-directory (unless it was there; scp: /srv/dir/sub: Not a directory)",
            "write /srv/dir/x 1: no-space (scp: /srv/dir/x: No space left on device)",
        ]
    );
    assert_eq!(told[1].sha256, Some(Sha256::of(b"")));
}

#[test]
fn a_download_is_told_and_directories_are_not() {
    let said: [(char, &[u8]); 10] = [
        ('<', b"\0"),
        ('>', b"D0755 0 log\n"),
        ('<', b"\0"),
        ('>', b"C0644 3 a\n"),
        ('<', b"\0"),
        ('>', b"aaa\0"),
        ('<', b"\x01local: No space left on device\n"),
        ('>', b"\x01scp: /var/log/secret: Permission denied\n"),
        ('>', b"E\n"),
        ('<', b"\0"),
    ];
    let told = talk("scp -r -f /var/log", &said, true);
    assert_eq!(
        briefs(&told),
        [
            "read /var/log/a 3: ok (the client answered: local: No space left on device)",
            "open /var/log: permission-denied (scp: /var/log/secret: Permission denied)",
        ]
    );
}

#[test]
fn what_is_refused_or_cut_off_or_incomplete_is_told_so() {
    let refused: [(char, &[u8]); 4] =
        [('<', b"\0"), ('>', b"C0644 3 a\n"), ('<', b"\x01scp: /etc/a: Permission denied\n"), ('>', b"")];
    let told = talk("scp -t /etc/a", &refused, true);
    assert_eq!(briefs(&told), ["open /etc/a: permission-denied (scp: /etc/a: Permission denied)"]);

    let cut_off: [(char, &[u8]); 4] = [('<', b"\0"), ('>', b"C0644 9 a\n"), ('<', b"\0"), ('>', b"abc")];
    let told = talk("scp -t a", &cut_off, true);
    assert_eq!(briefs(&told), ["write a 3: unfinished"]);
    assert_eq!(told[0].sha256, Some(Sha256::of(b"abc")));
    assert!(talk("scp -t a", &cut_off, false).is_empty());

    let incomplete: [(char, &[u8]); 5] = [
        ('<', b"\0"),
        ('>', b"C0644 3 a\n"),
        ('<', b"\0"),
        ('>', b"abc\x01scp: a: Input/output error\n"),
        ('<', b"\0"),
    ];
    let told = talk("scp -f a", &incomplete, true);
    assert_eq!(briefs(&told), ["read a 3: failure (scp: a: Input/output error)"]);
}

#[test]
fn libraries_that_do_not_wait_are_followed() {
    let said: [(char, &[u8]); 2] = [('>', b"C0644 3 a\nabc\0C0644 1 b\nb\0"), ('<', b"\0\0\0\0\0")];
    let told = talk("scp -d -t /srv", &said, true);
    assert_eq!(briefs(&told), ["write /srv/a 3: ok", "write /srv/b 1: ok"]);
}

#[test]
fn what_cannot_be_followed_is_told_once() {
    let cases: [&[(char, &[u8])]; 6] = [
        &[('<', b"Welcome to web-1\n\0")],
        &[('<', b"\0"), ('>', b"hello\n"), ('>', b"C0644 1 a\n")],
        &[('<', b"\0\0")],
        &[('<', b"\0"), ('>', b"C0644 3 a\nabc"), ('<', b"\x01no\n"), ('>', b"\0")],
        &[('<', b"\0"), ('>', b"D0755 0 d\nD0755 0 e\n"), ('<', b"\x01no\n")],
        &[('<', b"\0"), ('>', b"C0644 1 a\n"), ('<', b"\0"), ('>', b"ab")],
    ];
    for said in cases {
        let told = talk("scp -r -t /srv", said, true);
        let untracked = told.iter().filter(|told| told.action == FileAct::Untracked).count();
        assert_eq!(untracked, 1, "{said:?}: {told:?}");
        let rest = told.iter().filter(|told| told.action != FileAct::Untracked);
        assert!(rest.clone().all(|told| told.result == FileResult::Unknown), "{said:?}: {told:?}");
    }
    let mut endless = reader("scp -t /srv");
    (0..100_000).for_each(|_| endless.to_target(b"C0644 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert!(endless.lost_track() && all(&mut endless).len() == 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_never_panic(
        upload in any::<bool>(),
        said in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..3, Just(b'C'), Just(b'\n'), Just(b'0'), Just(b' ')], 0..30)),
            0..20,
        ),
    ) {
        let mut reader = reader(if upload { "scp -t x" } else { "scp -f x" });
        for (to_target, data) in &said {
            if *to_target { reader.to_target(data) } else { reader.to_client(data) }
        }
        reader.end();
        prop_assert!(all(&mut reader).len() <= said.len() * 30);
    }

    #[test]
    fn the_pieces_in_which_it_comes_do_not_matter(cuts in proptest::collection::vec(1..9_usize, 0..40)) {
        let sent = b"T1 0 1 0\nD0755 0 d\nC0644 5 a\nhello\0C0644 0 b\n\0E\n".as_slice();
        let whole = talk("scp -r -t d", &[('>', sent), ('<', &[0; 8])], true);
        let mut reader = reader("scp -r -t d");
        let mut rest = sent;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            reader.to_target(piece);
            rest = after;
        }
        reader.to_target(rest);
        (0..8).for_each(|_| reader.to_client(&[0]));
        reader.end();
        prop_assert_eq!(all(&mut reader), whole);
    }
}
