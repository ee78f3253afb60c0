//! `drawbridge demo`, word for word as outside checks use it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Daemon, Finished, Start, Supervisor, finish, greets, noise, start, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// The security group of `locked-1`, which has no rule for SSH.
const LOCKED_GROUP: &str = "sg-0de300000000000e1";

/// A demo that is ready.
struct Demo {
    daemon: Daemon,
    dir: PathBuf,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = Supervisor::get().new_folder();
        let dir = folder.path().join("D");
        let port = Supervisor::get().free_port("127.0.0.1");
        let listen = format!("127.0.0.1:{port}");
        let argv = ["demo", "--dir", &dir.display().to_string(), "--listen", &listen].map(str::to_owned);
        let env = BTreeMap::from([("HOME".to_owned(), folder.path().display().to_string())]);
        let daemon = Daemon::spawn(&Start { argv: argv.to_vec(), env, log: folder.path().join("log"), port });
        wait_for("the demo to print `ready`", PATIENCE, || {
            assert!(daemon.ended().is_none(), "the demo has ended:\n{}", daemon.log_tail());
            daemon.log().lines().any(|line| line.trim() == "ready")
        });
        Self { daemon, dir, port, _folder: folder }
    }

    fn config(&self) -> String {
        self.dir.join("ssh_config").display().to_string()
    }

    fn run(&self, program: &str, args: &[&str], input: &[u8]) -> Finished {
        let mut command = Command::new(program);
        command.args(args).env_remove("SSH_AUTH_SOCK");
        finish(start(&mut command), input.to_vec(), PATIENCE)
    }

    fn ssh(&self, args: &[&str]) -> Finished {
        let config = self.config();
        let args: Vec<&str> = ["-F", &config].into_iter().chain(args.iter().copied()).collect();
        self.run("ssh", &args, b"")
    }

    /// Takes a permission away from the bastion.
    fn deny(&self, action: &str) {
        std::fs::write(self.dir.join("denied-actions"), format!("{action}\n")).expect("our own folder");
    }

    fn audit_length(&self) -> u64 {
        std::fs::metadata(self.dir.join("audit.jsonl")).map(|meta| meta.len()).unwrap_or_default()
    }
}

#[test]
fn the_contract_holds_word_for_word() {
    let demo = Demo::start();
    for file in ["ssh_config", "known_hosts", "audit.jsonl"] {
        assert!(demo.dir.join(file).exists(), "{file} is missing");
    }
    for host in ["web-1", "web-1.direct"] {
        let before = demo.audit_length();
        let done = demo.ssh(&[host, "echo out; echo err >&2; exit 7"]).ended_with(7);
        assert_eq!((done.out().as_str(), done.err().as_str()), ("out\n", "err\n"), "{host}");
        assert!(demo.audit_length() > before, "{host}: the audit did not grow");
        let terminal = demo.ssh(&["-tt", host, "tty"]).ended_with(0);
        assert!(terminal.out().contains("/dev/pts/"), "{host}: {}", terminal.out());
        files_go_both_ways(&demo, host);
    }
    for host in ["vault-1", "vault-1.direct", "old-1", "old-1.direct"] {
        demo.ssh(&[host, "true"]).failed().with_a_sentence();
    }
    let stopped = demo.ssh(&["old-1", "true"]).err();
    assert!(stopped.contains("stopped"), "{stopped}");
    for host in ["locked-1", "locked-1.direct", "bare-1", "bare-1.direct"] {
        demo.ssh(&[host, "true"]).ended_with(255).with_a_sentence();
    }
    let bastion = demo.ssh(&["-G", "bastion"]).ended_with(0);
    assert!(bastion.out().contains(&format!("port {}", demo.port)), "{}", bastion.out());
    ends_on(&demo, Signal::TERM);
}

/// What the demo's user may reach is listed, and neither the vault nor the bastion itself.
#[test]
fn the_list_has_what_can_be_reached_and_what_cannot_for_a_reason() {
    let demo = Demo::start();
    let list = demo.ssh(&["bastion", "targets"]).ended_with(0).out();
    for name in ["web-1", "db-1", "old-1", "locked-1", "bare-1"] {
        assert!(list.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is missing:\n{list}");
    }
    assert!(!list.contains("vault-1") && !list.contains("bastion"), "{list}");
    for closed in ["vault-1", "bastion"] {
        let login = format!("ec2-user@{closed}");
        let refused = demo.ssh(&["-l", &login, "bastion", "true"]).ended_with(255).err();
        assert!(refused.contains(&format!("no target \"{closed}\"")), "{refused}");
    }
}

/// Permissions come and go while the demo runs.
#[test]
fn a_permission_that_is_taken_away_is_missed_until_it_is_back() {
    let demo = Demo::start();
    demo.ssh(&["web-1", "true"]).ended_with(0);
    demo.deny("ec2-instance-connect:SendSSHPublicKey");
    demo.ssh(&["web-1", "true"]).ended_with(255).with_a_sentence();
    std::fs::remove_file(demo.dir.join("denied-actions")).expect("ours");
    demo.ssh(&["web-1", "true"]).ended_with(0);
}

/// The failing `ssh` itself says which rule is missing, and what to add where.
#[test]

fn locked_1_says_which_rule_its_security_group_lacks() {
    let demo = Demo::start();
    for host in ["locked-1", "locked-1.direct"] {
        let told = demo.ssh(&[host, "true"]).ended_with(255).err();
        assert!(told.contains(LOCKED_GROUP), "{host}: {told}");
        assert!(told.contains("Add an inbound rule"), "{host}: {told}");
        assert!(told.contains("doctor locked-1"), "{host}: how to see the rest: {told}");
    }
}

#[test]

fn bare_1_says_that_its_image_lacks_the_agent() {
    let demo = Demo::start();
    for host in ["bare-1", "bare-1.direct"] {
        let told = demo.ssh(&[host, "true"]).ended_with(255).err();
        assert!(told.contains("debian-12-arm64-20251112-2294"), "{host}: {told}");
        assert!(told.contains("agent"), "{host}: {told}");
    }
}

/// The whole checklist: one ✗ and what to change where something is wrong, none where nothing is.
#[test]

fn the_checklist_finds_what_is_wrong_and_nothing_where_all_is_well() {
    let demo = Demo::start();
    let locked = demo.ssh(&["bastion", "doctor", "locked-1"]).ended_with(1).out();
    let broken: Vec<_> = locked.lines().filter(|line| line.contains('✗')).collect();
    assert!(broken.iter().any(|line| line.contains(LOCKED_GROUP)), "{locked}");
    assert!(locked.contains("Add an inbound rule") && locked.contains('✓'), "{locked}");
    let bare = demo.ssh(&["bastion", "doctor", "bare-1"]).ended_with(1).out();
    assert!(bare.lines().any(|line| line.contains('✗') && line.contains("agent")), "{bare}");
    let web = demo.ssh(&["bastion", "doctor", "web-1"]).ended_with(0).out();
    assert!(web.contains('✓') && !web.contains('✗'), "{web}");
    let old = demo.ssh(&["bastion", "doctor", "old-1"]).ended_with(1).out();
    let cause = old.lines().find(|line| line.contains('✗')).unwrap_or_default();
    assert!(cause.contains("stopped"), "{old}");
}

/// What could not be asked is named with the permission that is missing, and nothing is guessed.
#[test]

fn the_checklist_names_the_permission_that_keeps_it_from_knowing() {
    let demo = Demo::start();
    demo.deny("ec2:DescribeNetworkAcls");
    let web = demo.ssh(&["bastion", "doctor", "web-1"]).ended_with(0).out();
    let unknown: Vec<_> = web.lines().filter(|line| line.starts_with('?') || line.contains(" ? ")).collect();
    assert!(!unknown.is_empty() && web.contains("ec2:DescribeNetworkAcls"), "{web}");
    assert!(!web.contains('✗'), "{web}");
}

fn files_go_both_ways(demo: &Demo, host: &str) {
    let folder = demo.dir.parent().expect("it has one");
    let contents = noise(1 << 20, 21);
    let at = |name: &str| folder.join(format!("{name}-{host}"));
    let (source, there, back) = (at("source"), at("there"), at("back"));
    std::fs::write(&source, &contents).expect("our own folder");
    let (source, remote, local) =
        (source.display().to_string(), format!("{host}:{}", there.display()), back.display().to_string());
    let config = demo.config();
    let shell = format!("ssh -F {config}");
    let rounds: [(&str, Vec<&str>, Vec<&str>); 2] = [
        ("scp", vec!["-q", "-F", &config, &source, &remote], vec!["-q", "-F", &config, &remote, &local]),
        ("rsync", vec!["-a", "-e", &shell, &source, &remote], vec!["-a", "-e", &shell, &remote, &local]),
    ];
    for (program, up, down) in rounds {
        demo.run(program, &up, b"").ended_with(0);
        demo.run(program, &down, b"").ended_with(0);
        same_and_gone(Path::new(&local), &there, &contents, &format!("{program} {host}"));
    }
    let batch = format!("put {source} {0}\nget {0} {local}\n", there.display());
    demo.run("sftp", &["-q", "-F", &config, "-b", "-", host], batch.as_bytes()).ended_with(0);
    same_and_gone(Path::new(&local), &there, &contents, &format!("sftp {host}"));
}

#[track_caller]
fn same_and_gone(back: &Path, there: &Path, contents: &[u8], what: &str) {
    assert!(std::fs::read(back).expect("it came back") == contents, "{what}: the contents differ");
    for file in [back, there] {
        std::fs::remove_file(file).expect("our own folder");
    }
}

/// Sends the signal and demands a clean end: exit code 0, no process and no listener left.
#[track_caller]
fn ends_on(demo: &Demo, signal: Signal) {
    let mut session = Command::new("ssh");
    session.args(["-F", &demo.config(), "web-1", "echo there; exec sleep 600"]);
    let session = start(&mut session);
    wait_for("the session's program", PATIENCE, || sleepers(demo) > 0);
    let below = Supervisor::get().descendants(demo.daemon.pid);
    demo.daemon.signal(signal);
    assert_eq!(demo.daemon.wait(Duration::from_secs(20)), 0, "{}", demo.daemon.log_tail());
    wait_for("the processes of the demo to be gone", Duration::from_secs(10), || {
        below.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    });
    assert!(!greets(demo.port), "something still listens");
    finish(session, Vec::new(), Duration::from_secs(20)).failed();
}

/// How many of the demo's processes are that `sleep 600`.
fn sleepers(demo: &Demo) -> usize {
    let below = Supervisor::get().descendants(demo.daemon.pid);
    let lines = below.iter().filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
    lines.filter(|line| line.starts_with(b"sleep\x00600")).count()
}

/// As a newcomer would, whose ssh has a key and knows nothing else.
#[test]
fn the_ssh_config_of_the_bastion_is_all_that_a_newcomer_needs() {
    let demo = Demo::start();
    let folder = demo.dir.parent().expect("it has one");
    let block = demo.ssh(&["bastion", "ssh-config"]).ended_with(0).out();
    let mine = format!(
        "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n  \
         StrictHostKeyChecking yes\n  UserKnownHostsFile none\n  GlobalKnownHostsFile none",
        demo.dir.join("id_ed25519").display()
    );
    let cfg = folder.join("cfg");
    std::fs::write(&cfg, mine + &block).expect("our own folder");
    let cfg = cfg.display().to_string();
    let done = demo.run("ssh", &["-F", &cfg, "web-1", "echo $DRAWBRIDGE_DEMO_INSTANCE"], b"").ended_with(0);
    assert_eq!((done.out().as_str(), done.err().as_str()), ("web-1\n", ""));

    let (source, there) = (folder.join("f"), folder.join("f-there"));
    std::fs::write(&source, b"a file").expect("our own folder");
    let remote = format!("web-1:{}", there.display());
    demo.run("scp", &["-q", "-F", &cfg, &source.display().to_string(), &remote], b"").ended_with(0);
    assert_eq!(std::fs::read(&there).expect("it came"), b"a file");

    let (repo, clone) = (folder.join("repo"), folder.join("clone").display().to_string());
    let at = repo.display().to_string();
    demo.run("git", &["init", "-q", &at], b"").ended_with(0);
    std::fs::write(repo.join("README"), b"from the instance").expect("our own folder");
    demo.run("git", &["-C", &at, "add", "README"], b"").ended_with(0);
    let me = ["-c", "user.name=demo", "-c", "user.email=demo@example.com"];
    let commit = ["-C", &at, "commit", "-q", "-m", "first"];
    demo.run("git", &[&me[..], &commit].concat(), b"").ended_with(0);
    let over = format!("core.sshCommand=ssh -F '{cfg}'");
    demo.run("git", &["-c", &over, "clone", "-q", &format!("web-1:{at}"), &clone], b"").ended_with(0);
    let cloned = std::fs::read(Path::new(&clone).join("README")).expect("it came");
    assert_eq!(cloned, b"from the instance");
}

#[test]
fn control_c_ends_it_as_well() {
    let demo = Demo::start();
    demo.ssh(&["web-1", "true"]).ended_with(0);
    ends_on(&demo, Signal::INT);
}

#[test]
fn without_a_directory_it_makes_one_and_names_it() {
    let folder = Supervisor::get().new_folder();
    let port = Supervisor::get().free_port("127.0.0.1");
    let argv = vec!["demo".to_owned(), "--listen".to_owned(), format!("127.0.0.1:{port}")];
    let env = BTreeMap::from([("TMPDIR".to_owned(), folder.path().display().to_string())]);
    let demo = Daemon::spawn(&Start { argv, env, log: folder.path().join("log"), port });
    wait_for("the demo to print `ready`", PATIENCE, || {
        assert!(demo.ended().is_none(), "the demo has ended:\n{}", demo.log_tail());
        demo.log().lines().any(|line| line.trim() == "ready")
    });
    let made = std::fs::read_dir(folder.path()).expect("our own folder").flatten();
    let made =
        made.map(|entry| entry.path()).find(|path| path.join("ssh_config").exists()).expect("a directory");
    assert!(demo.log().contains(&made.display().to_string()), "{}", demo.log());
}
