//! What the demo prints when it is ready: commands to paste, each with what it shows.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use super::files::Directory;

/// Tells what can be done, and that it can be done from this moment on.
pub(super) fn write(
    listen: SocketAddr,
    directory: &Directory,
    endpoint: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "drawbridge listens on {listen}.\nKeys and files are in {}\n", directory.path().display())?;
    let all = [sessions(directory), failures(directory), aws(directory, endpoint)];
    for (what, command) in all.into_iter().flatten() {
        if !what.is_empty() {
            writeln!(out, "# {what}")?;
        }
        writeln!(out, "{command}")?;
    }
    writeln!(out, "\nCtrl-C ends the demo.\nready")?;
    out.flush()
}

/// What a command shows, and the command. No words: it belongs to the one before.
type Line = (&'static str, String);

/// What works.
fn sessions(directory: &Directory) -> Vec<Line> {
    let config = quoted(directory.ssh_config());
    vec![
        ("a shell on an instance, by jump", format!("ssh -F {config} web-1")),
        ("the same, by direct addressing", format!("ssh -F {config} web-1.direct")),
        ("a command, and files", format!("ssh -F {config} db-1 uname -a")),
        ("", format!("scp -F {config} /etc/services db-1:/tmp/services.copy")),
        ("", format!("rsync -a -e \"ssh -F {config}\" /etc/services web-1:/tmp/services.copy")),
        ("a menu of what you may reach, and the same as a list", format!("ssh -F {config} bastion")),
        ("", format!("ssh -F {config} bastion targets")),
        (
            "a port of an instance, on this machine's 8080",
            format!("ssh -F {config} -L 8080:localhost:80 web-1"),
        ),
    ]
}

/// What does not, and says why.
fn failures(directory: &Directory) -> Vec<Line> {
    let config = quoted(directory.ssh_config());
    vec![
        ("refused: the policy forbids it", format!("ssh -F {config} vault-1")),
        ("refused: the instance is stopped", format!("ssh -F {config} old-1")),
        ("no answer: its security group has no rule for SSH", format!("ssh -F {config} locked-1")),
        ("not let in: its image has no Instance Connect agent", format!("ssh -F {config} bare-1")),
        ("all that is between the bastion and it", format!("ssh -F {config} bastion doctor locked-1")),
        ("what the auditor sees", format!("tail -f {}", quoted(directory.audit()))),
    ]
}

/// What AWS does to the bastion.
fn aws(directory: &Directory, endpoint: &str) -> Vec<Line> {
    let fault = |json: &str| format!("curl -d '{json}' {endpoint}/_faults");
    let denied = quoted(directory.denied_actions());
    let (program, config) = (quoted(program()), quoted(directory.config()));
    vec![
        ("make AWS throttle; the second ends that", fault(r#"{"eic":{"throttle":true}}"#)),
        ("", fault("{}")),
        (
            "take a permission away from the bastion, ask what it lacks, and give it back",
            format!("echo ec2:DescribeNetworkAcls > {denied}"),
        ),
        ("", format!("{program} doctor --config {config}")),
        ("", format!("rm {denied}")),
    ]
}

/// This very program: it was hardly installed before it was tried.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("drawbridge"))
}

/// A path for a shell, quoted where it needs to be.
fn quoted(path: PathBuf) -> String {
    let path = path.to_string_lossy();
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | '=' | '@');
    if path.chars().all(plain) { path.into_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(quoted("/srv/a-b.c".into()), "/srv/a-b.c");
        assert_eq!(quoted("/srv/a b's".into()), r"'/srv/a b'\''s'");
    }
}
