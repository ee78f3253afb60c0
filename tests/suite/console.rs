//! `ssh bastion …`: what the bastion itself answers, and how it carries people on from there.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, Finished, Lab, Supervisor, Way, finish, named, run_drawbridge, start};

/// Generous: the machine may be busy.
const SOON: Duration = Duration::from_secs(60);

fn policy() -> String {
    let login = &Supervisor::get().login;
    format!(
        r#"
@id("web") @description("Engineers work on web machines.") @login("{login}, nobody-else")
permit(principal in Group::"eng", action, resource)
when {{ resource has name && resource.name like "*web*" && resource.name != "web-only" }};

@id("one-login")
permit(principal in Group::"eng", action, resource)
when {{ resource has name && ["web-only", "targets"].contains(resource.name) && context.login == "{login}" }};

@id("no-reboots") @description("Nobody reboots.")
forbid(principal, action == Action::"exec", resource) when {{ context.command == "reboot" }};
"#
    )
}

/// One lab for all of this file: nothing here changes it.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let login = &Supervisor::get().login;
        let builder = Lab::with().policy(&policy());
        let builder = builder.instance("web-1").tag("drawbridge:login", login).tag("env", "dev\u{202e}");
        let builder = builder.instance("only").tag("Name", "web-only");
        let builder = builder.instance("first").tag("Name", "web-twin");
        let builder = builder.instance("second").tag("Name", "web-twin");
        let builder = builder.instance("targets").tag("Name", "targets");
        let builder = builder.stopped("old-web").instance("vault-1");
        let hostile = builder.stopped("hostile").tag("Name", "web-* \"ProxyCommand touch owned\" %h !x");
        hostile.start()
    })
}

/// A client of the bastion itself.
fn bastion() -> Client<'static> {
    lab().client(Way::Jump, "bastion")
}

fn on_record(command: &str) -> Value {
    lab().audited("console-command", |event| event["command"] == command)
}

#[test]
fn whoami_tells_and_is_on_record() {
    let done = bastion().run("whoami").ended_with(0);
    assert!(done.out().starts_with("user         alice\ngroups       eng\nkey          ssh-ed25519 SHA256:"));
    assert_eq!(done.err(), "");
    let event = on_record("whoami");
    assert_eq!((&event["user"], &event["exit_status"]), (&"alice".into(), &0.into()), "{event}");
    let json = bastion().run("whoami --json").ended_with(0).out();
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["user"], &json["client_addr"]), (&"alice".into(), &"127.0.0.1".into()));
}

#[test]
fn targets_lists_what_is_for_you_and_nothing_else() {
    let out = bastion().run("targets").ended_with(0).out();
    assert!(out.contains("web-1 ") && out.contains(&lab().instance("web-1").id), "{out}");
    assert!(out.contains("\n7 targets\n") && out.contains("old-web") && !out.contains("vault"), "{out}");
    assert!(!out.contains("\u{202e}") && out.lines().count() == 10, "{out}");
    let narrowed = bastion().run("targets state=running name-of-none").ended_with(1);
    assert!(narrowed.out().starts_with("0 targets\n"), "{narrowed:?}");
    let narrowed = narrowed.with_a_sentence();
    assert!(narrowed.err().starts_with("drawbridge: "), "{narrowed:?}");
    let json = bastion().run("targets --json WEB-1").ended_with(0).out();
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["targets"][0]["id"], lab().instance("web-1").id);
    assert_eq!(json["targets"][0]["tags"]["env"], "dev\u{202e}");
    assert_eq!(json["targets"].as_array().map(Vec::len), Some(1));
}

#[test]
fn explain_says_yes_or_no_and_why() {
    let yes = bastion().run("explain web-1").ended_with(0).out();
    assert!(yes.contains("permitted by web: Engineers work on web machines.\n"), "{yes}");
    let no = bastion().run("explain web-1 --command reboot").ended_with(1).out();
    assert!(no.contains("forbidden by no-reboots: Nobody reboots.\n"), "{no}");
    assert_eq!(on_record("explain web-1 --command reboot")["exit_status"], 1);
    let forbidden = bastion().run("explain vault-1").ended_with(1);
    let unknown = bastion().run("explain no-such").ended_with(1);
    assert_eq!(forbidden.err().replace("vault-1", "X"), unknown.err().replace("no-such", "X"));
    assert!(forbidden.stdout.is_empty() && unknown.stdout.is_empty());
}

#[test]
fn a_bad_command_line_is_told_what_would_be_a_good_one() {
    for line in ["targets --jsn", "explain", "targets colour=blue", "whoami 'x"] {
        let done = bastion().run(line).ended_with(2);
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{line}: {done:?}");
        assert_eq!(on_record(line)["exit_status"], 2);
    }
}

#[test]
fn without_a_terminal_and_a_command_there_is_help_and_failure() {
    let help = bastion().run("help").ended_with(0).out();
    let done = bastion().run_without_command().ended_with(1);
    assert_eq!((done.out(), done.err()), (help, String::new()));
    on_record("");
    let files = bastion().input("ls\n").tool("sftp", &["-b", "-", "bastion"]).failed();
    assert!(files.err().contains("the bastion itself keeps no files"), "{files:?}");
}

#[test]
fn on_a_terminal_lines_begin_at_the_left() {
    let terminal = bastion().terminal(&["targets", "web-only"], 24, 80);
    let (code, printed) = terminal.finish(SOON);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("ACTIONS\r\nweb-only"), "{printed:?}");
    assert!(!printed.replace("\r\n", "").contains('\n'), "{printed:?}");
}

#[test]
fn the_local_command_line_gives_the_very_same_answers() {
    let environment = lab().environment();
    let env: Vec<(&str, &str)> = environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let config = lab().config_file().display().to_string();
    let port = format!("127.0.0.1:{}", lab().port());
    for (command, code) in [
        (vec!["whoami"], 0),
        (vec!["targets", "web"], 0),
        (vec!["targets", "nothing"], 1),
        (vec!["explain", "web-1", "--action", "sftp"], 0),
        (vec!["explain", "vault-1"], 1),
        (vec!["ssh-config", "--name", &port], 0),
    ] {
        let remote = bastion().run(&command.join(" ")).ended_with(code);
        let by = ["--config", &config, "--user", "alice", "--from", "127.0.0.1"];
        let local = run_drawbridge(&[&command[..], &by].concat(), &env).ended_with(code);
        let timeless = |done: &Finished| {
            let text = format!("{}{}", done.out(), done.err());
            text.lines()
                .filter(|line| !line.contains("as of"))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        assert_eq!(timeless(&remote), timeless(&local), "{command:?}");
    }
}

#[test]
fn a_word_that_is_no_command_is_a_target() {
    let done = bastion().run("web-only echo 'a  b'; exit 7").ended_with(7);
    assert_eq!(done.out(), "a  b\n");
    let session = lab().audited("session-started", |event| {
        event["way"] == "console" && event["target"]["name"] == "web-only"
    });
    lab().audited("session-ended", |event| event["session"] == session["session"]);
    let shell = bastion().input("echo $((6*7))\n").run("web-only").ended_with(0);
    assert_eq!(shell.out(), "42\n");
    let login = &Supervisor::get().login;
    bastion().run(&format!("{login}@web-1 true")).ended_with(0);
    let terminal = bastion().terminal(&["web-only", "tty; stty size"], 33, 99);
    let (code, printed) = terminal.finish(SOON);
    assert!(code == Some(0) && printed.contains("/dev/pts/") && printed.contains("33 99"), "{printed:?}");
    let unknown = bastion().run("tragets --json").ended_with(255).err();
    assert!(
        unknown.contains("there is no target \"tragets\"") && unknown.contains("ssh BASTION help"),
        "{unknown}"
    );
}

#[test]
fn what_is_a_command_and_a_target_is_a_command() {
    let out = bastion().run("targets").ended_with(0).out();
    assert!(out.starts_with("NAME "), "{out}");
}

/// By both ways on which nobody need name a login.
fn unnamed(command: &[&str]) -> [(Client<'static>, Vec<String>); 2] {
    let words = |first: &[&str]| first.iter().chain(command).map(|word| (*word).to_owned()).collect();
    [(lab().client(Way::Direct, "web-1").login(""), words(&[])), (bastion(), words(&["web-1"]))]
}

#[test]
fn several_logins_are_asked_about_on_a_terminal() {
    let login = &Supervisor::get().login;
    for (client, words) in unnamed(&["id -un; tty"]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for answer in ["\r", "1\r", "7\r"] {
            let mut terminal = client.terminal(&words, 24, 80);
            let asked = terminal.expect("Which one? [1] ", SOON);
            assert!(asked.contains(&format!("  1) {login}\r\n  2) nobody-else\r\n")), "{asked:?}");
            terminal.type_in(answer);
            if answer == "7\r" {
                terminal.expect("There is no number 7. Which one? [1] ", SOON);
                terminal.type_in("1\r");
            }
            let (code, printed) = terminal.finish(SOON);
            assert_eq!(code, Some(0), "{printed:?}");
            assert!(printed.contains(&format!("{login}\r\n/dev/pts/")), "{printed:?}");
        }
        for answer in ["q", "\x03", "\x04"] {
            let mut terminal = client.terminal(&words, 24, 80);
            terminal.expect("Which one? [1] ", SOON);
            terminal.type_in(answer);
            let (code, printed) = terminal.finish(SOON);
            assert_eq!(code, Some(255), "{printed:?}");
            assert!(printed.contains("no login was chosen"), "{printed:?}");
        }
        let mut terminal = client.terminal(&words, 24, 80);
        terminal.expect("Which one? [1] ", SOON);
        terminal.type_in("2\r");
        terminal.finish(SOON);
    }
    // Why that login is not let in is asked after it, which is a decision of its own.
    let chosen = |event: &Value| event["login"] == "nobody-else" && event["action"] != "diagnose";
    let chosen: Vec<Value> = lab().audit().into_iter().filter(chosen).collect();
    assert_eq!(named(&chosen, "decision").len(), 2, "{chosen:#?}");
}

#[test]
fn several_logins_are_named_without_a_terminal() {
    let login = &Supervisor::get().login;
    let wanted = format!("name one: ssh {login}@web-1@BASTION, or ssh nobody-else@web-1@BASTION.");
    for (client, words) in unnamed(&["id"]) {
        let done = client.run(&words.join(" ")).ended_with(255);
        assert!(done.stdout.is_empty() && done.err().contains(&wanted), "{done:?}");
    }
    let only = lab().client(Way::Direct, "web-only").login("");
    assert_eq!(only.run("id -un").ended_with(0).out().trim(), login, "where there is one, it is taken");
}

/// Every kind of name, by every way.
#[test]
fn a_name_means_the_same_by_every_way() {
    let lab = lab();
    let web = lab.instance("web-1");
    let reached = [
        "web-1".to_owned(),
        "WEB-1".to_owned(),
        web.id.clone(),
        web.dns.clone(),
        web.ip.clone(),
        "web-1.lab".to_owned(),
        "eu-west-1.web-1".to_owned(),
        format!("web-1.{}", lab.account()),
    ];
    for name in &reached {
        for answer in by_every_way(name) {
            assert_eq!(answer, Ok(web.ip.clone()), "{name}");
        }
        let explained = bastion().run(&format!("explain {name}")).ended_with(0).out();
        assert!(explained.contains(&web.id), "{name}: {explained}");
    }
    let (vault, long) = (&lab.instance("vault-1").id, "a".repeat(256));
    for name in ["web-twin", "old-web", "vault-1", "no-such", vault, &long, "web-1.eu-west-2"] {
        let mut answers = by_every_way(name);
        if name != "old-web" {
            answers.push(Err(sentence(&bastion().run(&format!("explain '{name}'")).ended_with(1))));
        }
        assert!(
            answers.iter().all(|answer| answer.is_err() && *answer == answers[0]),
            "{name}: {answers:#?}"
        );
    }
    let ambiguous = by_every_way("web-twin")[0].clone().expect_err("two");
    let ids = ["first", "second"].map(|name| &lab.instance(name).id);
    assert!(ids.iter().all(|id| ambiguous.contains(id.as_str())), "{ambiguous}");
}

/// The address of the machine that a name leads to, or what is said, by jump, direct and console.
fn by_every_way(name: &str) -> Vec<Result<String, String>> {
    let login = &Supervisor::get().login;
    let ask = "echo $SSH_CONNECTION";
    let jump = lab().client(Way::Jump, name).run(ask);
    let direct = lab().client(Way::Direct, name).run(ask);
    let console = bastion().run(&format!("{login}@{name} {ask}"));
    let answers = [jump, direct, console].into_iter().map(|done| match done.code {
        Some(0) => Ok(done.out().split(' ').nth(2).unwrap_or_default().to_owned()),
        _ => Err(sentence(&done)),
    });
    answers.collect()
}

/// What drawbridge said.
fn sentence(done: &Finished) -> String {
    let said = done.err();
    let line = said.lines().find_map(|line| line.trim_end().strip_prefix("drawbridge: "));
    line.unwrap_or_else(|| panic!("drawbridge said nothing: {done:?}")).to_owned()
}

#[test]
fn the_ssh_config_works_and_no_tag_gets_into_it() {
    let text = bastion().run("ssh-config").ended_with(0).out();
    assert!(text.contains("Host web-1 ") && !text.contains("Host vault"), "{text}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("ProxyCommand")), "{text}");
    let cfg = lab().dir().join("cfg");
    let mine = format!("Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n", lab().key("alice").display());
    std::fs::write(&cfg, format!("{mine}{STRANGER}{text}")).expect("our own folder");
    let cfg = cfg.display().to_string();
    let ssh = |args: &[&str]| {
        let mut command = Command::new("ssh");
        command.args(["-F", &cfg]).args(args).env_remove("SSH_AUTH_SOCK");
        finish(start(&mut command), Vec::new(), SOON)
    };
    let login = &Supervisor::get().login;
    for name in ["web-1", lab().instance("web-1").id.as_str(), lab().instance("first").id.as_str()] {
        assert_eq!(ssh(&[name, "id -un"]).ended_with(0).out().trim(), login, "{name}");
    }
    // The trust comes from the block alone.
    let text = std::fs::read_to_string(&cfg).expect("written");
    let without = text.lines().filter(|line| !line.contains("KnownHostsCommand /bin/echo"));
    std::fs::write(&cfg, without.collect::<Vec<_>>().join("\n")).expect("our own folder");
    let refused = ssh(&["web-1", "true"]).ended_with(255).err();
    assert!(refused.contains("Host key verification failed"), "{refused}");
}

/// As on a machine that has never seen the bastion, and asks nobody.
const STRANGER: &str = "  IdentityAgent none\n  BatchMode yes\n  StrictHostKeyChecking yes\n  \
    UserKnownHostsFile none\n  GlobalKnownHostsFile none\n";
