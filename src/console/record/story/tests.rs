//! Stories from lines.

use super::*;

const BEFORE: [&str; 2] = [
    r#"{"v":1,"time":"2026-01-02T03:04:04.000Z","event":"client-identified","connection":"c-1","client_version":"SSH-2.0-OpenSSH_10.0\u001b[2J"}"#,
    r#"{"v":1,"time":"2026-01-02T03:04:04.100Z","event":"authentication-succeeded","connection":"c-1","ssh_user":"alice","user":"alice","groups":["eng","on-call"],"method":"certificate","algorithm":"ssh-ed25519-cert-v01@openssh.com","fingerprint":"SHA256:key","certificate":{"key_id":"alice@laptop","serial":"7","ca":"SHA256:ca"}}"#,
];

const LINES: [&str; 22] = [
    r#"{"v":1,"time":"2026-01-02T03:04:05.000Z","event":"decision","session":"s-1","outcome":"permit","user":"alice","action":"shell","rules":["eng-web"],"limits":{"max_session_ms":28800000,"idle_ms":900000,"record":"best-effort","tell_watched":true}}"#,
    r#"{"v":1,"time":"2026-01-02T03:04:05.100Z","event":"key-pushed","session":"s-1","request_id":"4ad2-99","key_fingerprint":"SHA256:fresh"}"#,
    r#"{"v":1,"time":"2026-01-02T03:04:05.200Z","event":"upstream-connected","session":"s-1","target_address":"10.0.1.20:22","target_version":"SSH-2.0-OpenSSH_8.7","host_key_fingerprint":"SHA256:host","vouched_by":"pinned"}"#,
    r#"{"v":1,"time":"2026-01-02T03:04:05.300Z","event":"session-started","session":"s-1","user":"alice","client_addr":"203.0.113.7","client_port":50122,"way":"jump","login":"ec2-user","target":{"id":"i-0123456789abcdef0","name":"web-1","account":"123456789012","region":"eu-west-1","private_ip":"10.0.1.20"}}"#,
    r#"{"v":1,"time":"2026-01-02T03:04:05.400Z","event":"channel-started","session":"s-1","channel":1,"action":"shell","pty":{"term":"xterm-256color","columns":120,"rows":40},"record":"best-effort","recording":"r-1"}"#,
    r#"{"v":1,"time":"2026-01-02T03:05:00.000Z","event":"decision","session":"s-1","outcome":"permit","action":"exec","command":"uptime","rules":["eng-exec"]}"#,
    r#"{"v":1,"time":"2026-01-02T03:05:00.100Z","event":"channel-started","session":"s-1","channel":2,"action":"exec","command":"printf 'a\u001b]0;b\u0007\n'"}"#,
    r#"{"v":1,"time":"2026-01-02T03:05:01.000Z","event":"channel-ended","session":"s-1","channel":2,"exit_status":3,"bytes_to_target":0,"bytes_to_client":1536,"sha256_to_client":"ab12","bytes_stderr":12,"sha256_stderr":"cd34","ending":"finished","duration_ms":900}"#,
    r#"{"v":1,"time":"2026-01-02T03:06:00.000Z","event":"decision","session":"s-1","outcome":"refuse","action":"exec","command":"reboot","rules":["no-reboots"],"reason":"forbidden"}"#,
    r#"{"v":1,"time":"2026-01-02T03:06:01.000Z","event":"decision","session":"s-1","outcome":"refuse","action":"local-forward","destination":{"host":"db","port":5432},"rules":[],"reason":"no-rule-permits"}"#,
    r#"{"v":1,"time":"2026-01-02T03:07:00.000Z","event":"channel-started","session":"s-1","channel":3,"action":"sftp"}"#,
    r#"{"v":1,"time":"2026-01-02T03:07:01.000Z","event":"file-operation","session":"s-1","channel":3,"protocol":"sftp","operation":"write","path":"/tmp/new\nline\u202e.bin","bytes":1048576,"sha256":"30e1","result":"ok"}"#,
    r#"{"v":1,"time":"2026-01-02T03:07:02.000Z","event":"file-operation","session":"s-1","channel":3,"protocol":"sftp","operation":"rename","path":"/tmp/a","other_path":"/tmp/b","result":"permission-denied","detail":"no"}"#,
    r#"{"v":1,"time":"2026-01-02T03:07:03.000Z","event":"file-operation","session":"s-1","channel":3,"protocol":"sftp","operation":"read","path":"/tmp/c","bytes":10,"from":5,"out_of_order":true,"result":"ok"}"#,
    r#"{"v":1,"time":"2026-01-02T03:08:00.000Z","event":"forward-started","session":"s-1","channel":4,"user":"alice","action":"local-forward","destination":{"host":"localhost","port":5432},"originator":"127.0.0.1:5555"}"#,
    r#"{"v":1,"time":"2026-01-02T03:08:01.000Z","event":"forward-ended","session":"s-1","channel":4,"action":"local-forward","destination":{"host":"localhost","port":5432},"bytes_to_target":1,"bytes_to_client":2,"ending":"finished","duration_ms":1}"#,
    r#"{"v":1,"time":"2026-01-02T03:09:00.000Z","event":"recording-failed","session":"s-1","channel":1,"recording":"r-1","mode":"best-effort","detail":"the disk is full"}"#,
    r#"{"v":1,"time":"2026-01-02T03:09:30.000Z","event":"something-of-a-later-version","session":"s-1"}"#,
    r#"{"v":1,"time":"2026-01-03T00:00:00.000Z","event":"channel-ended","session":"s-1","channel":1,"bytes_to_target":5,"bytes_to_client":9,"ending":"killed","duration_ms":75234600,"recording":{"id":"r-1","format":"asciicast","bytes":2048,"compressed_bytes":300,"sha256":"ee","complete":false}}"#,
    r#"{"v":1,"time":"2026-01-03T00:00:01.000Z","event":"session-ended","session":"s-1","ending":"killed","bytes_to_target":1234,"bytes_to_client":5678901,"channels":4,"duration_ms":75235700}"#,
    r#"{"v":1,"time":"2026-01-02T23:59:59.000Z","event":"session-watched","by":"carol","client_addr":"203.0.113.9","watched":"s-1","told":true}"#,
    r#"{"v":1,"time":"2026-01-03T00:00:00.000Z","event":"kill-ordered","by":"operator","killed":"s-1","reason":"the wrong machine"}"#,
];

fn story(before: &[&str], lines: &[&str]) -> String {
    let read = |text: &&str| Line::read(text).expect("JSON");
    let mut story = Story::default();
    before.iter().map(read).for_each(|line| story.before(&line));
    let told: String = lines.iter().map(read).map(|line| story.tell(&line)).collect();
    told + &story.end()
}

#[test]
fn a_session_is_a_story() {
    let told = story(&BEFORE, &LINES);
    assert!(!told.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{told:?}");
    insta::assert_snapshot!(told);
}

#[test]
fn what_was_refused_before_it_began_comes_after_the_beginning() {
    let told = story(&[], &[LINES[8], LINES[0], LINES[3], LINES[4]]);
    let lines: Vec<&str> = told.lines().collect();
    let refused =
        lines.iter().position(|line| line.contains("refused: exec: reboot: forbidden by no-reboots"));
    let began = lines.iter().position(|line| line.starts_with("Allowed by the rule eng-web"));
    assert!(began < refused && began.is_some(), "{told}");
}

#[test]
fn what_is_live_or_was_interrupted_is_told_as_such() {
    let live = story(&[], &LINES[..5]);
    assert!(live.ends_with("\n\nIt has not ended yet.\n"), "{live}");
    let interrupted = r#"{"v":1,"time":"2026-01-02T04:00:00.000Z","event":"session-interrupted","session":"s-1","last_seen":"2026-01-02T03:30:00.000Z"}"#;
    let told = story(&[], &[&LINES[..5], &[interrupted]].concat());
    assert!(
        told.ends_with("Its bastion stopped in the middle; its last event is of 2026-01-02T03:30:00.000Z. This was noted on 2026-01-02 at 04:00:00 UTC.\n"),
        "{told}"
    );
}
