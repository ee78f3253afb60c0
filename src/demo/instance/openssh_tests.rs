//! An instance as OpenSSH's ssh, scp and sftp, and rsync, see it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Bound;
use super::tests::runs;
use crate::clock::HandSetClock;
use crate::demo::aws::World;
use crate::demo::cast;
use crate::ssh::HostKey;

const PATIENCE: Duration = Duration::from_secs(60);

struct Lab {
    world: Arc<World>,
    clock: Arc<HandSetClock>,
    key_blob: Vec<u8>,
    directory: tempfile::TempDir,
    _running: DropGuard,
}

impl Lab {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let host_key = HostKey::generate("web-1").expect("a key");
        let user_key = HostKey::load_or_create(&directory.path().join("key"), "user").expect("a key");
        let bound = Bound::at([127, 0, 1, 10].into()).await.expect("bound");
        let known = format!("web-1 {}\n", host_key.public_line());
        std::fs::write(directory.path().join("known"), known).expect("written");
        let d = directory.path().display();
        let config = format!(
            "Host web-1\nHostName 127.0.1.10\nHostKeyAlias web-1\nPort {}\nUser ec2-user\nIdentityFile {d}/key\n\
             IdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {d}/known\n\
             GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\nBatchMode yes\n",
            bound.port()
        );
        std::fs::write(directory.path().join("config"), config).expect("written");
        let clock = HandSetClock::at("2026-11-22T08:00:00Z");
        let world = Arc::new(cast::world(&std::collections::BTreeMap::new(), clock.clone()));
        let id = cast::PARTS[0].instance_id().expect("an id");
        let shutdown = CancellationToken::new();
        tokio::spawn(bound.serve(id, "web-1", host_key, Arc::clone(&world), shutdown.clone()));
        let key_blob = user_key.blob().to_vec();
        Self { world, clock, key_blob, directory, _running: shutdown.drop_guard() }
    }

    async fn with_pushed_key() -> Self {
        let lab = Self::start().await;
        lab.push("ec2-user");
        lab
    }

    fn push(&self, login: &str) {
        self.world.push_key(&self.world.instances[0].id, login, self.key_blob.clone());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.path("config"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn ssh(&self, options: &[&str], input: &[u8]) -> Output {
        run(self.command("ssh").args(options), input).await
    }
}

async fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.spawn().expect("it is installed");
    let mut stdin = child.stdin.take().expect("piped");
    let all = async {
        let feed = async move {
            // A program that does not want all of it closes its end.
            stdin.write_all(input).await.unwrap_or_default();
            drop(stdin);
        };
        tokio::join!(feed, child.wait_with_output()).1
    };
    tokio::time::timeout(PATIENCE, all).await.expect("finished in time").expect("awaited")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
}

fn some_content(path: &Path, size: u32) -> Vec<u8> {
    let content: Vec<u8> =
        (0..size).map(|at| u8::try_from(at.wrapping_mul(31) % 251).expect("small")).collect();
    std::fs::write(path, &content).expect("written");
    content
}

#[tokio::test]
async fn only_a_pushed_key_lets_in_for_its_login_and_its_minute() {
    let lab = Lab::start().await;
    let refused = lab.ssh(&["web-1", "true"], b"").await;
    assert_eq!(refused.status.code(), Some(255));
    assert!(text(&refused.stderr).contains("Permission denied (publickey)"), "{}", text(&refused.stderr));
    lab.push("ec2-user");
    succeeded(&lab.ssh(&["web-1", "true"], b"").await);
    assert_eq!(lab.ssh(&["-l", "root", "web-1", "true"], b"").await.status.code(), Some(255));
    lab.clock.advance(Duration::from_secs(60));
    assert_eq!(lab.ssh(&["web-1", "true"], b"").await.status.code(), Some(255));
}

#[tokio::test]
async fn commands_have_their_streams_exit_codes_and_variables() {
    let lab = Lab::with_pushed_key().await;
    let command = "cat; echo $LC_MARK on $DRAWBRIDGE_DEMO_INSTANCE >&2; exit 7";
    let output = lab.ssh(&["-o", "SetEnv=LC_MARK=here", "web-1", command], b"in and out").await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("in and out", "here on web-1\n"));
    assert_eq!(output.status.code(), Some(7));
    let killed = lab.ssh(&["web-1", "kill -TERM $$"], b"").await;
    assert_eq!(killed.status.code(), Some(255));
    let unknown = lab.ssh(&["-s", "web-1", "netconf"], b"").await;
    assert!(text(&unknown.stderr).contains("subsystem request failed"), "{}", text(&unknown.stderr));
}

#[tokio::test]
async fn a_terminal_has_its_type_and_a_script_its_shell() {
    let lab = Lab::with_pushed_key().await;
    let output = lab.ssh(&["-tt", "web-1", "tty && echo type=$TERM"], b"").await;
    let said = text(&output.stdout);
    assert!(said.starts_with("/dev/pts/") && said.contains("type="), "{said}");
    let output = lab.ssh(&["-T", "web-1"], b"echo a$((1 + 1)); exit 5\n").await;
    assert_eq!((text(&output.stdout), output.status.code()), ("a2\n", Some(5)));
}

#[tokio::test]
async fn a_command_that_does_not_read_is_no_dead_end_for_a_big_input() {
    let lab = Lab::with_pushed_key().await;
    let input = vec![7; 32 << 20];
    let output = lab.ssh(&["web-1", "head -c 3 | wc -c"], &input).await;
    assert_eq!(text(&output.stdout).trim(), "3");
    let output = lab.ssh(&["web-1", "exec 0<&-; sleep 0.2; echo done"], &input).await;
    assert_eq!(text(&output.stdout), "done\n");
}

#[tokio::test]
async fn scp_carries_large_files_both_ways() {
    let lab = Lab::with_pushed_key().await;
    let content = some_content(&lab.path("here"), 20_000_003);
    let there = lab.path("there");
    let copy = lab
        .command("scp")
        .arg("-p")
        .arg(lab.path("here"))
        .arg(format!("web-1:{}", there.display()))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("scp");
    succeeded(&copy);
    assert!(std::fs::read(&there).expect("read") == content);
    let back = lab.path("back");
    let copy = lab
        .command("scp")
        .arg(format!("web-1:{}", there.display()))
        .arg(&back)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("scp");
    succeeded(&copy);
    assert!(std::fs::read(&back).expect("read") == content);
}

#[tokio::test]
async fn sftp_does_what_a_batch_says() {
    let lab = Lab::with_pushed_key().await;
    let content = some_content(&lab.path("here"), 1_000_000);
    let d = lab.directory.path().display();
    let batch = format!(
        "mkdir {d}/new\ncd {d}/new\nput {d}/here a\nrename a b\nchmod 600 b\nln -s b link\nln b hard\nls -l\n\
         -get missing\nget b {d}/back\nrm hard\nrm link\npwd\n-rmdir {d}/new\nrm b\ncd ..\nrmdir new\n"
    );
    let output = run(lab.command("sftp").args(["-b", "-", "web-1"]), batch.as_bytes()).await;
    succeeded(&output);
    assert!(std::fs::read(lab.path("back")).expect("read") == content);
    assert!(!lab.path("new").exists());
    let said = text(&output.stdout);
    assert!(said.contains("-rw-------") && said.contains("lrwxrwxrwx"), "{said}");
    assert!(text(&output.stderr).contains("not found"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn rsync_works_through_an_instance() {
    let lab = Lab::with_pushed_key().await;
    std::fs::create_dir(lab.path("from")).expect("made");
    let content = some_content(&lab.path("from/a"), 3_000_001);
    let shell = format!("ssh -F {}", lab.path("config").display());
    let to = format!("web-1:{}/to/", lab.directory.path().display());
    let mut rsync = Command::new("rsync");
    rsync.args(["-a", "-e", &shell]).arg(format!("{}/", lab.path("from").display())).arg(to);
    let Ok(output) = rsync.stdin(Stdio::null()).output().await else { return };
    succeeded(&output);
    assert!(std::fs::read(lab.path("to/a")).expect("read") == content);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_running() {
    let lab = Lab::with_pushed_key().await;
    let pid_file = lab.path("pid");
    let command = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pid_file.display());
    let mut child = lab.command("ssh").args(["web-1", &command]).spawn().expect("ssh");
    let wait_until = async |condition: &dyn Fn() -> bool| {
        let poll = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.expect("in time");
    };
    wait_until(&|| pid_file.exists()).await;
    let pid = std::fs::read_to_string(&pid_file).expect("a process id");
    assert!(runs(pid.trim()));
    child.kill().await.expect("killed");
    wait_until(&|| !runs(pid.trim())).await;
}

#[tokio::test]
async fn a_forward_reaches_this_machine_and_no_other() {
    let lab = Lab::with_pushed_key().await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.expect("echoed");
    });
    let output = lab.ssh(&["-W", &format!("localhost:{port}"), "web-1"], b"hello").await;
    succeeded(&output);
    assert_eq!(text(&output.stdout), "hello");
    let output = lab.ssh(&["-W", "169.254.169.254:80", "web-1"], b"").await;
    assert!(!output.status.success());
}

/// `ssh web-1 yes | head -1`: the program has to learn that nobody reads, or it never ends.
#[tokio::test]
async fn a_program_whose_reader_has_left_ends() {
    let lab = Lab::with_pushed_key().await;
    let mut ssh = lab.command("ssh").args(["web-1", "yes"]).spawn().expect("it is installed");
    let mut output = BufReader::new(ssh.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).await.expect("a line");
    assert_eq!(line, "y\n");
    drop(output);
    let ended = tokio::time::timeout(PATIENCE, ssh.wait()).await.expect("it ends");
    assert!(!ended.expect("awaited").success());
}
