//! Programs as a session channel uses them, without SSH.

use std::time::Duration;

use russh_sftp::client::SftpSession;
use russh_sftp::protocol::OpenFlags;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use super::program::{Host, PtyRequest, RunningProgram, Start};
use crate::domain::Exit;

fn host() -> Host {
    Host::new("", CancellationToken::new())
}

fn exec(command: &str) -> Start {
    Start::Exec(command.as_bytes().to_vec())
}

fn terminal() -> Option<PtyRequest> {
    Some(PtyRequest { term: "vt220".to_owned(), columns: 80, rows: 24, modes: Vec::new() })
}

/// Sends input and its end, and collects both outputs and the exit.
async fn run(mut program: RunningProgram, input: &[u8]) -> (String, String, Exit) {
    program.stdin.write_all(input).await.expect("written");
    drop(program.stdin);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    program.stdout.read_to_end(&mut output).await.expect("read");
    if let Some(mut stderr) = program.stderr {
        stderr.read_to_end(&mut errors).await.expect("read");
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output), text(errors), program.control.wait().await)
}

#[tokio::test]
async fn a_command_has_its_streams_apart_and_its_exit_status() {
    let program = host().start(exec("cat; echo oops >&2; exit 7"), None, vec![]).expect("started");
    let (output, errors, exit) = run(program, b"in and out").await;
    assert_eq!((output.as_str(), errors.as_str()), ("in and out", "oops\n"));
    assert_eq!(exit, Exit::Status { code: 7 });
}

#[tokio::test]
async fn a_signal_that_ends_a_command_is_named() {
    let program = host().start(exec("kill -USR1 $$"), None, vec![]).expect("started");
    let (_, _, exit) = run(program, b"").await;
    assert_eq!(exit, Exit::Signal { name: "USR1".to_owned(), core_dumped: false });
}

#[tokio::test]
async fn a_clients_signal_reaches_the_command() {
    let command = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let program = host().start(exec(command), None, vec![]).expect("started");
    let mut lines = BufReader::new(program.stdout).lines();
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("ready"));
    program.control.signal("NONSENSE");
    program.control.signal("TERM");
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("got it"));
    assert_eq!(program.control.wait().await, Exit::Status { code: 9 });
}

#[tokio::test]
async fn variables_are_passed_on_where_the_system_takes_them() {
    let env = vec![
        ("LC_TEST".to_owned(), b"caf\xe9".to_vec()),
        ("BAD=NAME".to_owned(), b"x".to_vec()),
        ("NUL".to_owned(), b"a\0b".to_vec()),
        ("DRAWBRIDGE_DEMO_PROGRAM".to_owned(), b"forged".to_vec()),
    ];
    let command = "printf %s \"$LC_TEST\" | wc -c; echo \"[$NUL]\"; env | grep -c forged";
    let program = host().start(exec(command), None, env).expect("started");
    let (output, _, _) = run(program, b"").await;
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["4", "[]", "0"]);
}

#[tokio::test]
async fn a_shell_on_a_terminal_echoes_and_says_how_it_ended() {
    let host = Host::new("welcome\r\n", CancellationToken::new());
    let program = host.start(Start::Shell, terminal(), vec![]).expect("started");
    assert!(program.stderr.is_none());
    let (output, _, exit) = run(program, b"echo mark$((40 + 2)) $TERM\nexit 3\n").await;
    assert!(output.starts_with("welcome\r\n"), "{output:?}");
    assert!(output.contains("echo mark$((40 + 2))"), "no echo: {output:?}");
    assert!(output.contains("mark42 vt220"), "{output:?}");
    assert_eq!(exit, Exit::Status { code: 3 });
}

#[tokio::test]
async fn a_shell_without_a_terminal_reads_a_script() {
    let program = host().start(Start::Shell, None, vec![]).expect("started");
    let (output, _, exit) = run(program, b"echo a$((1 + 1))\nexit 4\n").await;
    assert_eq!((output.as_str(), exit), ("a2\n", Exit::Status { code: 4 }));
}

#[tokio::test]
async fn window_changes_and_modes_reach_the_terminal() {
    const ECHO: u8 = 53;
    let request = PtyRequest { modes: vec![(ECHO, 0), (250, 1)], ..terminal().expect("a terminal") };
    let command = "stty size; stty -a | grep -o -e '-echo '; read line; stty size";
    let program = host().start(exec(command), Some(request), vec![]).expect("started");
    let mut lines = BufReader::new(program.stdout).lines();
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("24 80"));
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("-echo "));
    program.control.resize(132, 50);
    let mut stdin = program.stdin;
    stdin.write_all(b"\n").await.expect("written");
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("50 132"));
    assert_eq!(lines.next_line().await.expect("the end"), None);
}

#[tokio::test]
async fn jobs_that_a_terminals_shell_leaves_do_not_hold_the_channel_open() {
    let command = "sleep 1000 & exit 0";
    let program = host().start(exec(command), terminal(), vec![]).expect("started");
    let ended = tokio::time::timeout(Duration::from_secs(20), run(program, b"")).await;
    assert_eq!(ended.expect("an end").2, Exit::Status { code: 0 });
}

/// Whether a process runs; a zombie does not.
pub(super) fn runs(pid: &str) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the name, which stands in brackets.
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn everything_a_program_started_is_gone_when_it_is_dropped() {
    for pty in [None, terminal()] {
        let shutdown = CancellationToken::new();
        let host = Host::new("", shutdown.clone());
        // One in the group, one in a session of its own, one that does not hang up.
        let command = "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & \
                       (trap '' HUP TERM; exec sleep 1000) & echo $!; wait";
        let program = host.start(exec(command), pty, vec![]).expect("started");
        let mut lines = BufReader::new(program.stdout).lines();
        let mut pids = Vec::new();
        for _ in 0..3 {
            pids.push(lines.next_line().await.expect("a line").expect("a process id"));
        }
        assert!(pids.iter().all(|pid| runs(pid)), "{pids:?}");
        drop((program.stdin, program.stderr, program.control));
        host.ended().await;
        assert!(!pids.iter().any(|pid| runs(pid)), "{pids:?}");
    }
}

#[tokio::test]
async fn programs_end_with_the_demo() {
    let shutdown = CancellationToken::new();
    let host = Host::new("", shutdown.clone());
    let program = host.start(exec("sleep 1000"), None, vec![]).expect("started");
    shutdown.cancel();
    // Under `nohup` a program does not hear the hang-up, and is killed a little later.
    let name = if hang_ups_are_ignored() { "KILL" } else { "HUP" };
    assert_eq!(program.control.wait().await, Exit::Signal { name: name.to_owned(), core_dumped: false });
    host.ended().await;
}

/// Whether whoever runs these tests ignores SIGHUP, the first signal; programs inherit that.
fn hang_ups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    u64::from_str_radix(ignored.trim(), 16).expect("hexadecimal") & 1 == 1
}

async fn sftp() -> SftpSession {
    let program = host().start(Start::Sftp, None, vec![]).expect("started");
    let control = program.control;
    let stream = tokio::io::join(program.stdout, program.stdin);
    let session = SftpSession::new(stream).await.expect("a session");
    std::mem::forget(control);
    session
}

#[tokio::test]
async fn files_go_through_sftp_and_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let client = sftp().await;
    client.create_dir(path("d")).await.expect("made");
    let content: Vec<u8> = (0..1_000_003_u32).map(|at| u8::try_from(at % 251).expect("small")).collect();
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE | OpenFlags::READ;
    let mut file = client.open_with_flags(path("d/a"), flags).await.expect("opened");
    file.write_all(&content).await.expect("written");
    file.rewind().await.expect("rewound");
    let mut back = Vec::new();
    file.read_to_end(&mut back).await.expect("read");
    assert!(back == content, "{} bytes came back", back.len());
    file.shutdown().await.expect("closed");
    client.rename(path("d/a"), path("d/b")).await.expect("renamed");
    let names: Vec<_> =
        client.read_dir(path("d")).await.expect("listed").map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["b"]);
    assert_eq!(client.metadata(path("d/b")).await.expect("a size").size, Some(1_000_003));
    client.remove_file(path("d/b")).await.expect("removed");
    client.remove_dir(path("d")).await.expect("removed");
    assert!(client.metadata(path("d")).await.is_err());
}

#[tokio::test]
async fn links_modes_and_times_go_through_sftp() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    std::fs::write(path("a"), b"x").expect("written");
    let client = sftp().await;
    // The first path is what the link points to, as OpenSSH sends it.
    client.symlink("a", path("l")).await.expect("linked");
    assert_eq!(std::fs::read_link(path("l")).expect("a link").to_str(), Some("a"));
    assert_eq!(client.read_link(path("l")).await.expect("a target"), "a");
    assert!(client.symlink_metadata(path("l")).await.expect("found").is_symlink());
    assert!(client.metadata(path("l")).await.expect("found").is_regular());
    let mut wanted = client.metadata(path("a")).await.expect("found");
    (wanted.size, wanted.uid, wanted.gid) = (None, None, None);
    (wanted.permissions, wanted.atime, wanted.mtime) =
        (Some(0o640), Some(1_000_000_000), Some(1_100_000_000));
    client.set_metadata(path("a"), wanted).await.expect("set");
    let metadata = std::fs::metadata(path("a")).expect("found");
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o640, 1_100_000_000));
    let real = client.canonicalize(path("x/../a")).await.expect("a path");
    assert!(real.ends_with("/a") && !real.contains(".."), "{real}");
}

#[tokio::test]
async fn the_sftp_server_ends_with_its_client() {
    let program = host().start(Start::Sftp, None, vec![]).expect("started");
    let (output, _, exit) = run(program, b"").await;
    assert_eq!((output.as_str(), exit), ("", Exit::Status { code: 0 }));
}
