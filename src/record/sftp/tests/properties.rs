//! What holds for any bytes and any pieces.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::SftpReader;
use super::super::numbers::*;
use super::talk::{Packet, READING, Talk, WRITING, all};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A packet that is often, but not always, one that means something.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![1..=24_u8, 101..=106_u8, Just(200), Just(201), any::<u8>()];
    let field = prop_oneof![
        vec(any::<u8>(), 0..6),
        Just(b"\0\0\0\x01h".to_vec()),
        Just(b"\0\0\0\x02hi".to_vec()),
        Just(b"\0\0\0\x09copy-data".to_vec()),
        Just(vec![0; 4]),
        Just(vec![0, 0, 0, 1]),
        Just(vec![0; 8]),
        Just(vec![0xff; 4]),
    ];
    (kind, 0..6_u32, vec(field, 0..6))
        .prop_map(|(kind, id, fields)| Packet::new(kind, id).raw(&fields.concat()).bytes())
}

/// One of everything.
fn conversation() -> Talk {
    Talk::v3()
        .open(1, "up", WRITING, "0")
        .write(2, "0", 0, &[b'a'; 300])
        .write(3, "0", 600, &[b'c'; 300])
        .write(4, "0", 300, &[b'b'; 300])
        .open(5, "down", READING, "1")
        .read(6, "1", 0, 500)
        .read(7, "1", 500, 500)
        .status(2, OK)
        .status(4, OK)
        .data(6, &[b'd'; 500])
        .status(3, OK)
        .data(7, &[b'e'; 100])
        .ask(Packet::new(RENAME, 8).string("x").string("y"))
        .close(9, "1")
        .status(8, 3)
        .close(10, "0")
        .ask(Packet::new(OPENDIR, 11).string("d"))
        .answer(Packet::new(HANDLE, 11).string("2"))
        .ask(Packet::new(READDIR, 12).string("2"))
        .answer(Packet::new(NAME, 12).u32(3).raw(&[0; 700]))
        .close(13, "2")
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_packets_never_panic(packets in vec((any::<bool>(), packet()), 0..120), version in 0..8_u32) {
        let mut talk = Talk::version(version);
        talk.0.extend(packets.iter().cloned());
        let mut reader = talk.reader();
        reader.end();
        // A packet tells of one thing, or of two that are open; and there are a few remarks.
        prop_assert!(all(&mut reader).len() <= 2 * packets.len() + 8);
    }

    #[test]
    fn any_bytes_never_panic(pieces in vec((any::<bool>(), vec(any::<u8>(), 0..200)), 0..30)) {
        let mut reader = Talk::v3().reader();
        for (to_target, data) in &pieces {
            if *to_target { reader.to_target(data) } else { reader.to_client(data) }
        }
        reader.end();
        prop_assert!(all(&mut reader).len() < 2000);
    }

    #[test]
    fn the_pieces_in_which_it_comes_do_not_matter(cuts in vec(1..40_usize, 1..60)) {
        let talk = conversation();
        let whole = talk.told();
        prop_assert_eq!(whole.len(), 4);
        let mut cuts = cuts.iter().copied().cycle();
        let mut reader = SftpReader::new();
        for (to_target, data) in &talk.0 {
            let mut rest = data.as_slice();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts.next().expect("a cycle").min(rest.len()));
                if *to_target { reader.to_target(piece) } else { reader.to_client(piece) }
                rest = after;
            }
        }
        prop_assert_eq!(all(&mut reader), whole);
    }

    #[test]
    fn many_packets_in_one_piece_are_many_packets(join in vec(any::<bool>(), 40)) {
        let talk = conversation();
        let mut joined = Talk::default();
        for ((to_target, data), join) in talk.0.iter().zip(join.iter().cycle()) {
            match joined.0.last_mut() {
                Some((way, last)) if *join && way == to_target => last.extend(data),
                _ => joined.0.push((*to_target, data.clone())),
            }
        }
        prop_assert_eq!(joined.told(), talk.told());
    }
}
