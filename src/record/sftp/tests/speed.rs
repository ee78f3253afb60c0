//! How fast data are read. `cargo test --lib record::sftp::tests::speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use super::super::SftpReader;
use super::super::numbers::*;
use super::talk::{READING, Talk, WRITING, all};
use crate::record::operation::Sha256;

const PIECE: u32 = 32 * 1024;
const PIECES: u32 = 4096;

fn report(what: &str, took: Duration) {
    let mebibytes = f64::from(PIECES / 1024 * PIECE / 1024);
    println!("{what:40} {:6.0} MiB/s", mebibytes / took.as_secs_f64());
}

#[test]
#[ignore = "measures, and decides nothing"]
fn how_fast_data_are_read() {
    let piece = vec![0x5a; usize::try_from(PIECE).expect("short")];
    let whole = vec![0x5a; piece.len() * 1024];
    let start = Instant::now();
    (0..PIECES / 1024).for_each(|_| assert_ne!(Sha256::of(&whole), Sha256::of(b"")));
    report("SHA-256 alone", start.elapsed());

    // As much at a time as a channel hands on.
    for at_once in [4096, 32 * 1024, 256 * 1024] {
        let mut up = Talk::v3().open(1, "f", WRITING, "h").reader();
        let requests: Vec<u8> =
            (0..8).flat_map(|at| Talk::default().write(at, "h", 0, &piece).0.remove(0).1).collect();
        let one = requests.len() / 8;
        let start = Instant::now();
        let mut stream = Vec::with_capacity(8 * one);
        for batch in 0..PIECES / 8 {
            stream.clear();
            stream.extend_from_slice(&requests);
            for at in 0..8_u32 {
                let number = batch * 8 + at;
                let begin = usize::try_from(at).expect("short") * one;
                stream[begin + 5..begin + 9].copy_from_slice(&(number + 10).to_be_bytes());
                let offset = u64::from(number) * u64::from(PIECE);
                stream[begin + 14..begin + 22].copy_from_slice(&offset.to_be_bytes());
            }
            stream.chunks(at_once).for_each(|data| up.to_target(data));
            (0..8).for_each(|at| up.to_client(&Talk::default().status(batch * 8 + at + 10, OK).0[0].1));
        }
        finished(&mut up, &format!("an upload, {at_once} bytes at once"), start.elapsed());

        let mut down = Talk::v3().open(1, "f", READING, "h").reader();
        let start = Instant::now();
        for number in 0..PIECES {
            let offset = u64::from(number) * u64::from(PIECE);
            down.to_target(&Talk::default().read(number + 10, "h", offset, PIECE).0[0].1);
            let answer = Talk::default().data(number + 10, &piece).0.remove(0).1;
            answer.chunks(at_once).for_each(|data| down.to_client(data));
        }
        finished(&mut down, &format!("a download, {at_once} bytes at once"), start.elapsed());
    }
}

fn finished(reader: &mut SftpReader, what: &str, took: Duration) {
    reader.end();
    let told = all(reader);
    assert_eq!(told[0].bytes, Some(u64::from(PIECE) * u64::from(PIECES)));
    assert_eq!(told[0].sequential, Some(true));
    report(what, took);
}
