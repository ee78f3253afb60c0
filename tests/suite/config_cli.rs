//! What an operator does before anybody connects: every mistake at once, each with its place.

use std::net::TcpListener;

use crate::support::{Finished, Lab, Prepared, Way, run_drawbridge};

/// The exit code of `serve` with a broken configuration (`EX_CONFIG`).
const BROKEN: i32 = 78;

fn run(prepared: &Prepared, args: &[&str], more: &[(&str, &str)]) -> Finished {
    let environment = prepared.environment();
    let mut env: Vec<(&str, &str)> =
        environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    env.extend(more);
    let config = prepared.config_file().display().to_string();
    let args: Vec<&str> = args.iter().copied().chain(["--config", &config]).collect();
    run_drawbridge(&args, &env)
}

fn everything(done: &Finished) -> String {
    format!("{}{}", done.out(), done.err())
}

/// Both commands must say all of that: `check` because it was asked, `serve` because it cannot start.
#[track_caller]
fn refuse(prepared: &Prepared, wanted: &[&str]) {
    for (command, code) in [("check", 1), ("serve", BROKEN)] {
        let done = run(prepared, &[command], &[]);
        assert!(!done.hung, "{command} did not end: {}", everything(&done));
        assert_eq!(done.code, Some(code), "{command}: {}", everything(&done));
        for text in wanted {
            assert!(
                everything(&done).contains(text),
                "{command} does not say {text:?}:\n{}",
                everything(&done)
            );
        }
    }
}

#[test]
fn a_good_configuration_is_good() {
    let prepared = Lab::with().prepare();
    run(&prepared, &["check"], &[]).ended_with(0);
}

#[test]
fn all_mistakes_are_listed_at_once_with_their_places() {
    let prepared = Lab::with()
        .config("server", "lisen", "\"127.0.0.1:1\"")
        .config("server", "login_grace", "\"a while\"")
        .config("upstream", "host_keys", "\"whatever\"")
        .config("identity", "revoked_keys", "[\"no-such-list.krl\"]")
        .prepare();
    let text = std::fs::read_to_string(prepared.config_file()).expect("written");
    let place = |key: &str| {
        let line = text.lines().position(|line| line.starts_with(key)).expect("it is there") + 1;
        format!("drawbridge.toml:{line}")
    };
    let places = ["lisen", "login_grace", "host_keys", "revoked_keys"].map(place);
    let mut wanted: Vec<&str> = places.iter().map(String::as_str).collect();
    wanted.extend(["lisen", "a while", "whatever", "no-such-list.krl", "hint"]);
    refuse(&prepared, &wanted);
}

#[test]
fn a_file_that_is_not_toml_is_said_to_be_none() {
    let prepared = Lab::with().prepare();
    std::fs::write(prepared.config_file(), "<config><server/></config>\n").expect("our own folder");
    refuse(&prepared, &["drawbridge.toml:1"]);
}

#[test]
fn a_missing_file_is_named() {
    let done = run_drawbridge(&["serve", "--config", "/no/such/drawbridge.toml"], &[]);
    assert_eq!(done.code, Some(BROKEN), "{}", everything(&done));
    assert!(done.err().contains("/no/such/drawbridge.toml"), "{}", done.err());
}

#[test]
fn a_mistake_in_the_policy_has_line_and_column() {
    let policy = "permit(principal, action, resource)\nwhen { resource.nmae == \"web-1\" };\n";
    let prepared = Lab::with().policy(policy).prepare();
    refuse(&prepared, &["policy.cedar:2:", "nmae"]);
}

#[test]
fn a_policy_that_is_not_cedar_has_line_and_column() {
    let prepared = Lab::with().policy("permit(principal, action, resource);\nallow everyone\n").prepare();
    refuse(&prepared, &["policy.cedar:2:"]);
}

#[test]
fn a_key_cut_short_in_the_users_file_has_a_line() {
    let prepared = Lab::with().prepare();
    let users =
        "[users.alice]\ngroups = []\nauthorized_keys = [\n  \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI\",\n]\n";
    std::fs::write(prepared.dir().join("users.toml"), users).expect("our own folder");
    refuse(&prepared, &["users.toml:4", "alice"]);
}

#[test]
fn a_host_key_that_is_none_is_named() {
    let prepared = Lab::with().config("server", "host_key", "\"../host_key\"").prepare();
    let path = prepared.dir().join("host_key");
    std::fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\nnot a key\n").expect("our own folder");
    let serve = run(&prepared, &["serve"], &[]).failed();
    assert!(everything(&serve).contains("host_key"), "{}", everything(&serve));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let prepared = Lab::with().config("server", "listen", &format!("[\"{address}\"]")).prepare();
    let done = run(&prepared, &["serve"], &[]).failed();
    assert!(everything(&done).contains(&address), "{}", everything(&done));
}

#[test]
fn variables_and_flags_win_over_the_file() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let prepared = Lab::with().prepare();
    let by_variable = run(&prepared, &["serve"], &[("DRAWBRIDGE__SERVER__LISTEN", &address)]);
    assert!(by_variable.code != Some(0) && everything(&by_variable).contains(&address), "{by_variable:?}");
    let by_flag = run(&prepared, &["serve", "--listen", &address], &[]);
    assert!(by_flag.code != Some(0) && everything(&by_flag).contains(&address), "{by_flag:?}");
    let unknown = run(&prepared, &["check"], &[("DRAWBRIDGE__SERVER__LISEN", "x")]);
    assert_eq!(unknown.code, Some(1), "{}", everything(&unknown));
}

#[test]
fn an_audit_that_cannot_be_written_keeps_the_daemon_from_starting() {
    let prepared = Lab::with().config("audit", "journal", "\"/dev/full\"").prepare();
    let done = run(&prepared, &["serve"], &[]).failed();
    assert!(everything(&done).contains("/dev/full"), "{}", everything(&done));
}

#[test]
fn a_broken_new_policy_is_refused_and_the_old_one_stays() {
    let lab = Lab::with().instance("web-1").start();
    std::fs::write(lab.dir().join("policy.cedar"), "permit(principal").expect("our own folder");
    lab.daemon.signal(rustix::process::Signal::HUP);
    lab.audited("reload-refused", |event| event["what"] == "policy");
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    std::fs::write(lab.dir().join("policy.cedar"), "forbid(principal, action, resource);")
        .expect("our own folder");
    lab.daemon.signal(rustix::process::Signal::HUP);
    lab.audited("reloaded", |event| event["what"] == "policy");
    lab.client(Way::Direct, "web-1").run("true").ended_with(255);
}

#[test]
fn policy_explain_says_which_rule() {
    let policy = r#"
@id("eng-web") permit(principal in Group::"eng", action, resource) when { resource has name && resource.name like "web-*" };
@id("never-vault") forbid(principal, action, resource) when { resource has name && resource.name == "vault-1" };
"#;
    let prepared = Lab::with().closed("web-1").closed("vault-1").policy(policy).prepare();
    let ask = |target: &str| {
        let args = [
            "policy", "explain", "--user", "alice", "--target", target, "--login", "ubuntu", "--action",
            "shell",
        ];
        everything(&run(&prepared, &args, &[]))
    };
    assert!(ask("web-1").contains("eng-web"), "{}", ask("web-1"));
    assert!(ask("vault-1").contains("never-vault"), "{}", ask("vault-1"));
}
