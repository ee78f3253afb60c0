//! Where policy grants `tunnel` and no shell, the SSH connection to the target is the client's own, end to end.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Lab, Supervisor, UserEntry, Way, certify, fingerprint, finish, named, new_key, new_key_of, of_session,
    start, wait_for,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Pass-through for that login, and nothing else.
fn tunnel_as(login: &str) -> String {
    format!(
        r#"@id("through") permit(principal in Group::"eng", action == Action::"tunnel", resource)
           when {{ context.login == "{login}" }};"#
    )
}

fn tunnel() -> String {
    tunnel_as(&Supervisor::get().login)
}

/// The option that makes a client know the bastion by its CA, and the target by the target's own host key alone.
fn knowing_the_target(lab: &Lab, target: &str) -> String {
    let bastion = std::fs::read_to_string(lab.dir().join("known_hosts")).expect("the lab wrote it");
    let (marker, rest) = bastion.split_once(' ').expect("@cert-authority, names, key");
    let (_names, key) = rest.split_once(' ').expect("names, key");
    let file = lab.dir().join("known_hosts.end_to_end");
    let text = format!("{marker} bastion {key}\n{target} {}\n", lab.instance(target).host_key());
    std::fs::write(&file, text).expect("our own folder");
    format!("UserKnownHostsFile {}", file.display())
}

/// The option that says a login behind the user's name for drawbridge.
fn as_login(user: &str, login: &str) -> String {
    format!("Host bastion\n  User {user}+{login}")
}

fn public_line(lab: &Lab, user: &str) -> String {
    std::fs::read_to_string(lab.dir().join(format!("key_{user}.pub"))).expect("the lab made it")
}

#[test]
fn commands_and_files_pass_through_end_to_end() {
    let lab = Lab::with().instance("web-1").policy(&tunnel()).start();
    let client = lab.client(Way::Jump, "web-1").option(&knowing_the_target(&lab, "web-1"));
    let done = client.clone().input("to the end").run("cat; echo err >&2; exit 7").ended_with(7);
    assert_eq!((done.out().as_str(), done.err().as_str()), ("to the end", "err\n"));

    let (file, copy) = (lab.dir().join("file"), lab.scratch().join("copy"));
    std::fs::write(&file, crate::support::noise(1_000_000, 3)).expect("our own folder");
    let to = format!("{}:{}", client.host(), copy.display());
    client.tool("scp", &[&file.display().to_string(), &to]).ended_with(0);
    assert_eq!(std::fs::read(&copy).expect("copied"), std::fs::read(&file).expect("ours"));

    wait_for("both sessions to end", PATIENCE, || named(&lab.audit(), "session-ended").len() == 2);
    let trail = lab.audit();
    let started = named(&trail, "session-started")[0];
    assert_eq!((&started["way"], &started["content"]), (&json!("pass-through"), &json!("not-seen")));
    assert_eq!((&started["user"], &started["login"]), (&json!("alice"), &json!(Supervisor::get().login)));
    let session = started["session"].as_str().expect("an id");
    let story = of_session(&trail, session);
    let names: Vec<&Value> = story.iter().map(|event| &event["event"]).collect();
    assert_eq!(names, ["decision", "key-pushed", "session-started", "session-ended"]);
    let (decision, pushed, ended) = (story[0], story[1], story[3]);
    assert_eq!((&decision["action"], &decision["rules"]), (&json!("tunnel"), &json!(["through"])));
    let key = fingerprint(&public_line(&lab, "alice"));
    assert_eq!(pushed["key_fingerprint"], key);
    assert!(lab.pushes().iter().any(|push| push["request_id"] == pushed["request_id"]));
    let runs = lab.instance("web-1").agent_runs();
    assert!(runs.iter().all(|run| run.ends_with(&key)), "{runs:?}");
    // Which end is first to hang up is theirs to say.
    assert!([json!("finished"), json!("client-left")].contains(&ended["ending"]), "{ended}");
    assert!(ended["bytes_to_target"].as_u64() > Some(1000) && ended["bytes_to_client"].as_u64() > Some(1000));
}

/// A visit is recorded and can be limited in what is done: where both are granted, it is what a jump is.
#[test]
fn whoever_may_have_a_shell_is_not_passed_through() {
    let lab = Lab::with().instance("web-1").start();
    lab.client(Way::Jump, "web-1").run("true").ended_with(0);
    let started = lab.audited("session-started", |_| true);
    assert_eq!((&started["way"], &started["content"]), (&json!("jump"), &Value::Null));
}

#[test]
fn an_rsa_key_is_passed_through_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("rsa");
    let line = new_key_of(&key, &["-t", "rsa", "-b", "2048"]);
    let rachel =
        UserEntry { name: "rachel".into(), groups: vec!["eng".into()], keys: vec![line], principals: vec![] };
    let lab = Lab::with().instance("web-1").user_entry(rachel).policy(&tunnel()).start();
    let client = lab.client(Way::Jump, "web-1").user("rachel").key(key);
    client.option(&knowing_the_target(&lab, "web-1")).run("exit 3").ended_with(3);
}

#[test]
fn a_key_that_instance_connect_does_not_take_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ecdsa, ca) = (folder.path().join("ecdsa"), folder.path().join("ca"));
    let line = new_key_of(&ecdsa, &["-t", "ecdsa"]);
    let ca_line = new_key(&ca);
    let certified = folder.path().join("certified");
    new_key(&certified);
    certify(&ca, &certified, "id", "carol", &[]);
    let entry = |name: &str, keys: Vec<String>| UserEntry {
        name: name.to_owned(),
        groups: vec!["eng".to_owned()],
        keys,
        principals: vec![name.to_owned()],
    };
    let lab = Lab::with()
        .instance("web-1")
        .user_entry(entry("eve", vec![line]))
        .user_entry(entry("carol", vec![]))
        .file("ca.pub", ca_line.into_bytes())
        .config("identity", "trusted_user_ca_keys", "[\"ca.pub\"]")
        .policy(&tunnel())
        .start();
    for (user, key, kind) in [("eve", ecdsa, "is an ECDSA key"), ("carol", certified, "is a certificate")] {
        let told = lab.client(Way::Jump, "web-1").user(user).key(key).run("true").ended_with(255);
        let told = told.with_a_sentence().err();
        for part in [kind, "Ed25519", "ssh -i", "ssh-keygen -t ed25519"] {
            assert!(told.contains(part), "{user}: no {part:?} in {told}");
        }
    }
    assert!(lab.pushes().is_empty());
    assert!(named(&lab.audit(), "session-started").is_empty());
}

#[test]
fn of_several_logins_one_is_said_behind_the_user_s_name() {
    let login = &Supervisor::get().login;
    let policy = format!(
        r#"permit(principal in Group::"eng", action == Action::"tunnel", resource)
           when {{ ["{login}", "deploy"].contains(context.login) }};"#
    );
    let lab = Lab::with().instance("web-1").policy(&policy).start();
    let client = lab.client(Way::Jump, "web-1");
    let told = client.run("true").ended_with(255).with_a_sentence().err();
    assert!(told.contains(login) && told.contains("deploy") && told.contains("alice+"), "{told}");

    let client = client.option(&knowing_the_target(&lab, "web-1"));
    client.clone().option(&as_login("alice", login)).run("exit 4").ended_with(4);
    assert_eq!(lab.audited("session-started", |_| true)["login"], json!(login));

    let refusing = lab.client(Way::Jump, "web-1").option(&as_login("alice", "root"));
    let told = refusing.run("true").ended_with(255).with_a_sentence().err();
    assert!(told.contains("\"root\""), "{told}");
    let refused = lab.audited("decision", |event| event["outcome"] == "refuse");
    assert_eq!((&refused["action"], &refused["login"]), (&json!("tunnel"), &json!("root")));
    assert_eq!(lab.pushes().len(), 1);
}

#[test]
fn where_any_login_will_do_one_has_to_be_said_or_the_image_says_it() {
    let policy = r#"permit(principal, action == Action::"tunnel", resource);"#;
    let lab = Lab::with().instance("web-1").policy(policy).start();
    let client = lab.client(Way::Jump, "web-1").option(&knowing_the_target(&lab, "web-1"));
    let login = Supervisor::get().login.clone();
    client.option(&as_login("alice", &login)).run("exit 5").ended_with(5);
}

#[test]
fn a_target_that_is_not_there_is_said_not_to_be() {
    let lab = Lab::with().closed("web-1").policy(&tunnel()).start();
    let told = lab.client(Way::Jump, "web-1").run("true").ended_with(255).with_a_sentence();
    assert!(told.err().contains("nothing answers"), "{told:?}");
    lab.audited("upstream-failed", |event| event["reason"] == "connection-refused");
    assert!(named(&lab.audit(), "session-started").is_empty());
}

#[test]
fn the_longest_time_of_the_rule_ends_the_pipe_on_record() {
    let policy = format!("@max_session(\"2s\") {}", tunnel().replace("@id(\"through\") ", ""));
    let lab = Lab::with().instance("web-1").policy(&policy).start();
    let client = lab.client(Way::Jump, "web-1").option(&knowing_the_target(&lab, "web-1"));
    let done = client.run("sleep 1000").failed();
    assert!(done.took < Duration::from_secs(50), "{done:?}");
    let ended = lab.audited("session-ended", |_| true);
    assert_eq!(ended["ending"], "max-session");
}

/// What the bastion wrote, recorded and still has in memory holds nothing of what was said.
#[test]
fn a_known_plaintext_is_nowhere_in_what_the_bastion_has() {
    let lab = Lab::with().instance("web-1").policy(&tunnel()).start();
    let client = lab.client(Way::Jump, "web-1").option(&knowing_the_target(&lab, "web-1"));
    // It comes into being on the target and ends in this process.
    let spell = "printf '%s-%s-%s\\n' canary in-the-coal mine-5d1f; cat";
    let canary = ["canary", "in-the-coal", "mine-5d1f"].join("-");
    let mut running = client.start(&[spell]);
    running.expect(&canary);
    let in_memory = |what: &str| occurs_in_memory(lab.daemon.pid, what);
    if let Some(found) = in_memory(&canary) {
        assert!(!found, "the plaintext is in the daemon's memory");
        let known = lab.instance("web-1").id.clone();
        assert_eq!(in_memory(&known), Some(true), "the search finds nothing that is there either");
    }
    drop(running);
    lab.audited("session-ended", |_| true);
    let mut files = 0;
    each_file(lab.dir(), &mut |path, bytes| {
        files += 1;
        assert!(!occurs(bytes, &canary), "the plaintext is in {}", path.display());
    });
    assert!(files >= 5, "the audit, the log, the database and the config are files");
    let audit = std::fs::read(lab.dir().join("data/audit.jsonl")).expect("an audit trail");
    assert!(occurs(&audit, "not-seen"));
}

/// `grep` says it: a loop of ours would take minutes without optimisation.
fn occurs(hay: &[u8], needle: &str) -> bool {
    let mut grep = Command::new("grep");
    let found = finish(start(grep.args(["-caFe", needle])), hay.to_vec(), PATIENCE);
    assert!(!found.hung && matches!(found.code, Some(0 | 1)), "{found:?}");
    found.code == Some(0)
}

fn each_file(folder: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("our own folder") {
        let path = entry.expect("our own folder").path();
        if path.is_dir() {
            each_file(&path, look);
        } else if path.is_file() {
            look(&path, &std::fs::read(&path).expect("our own file"));
        }
    }
}

/// Whether a process has those bytes in memory that it can write to; nothing where the system does not show it.
fn occurs_in_memory(pid: u64, needle: &str) -> Option<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let (mut all, nothing) = (Vec::new(), vec![0_u8; 64 * 1024]);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        // An allocator reserves far more than it uses: what holds nothing but zeros is passed over.
        let mut piece = vec![0; 64 * 1024];
        for at in (start..end).step_by(piece.len()) {
            let length = usize::try_from(end - at).ok()?.min(piece.len());
            let piece = &mut piece[..length];
            // A region can go while it is read.
            let read = memory.seek(SeekFrom::Start(at)).is_ok() && memory.read_exact(piece).is_ok();
            if read && piece != &nothing[..length] {
                all.extend_from_slice(piece);
            }
        }
    }
    Some(occurs(&all, needle))
}
