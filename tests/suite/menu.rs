//! `ssh bastion` under a terminal that somebody else wrote: what tmux shows is what a person would see.

use crate::support::{Lab, Supervisor, Tmux, Way, named};

/// Whoever asks is let in as the lab's login, and as no other.
fn policy() -> String {
    let login = &Supervisor::get().login;
    format!(
        r#"@id("everything") @login("{login}")
        permit(principal, action, resource) when {{ context.login == "{login}" }};"#
    )
}

fn lab() -> Lab {
    let builder = Lab::with().policy(&policy());
    builder
        .instance("web-1")
        .tag("env", "prod")
        .instance("web-2")
        .tag("env", "staging")
        .closed("db-1")
        .tag("env", "prod")
        .start()
}

/// A shell's line that opens the menu, and says how it ended.
fn ssh(lab: &Lab) -> String {
    let config = lab.client(Way::Direct, "nothing").option("SendEnv LANG").config();
    format!("echo before; ssh -F {config} -t bastion; echo left with $?; exec cat")
}

#[test]
fn filter_connect_exit_menu_on_every_terminal() {
    let lab = lab();
    for (round, term) in ["screen-256color", "xterm-256color", "linux"].into_iter().enumerate() {
        let tmux = Tmux::start(&lab, term, 80, 24, &ssh(&lab));
        tmux.expect("3 targets");
        tmux.types("env=stag");
        tmux.expect("1 of 3 targets");
        let menu = tmux.expect("> web-2");
        assert!(!menu.contains("web-1") && menu.contains("env=staging"), "{term}:\n{menu}");
        tmux.key("Enter");
        tmux.expect("connecting to web-2");
        // Typed before there is a shell to read it.
        tmux.types("echo $((40+2)) on $TERM; stty size");
        tmux.key("Enter");
        tmux.expect(&format!("42 on {term}"));
        let shell = tmux.expect("24 80");
        assert!(!shell.contains("Filter:"), "{term}:\n{shell}");
        tmux.types("printf '\\033[7;1mreverse\\033[?25l\\033(0'; exit 3");
        tmux.key("Enter");
        tmux.expect("Filter: env=stag_");
        tmux.expect("> web-2");
        tmux.key("C-c");
        let after = tmux.expect("left with 0");
        assert!(!after.contains("Filter:"), "{term}:\n{after}");
        assert_eq!(after.contains("before"), term != "linux", "{term}:\n{after}");
        assert!(tmux.cursor_is_shown(), "{term}");
        let trail = lab.audit();
        let started = named(&trail, "session-started");
        assert_eq!(started.len(), round + 1, "{term}");
        assert_eq!(started[round]["way"], "console");
        assert_eq!(named(&trail, "session-ended").len(), round + 1, "it ended before the menu came back");
        assert_eq!(named(&trail, "channel-ended")[round]["exit_status"], 3);
    }
}

#[test]
fn a_resize_is_followed_in_the_menu_and_by_the_session() {
    let lab = lab();
    let tmux = Tmux::start(&lab, "screen-256color", 80, 24, &ssh(&lab));
    tmux.expect("3 targets");
    tmux.resize(1, 1);
    tmux.resize(120, 30);
    tmux.expect("TAGS");
    tmux.expect(&"─".repeat(120));
    tmux.types("web-1");
    tmux.expect("1 of 3 targets");
    tmux.key("Enter");
    tmux.types("stty size; echo ready");
    tmux.key("Enter");
    tmux.expect("30 120");
    tmux.resize(70, 20);
    tmux.types("until [ \"$(stty size)\" = '20 70' ]; do sleep 0.1; done; exit");
    tmux.key("Enter");
    tmux.expect("Filter: web-1_");
    tmux.expect(&"─".repeat(70));
    tmux.key("C-d");
    tmux.expect("left with 0");
}

#[test]
fn a_paste_of_a_megabyte_and_a_terminal_of_one_cell_do_no_harm() {
    let lab = lab();
    let tmux = Tmux::start(&lab, "xterm-256color", 80, 24, &ssh(&lab));
    tmux.expect("3 targets");
    tmux.paste(&"web-1\n".repeat(180_000));
    tmux.expect("web-1 web-1");
    tmux.key("C-u");
    tmux.expect("Filter: _");
    tmux.resize(1, 1);
    tmux.types("db");
    tmux.resize(80, 24);
    tmux.expect("Filter: db_");
    assert!(named(&lab.audit(), "target-requested").is_empty(), "a paste opens nothing");
    tmux.key("F10");
    tmux.expect("left with 0");
}

#[test]
fn what_cannot_be_reached_is_a_sentence_in_the_menu() {
    let lab = lab();
    let tmux = Tmux::start(&lab, "screen-256color", 80, 24, &ssh(&lab));
    tmux.expect("3 targets");
    tmux.types("db-1");
    tmux.key("Enter");
    tmux.expect("db-1 is up but nothing answers on its port");
    tmux.expect("> db-1");
    lab.audited("upstream-failed", |event| event["reason"] == "connection-refused");
    tmux.key("C-c");
    tmux.expect("left with 0");
}

#[test]
fn of_several_logins_one_is_chosen() {
    let login = &Supervisor::get().login;
    let policy = format!(
        r#"@id("everything") @login("nobody-here, {login}")
        permit(principal, action, resource) when {{ ["nobody-here", "{login}"].contains(context.login) }};"#
    );
    let lab = Lab::with().instance("web-1").policy(&policy).start();
    let tmux = Tmux::start(&lab, "screen-256color", 80, 24, &ssh(&lab));
    tmux.expect("1 target");
    tmux.key("Enter");
    let menu = tmux.expect("Log in to web-1");
    assert!(menu.contains("> nobody-here"), "{menu}");
    tmux.key("Down");
    tmux.expect(&format!("> {login}"));
    tmux.key("Enter");
    tmux.types("echo I am $(id -un)");
    tmux.key("Enter");
    tmux.expect(&format!("I am {login}"));
    tmux.types("exit");
    tmux.key("Enter");
    tmux.expect("Filter: _");
    tmux.key("C-c");
    tmux.expect("left with 0");
}

#[test]
fn shutting_down_gives_the_terminal_back() {
    let lab =
        Lab::with().policy(&policy()).instance("web-1").config("server", "shutdown_grace", "\"1s\"").start();
    let tmux = Tmux::start(&lab, "screen-256color", 80, 24, &ssh(&lab));
    tmux.expect("1 target");
    lab.daemon.signal(rustix::process::Signal::TERM);
    let after = tmux.expect("left with 255");
    assert!(after.contains("before") && after.contains("shutting down"), "{after}");
}
