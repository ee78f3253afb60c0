//! OpenSSH's `sftp` and `sftp-server`, with the reader between them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use tempfile::TempDir;

use super::super::SftpReader;
use super::talk::{all, brief};
use crate::record::operation::{FileOperation, Sha256};

fn server() -> PathBuf {
    ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("OpenSSH's sftp-server is installed")
}

/// In place of `ssh`: carries what `sftp` says to one pipe, and what comes from another back.
const CARRIER: &str = "#!/bin/sh\nexec 3<&0\ncat <&3 >\"$0.up\" &\nexec cat \"$0.down\"\n";

/// Runs a batch of `sftp` in that directory, and says what is told of it.
fn run(dir: &Path, batch: &str) -> Vec<FileOperation> {
    let carrier = dir.join("carrier");
    fs::write(&carrier, CARRIER).expect("our own folder");
    fs::set_permissions(&carrier, fs::Permissions::from_mode(0o700)).expect("our own file");
    let pipes = ["up", "down"].map(|name| carrier.with_extension(name));
    assert!(Command::new("mkfifo").args(&pipes).status().expect("mkfifo runs").success());
    fs::write(dir.join("batch"), batch).expect("our own folder");

    let mut server = Command::new(server())
        .current_dir(dir.join("target"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sftp-server starts");
    let mut client = Command::new("sftp")
        .args(["-q", "-S"])
        .arg(&carrier)
        .args(["-b", "../batch", "nowhere"])
        .current_dir(dir.join("client"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("sftp starts");
    let reader = Mutex::new(SftpReader::new());
    let seen = Mutex::new(Vec::new());
    let (to_server, from_server) = (server.stdin.take(), server.stdout.take());
    let look = |to_target: bool, data: &[u8]| {
        let mut reader = reader.lock().expect("no panic");
        if to_target {
            reader.to_target(data)
        } else {
            reader.to_client(data)
        }
        seen.lock().expect("no panic").extend(all(&mut reader));
    };
    let (look, [up, down]) = (&look, &pipes);
    thread::scope(|scope| {
        scope.spawn(move || {
            let up = fs::File::open(up).expect("a pipe");
            pass(up, to_server.expect("piped"), |data| look(true, data));
        });
        scope.spawn(move || {
            let down = fs::File::options().write(true).open(down).expect("a pipe");
            pass(from_server.expect("piped"), down, |data| look(false, data));
        });
    });
    assert!(client.wait().expect("our own child").success());
    assert!(server.wait().expect("our own child").success());
    let mut reader = reader.into_inner().expect("no panic");
    reader.end();
    let mut seen = seen.into_inner().expect("no panic");
    seen.extend(all(&mut reader));
    seen
}

fn pass(mut from: impl Read, mut to: impl Write, look: impl Fn(&[u8])) {
    let mut buffer = vec![0; 100_000];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        look(&buffer[..count]);
        to.write_all(&buffer[..count]).and_then(|()| to.flush()).expect("the other end reads");
    }
}

/// One around all, and in it one for each end.
fn folders() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let [client, target] = ["client", "target"].map(|name| dir.path().join(name));
    for folder in [&client, &target] {
        fs::create_dir(folder).expect("our own folder");
    }
    (dir, client, target)
}

/// Bytes that do not repeat.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    next.take(length).collect()
}

#[test]
fn what_openssh_does_is_told() {
    let (dir, client, target) = folders();
    let large = content(9_000_001);
    fs::write(client.join("large"), &large).expect("our own folder");
    fs::write(client.join("empty"), b"").expect("our own folder");
    let batch = "put large up\nget up back\nput empty\nmkdir d\nls d\nrename up d/moved\nln -s d/moved link\n\
                 ln d/moved hard\nchmod 600 hard\n-get nothing\n-rm nothing\nrm hard\nrm link\nrm d/moved\nrmdir d\n";
    let told = run(dir.path(), batch);
    let root = target.canonicalize().expect("our own folder").display().to_string();
    let briefs: Vec<String> = told.iter().map(|told| brief(told).replace(&format!("{root}/"), "")).collect();
    let large_hash = Some(Sha256::of(&large));
    let moved: Vec<_> = told.iter().filter(|told| told.bytes == Some(9_000_001)).collect();
    assert_eq!(
        moved.iter().map(|told| told.sha256).collect::<Vec<_>>(),
        [large_hash, large_hash],
        "{briefs:#?}"
    );
    assert!(fs::read(client.join("back")).is_ok_and(|back| back == large));
    insta::assert_snapshot!(briefs.join("\n"));
}

#[test]
fn an_upload_that_is_resumed_has_the_hash_of_what_was_added() {
    let (dir, client, target) = folders();
    let whole = content(6_000_000);
    fs::write(client.join("f"), &whole).expect("our own folder");
    fs::write(target.join("f"), &whole[..1_000_000]).expect("our own folder");
    let told = run(dir.path(), "reput f\n");
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert!(brief(told).ends_with("f 5000000 0644: ok (appended)"), "{told:?}");
    assert_eq!(told.sha256, Some(Sha256::of(&whole[1_000_000..])));
    assert!(fs::read(target.join("f")).is_ok_and(|uploaded| uploaded == whole));
}
