//! `ssh-config`: a block for `~/.ssh/config`, so that `ssh web-1` alone will do.
//!
//! Whoever may tag an instance writes part of a file that people's ssh obeys. So a name gets in only if it is
//! plainly a name, if it could not be taken for a host elsewhere, and if the bastion would find this machine by it;
//! everybody else is there by instance id.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Desk;
use super::answer::{Answer, Verdict};
use super::args::SshConfigArgs;
use super::text::count;
use crate::domain::{ActionKind, InstanceId, ServerAddress, Target};
use crate::policy::Reach;

/// The longest name, as long as a host name can be (RFC 1035 §2.3.4).
const NAME_LENGTH_MAX: usize = 253;
/// The most characters of an unusable name that a comment repeats.
const QUOTED_MAX: usize = 64;

pub(super) fn answer(desk: &Desk, args: &SshConfigArgs) -> Answer {
    let mut reach = desk.reach();
    // Where only the bastion itself may connect, ssh has nothing to log in to.
    reach.retain(|reach| reach.actions.iter().any(|action| *action != ActionKind::Connect));
    if reach.is_empty() {
        let sentence = "there is no target that you may reach; ask whoever manages your access.";
        return Answer::text(String::new()).but(Verdict::No, sentence);
    }
    let bastion = args.name.clone().unwrap_or_else(|| desk.address.clone());
    let trust = format!("    KnownHostsCommand /bin/echo \"@cert-authority * {}\"\n", desk.host_ca);
    let head = head(desk, &bastion, reach.len(), &trust);
    let labels = Labels::new(desk, &bastion, args.dotted, &reach).given_to(&reach);
    let options = format!("    ProxyJump {}@{bastion}\n{trust}", desk.identity.user);
    let blocks = reach.into_iter().zip(labels).map(move |(reach, label)| block(&reach, &label, &options));
    Answer::yes(std::iter::once(head).chain(blocks))
}

/// Begins with a line feed: the file that this is appended to may end without one.
fn head(desk: &Desk, bastion: &ServerAddress, number: usize, trust: &str) -> String {
    let (user, now) = (&desk.identity.user, desk.now);
    let host_ca = &desk.host_ca;
    format!(
        "\n\
         # What {user} may reach through drawbridge at {bastion}: {count}, as of {now:.0}.\n\
         # Made by `ssh BASTION ssh-config`; take it out and make it again when the instances change.\n\
         # The bastion and every instance prove themselves by this key. KnownHostsCommand needs OpenSSH 8.5 and\n\
         # /bin/echo; elsewhere put this line into known_hosts:\n\
         # @cert-authority * {host_ca}\n\
         \n\
         Host *\n    IgnoreUnknown KnownHostsCommand\n\
         \n\
         Host {host}\n{trust}",
        count = count(number, "target"),
        host = bastion.host(),
    )
}

/// By what name a machine is in the file, beside its id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Label {
    /// Its own, by which the bastion finds it.
    Name(String),
    /// Its own with account or region; several have the name.
    Qualified(String),
    /// None: it has no name.
    Nameless,
    /// None, for that reason.
    Unfit(&'static str),
}

fn block(reach: &Reach, label: &Label, options: &str) -> String {
    let target = reach.target.as_ref();
    let id = &target.id;
    let (host, note) = match label {
        Label::Name(name) => (format!("Host {name} {id}\n"), String::new()),
        Label::Qualified(name) => (format!("Host {name} {id}\n    HostName {id}\n"), String::new()),
        Label::Nameless => (format!("Host {id}\n"), String::new()),
        Label::Unfit(why) => (format!("Host {id}\n"), format!("# \"{}\" {why}\n", in_comment(target))),
    };
    let user = match reach.logins.first() {
        Some(login) => format!("    User {login}\n"),
        None => "    # Policy names no login here: write ssh LOGIN@INSTANCE.\n".to_owned(),
    };
    format!("\n{note}{host}{user}{options}")
}

/// A name that may be anything, in plain ASCII without line feeds.
fn in_comment(target: &Target) -> String {
    target.display_name().chars().take(QUOTED_MAX).flat_map(char::escape_default).collect()
}

/// Gives out names, each once. Names are the same whatever their case, as for the bastion.
struct Labels<'a> {
    bastion: &'a ServerAddress,
    dotted: bool,
    /// By which the bastion finds another machine before it looks at `Name` tags.
    assigned: HashSet<String>,
    /// How many of the listed machines have a name, and how many of those run.
    bearers: HashMap<String, (usize, usize)>,
    given: HashSet<String>,
}

impl<'a> Labels<'a> {
    fn new(desk: &Desk, bastion: &'a ServerAddress, dotted: bool, reach: &[Reach]) -> Self {
        let mut assigned = HashSet::new();
        for dns in desk.inventory.all().iter().filter_map(|target| target.private_dns.as_deref()) {
            let full = dns.trim_end_matches('.').to_ascii_lowercase();
            assigned.extend(full.split_once('.').map(|(host, _)| host.to_owned()));
            assigned.insert(full);
        }
        let mut bearers: HashMap<String, (usize, usize)> = HashMap::new();
        for target in reach.iter().map(|reach| &reach.target) {
            let (all, running) = bearers.entry(folded(target)).or_default();
            *all += 1;
            *running += usize::from(is_running(target));
        }
        Self { bastion, dotted, assigned, bearers, given: HashSet::new() }
    }

    /// Plain names first: a qualified one must not take another machine's own.
    fn given_to(mut self, reach: &[Reach]) -> Vec<Label> {
        let labels: Vec<Option<Label>> = reach.iter().map(|reach| self.plain(&reach.target)).collect();
        // As for the bastion, a qualified name that several have is nobody's.
        let mut claims: HashMap<String, usize> = HashMap::new();
        for target in reach.iter().map(|reach| &reach.target).filter(|target| self.is_shared(target)) {
            qualified(target)
                .into_iter()
                .for_each(|name| *claims.entry(name.to_ascii_lowercase()).or_default() += 1);
        }
        let given = labels.into_iter().zip(reach);
        given.map(|(label, reach)| label.unwrap_or_else(|| self.qualified(&reach.target, &claims))).collect()
    }

    fn is_shared(&self, target: &Target) -> bool {
        self.bearers.get(&folded(target)).is_some_and(|(all, _)| *all > 1)
    }

    /// Its own name or the reason against it; nothing where several have it.
    fn plain(&mut self, target: &Arc<Target>) -> Option<Label> {
        let Some(name) = target.name.as_deref().filter(|name| !name.is_empty()) else {
            return Some(Label::Nameless);
        };
        if let Err(why) = self.fit(name) {
            return Some(Label::Unfit(why));
        }
        let (all, running) = self.bearers.get(&folded(target)).copied().unwrap_or_default();
        // One that runs is meant even where stopped ones bear the same name.
        let is_meant = all == 1 || (running == 1 && is_running(target));
        (is_meant && self.given.insert(folded(target))).then(|| Label::Name(name.to_owned()))
    }

    fn qualified(&mut self, target: &Target, claims: &HashMap<String, usize>) -> Label {
        let free = qualified(target).into_iter().find(|name| {
            let folded = name.to_ascii_lowercase();
            is_plain(name)
                && claims.get(&folded) == Some(&1)
                && !self.assigned.contains(&folded)
                && self.given.insert(folded)
        });
        free.map_or(Label::Unfit("is the name of several instances; use the id:"), Label::Qualified)
    }

    fn fit(&self, name: &str) -> Result<(), &'static str> {
        let folded = name.to_ascii_lowercase();
        if !is_plain(name) {
            return Err("cannot stand in this file; use the id:");
        }
        if InstanceId::parse(&folded).is_some()
            || folded.parse::<IpAddr>().is_ok()
            || self.assigned.contains(&folded)
        {
            return Err("means another machine to the bastion; use the id:");
        }
        if folded == "localhost" || folded == self.bastion.host().to_ascii_lowercase() {
            return Err("would hide another host; use the id:");
        }
        if folded.contains('.') && !self.dotted {
            return Err("might hide a host elsewhere; use the id, or take it in with --dotted:");
        }
        Ok(())
    }
}

/// The name with account, region or both.
fn qualified(target: &Target) -> [String; 3] {
    let Target { account_alias, region, .. } = target;
    let name = target.display_name();
    [
        format!("{name}.{account_alias}"),
        format!("{name}.{region}"),
        format!("{name}.{account_alias}.{region}"),
    ]
}

fn folded(target: &Target) -> String {
    target.display_name().to_ascii_lowercase()
}

fn is_running(target: &Target) -> bool {
    target.state == "running"
}

/// Whether a name has no meaning in an `ssh_config` but to be a name: no pattern, no quote, no token, no option.
fn is_plain(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.len() <= NAME_LENGTH_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(inside)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::testing::{ask, desk, target};
    use super::*;
    use crate::console::SshConfigArgs;

    const ALL: &str = "permit(principal, action, resource);";

    async fn config(fleet: Vec<Target>, line: &str) -> String {
        let (code, out, err) = ask(ALL, fleet, line).await;
        assert_eq!((code, err.as_str()), (0, ""));
        out
    }

    #[tokio::test]
    async fn a_block_for_each_target() {
        let fleet = vec![target("web-1", 1), Target { name: None, ..target("", 2) }];
        insta::assert_snapshot!(config(fleet, "ssh-config").await);
    }

    #[tokio::test]
    async fn the_bastion_is_called_what_its_client_calls_it() {
        let text = config(vec![target("web-1", 1)], "ssh-config --name bastion").await;
        assert!(text.contains("Host bastion\n    KnownHostsCommand "), "{text}");
        assert!(text.contains("    ProxyJump alice@bastion\n"), "{text}");
    }

    #[tokio::test]
    async fn names_that_several_have_are_qualified() {
        let stopped = Target { state: "stopped".to_owned(), ..target("db", 5) };
        let fleet = vec![
            target("twin", 1),
            Target { region: "us-east-1".to_owned(), ..target("Twin", 2) },
            target("twin", 3),
            target("pair", 6),
            Target { account_alias: "dev".to_owned(), ..target("pair", 7) },
            target("db", 4),
            stopped,
        ];
        let text = config(fleet, "ssh-config").await;
        let hosts: Vec<&str> =
            text.lines().filter(|line| line.contains("Host") || line.contains("# \"")).collect();
        insta::assert_snapshot!(hosts.join("\n"));
    }

    const HOSTILE: [&str; 22] = [
        "two words",
        "a\nHost *\n    ProxyCommand touch owned",
        "a\r\nProxyCommand x",
        "Host *",
        "*",
        "web-?",
        "!web-1",
        "-oProxyCommand=x",
        "a\"b",
        "'a'",
        "%h",
        "${HOME}",
        "a,b",
        "a#b",
        "a\\",
        "a=b",
        "wéb",
        "\u{202e}1-bew",
        "a\u{0}b",
        "localhost",
        "bastion.example.com",
        "i-00000000000000001",
    ];

    #[tokio::test]
    async fn no_tag_can_be_more_than_a_name() {
        let fleet: Vec<Target> = HOSTILE.iter().zip(1..).map(|(name, number)| target(name, number)).collect();
        let text = config(fleet, "ssh-config --dotted").await;
        assert!(text.is_ascii() && !text.contains('\r') && !text.contains('\0'), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let word = line.split_whitespace().next().unwrap_or_default();
            let known = ["", "Host", "User", "ProxyJump", "KnownHostsCommand", "IgnoreUnknown"];
            assert!(known.contains(&word), "{line}");
            if let Some(names) = line.strip_prefix("Host ") {
                let is_ours = names == "*" || names == "bastion.example.com" || names.starts_with("i-");
                assert!(is_ours && !names.contains(' '), "{line}");
            }
        }
        insta::assert_snapshot!(
            text.lines().filter(|line| line.starts_with("# \"")).collect::<Vec<_>>().join("\n")
        );
    }

    #[tokio::test]
    async fn a_name_with_dots_is_taken_in_on_demand() {
        let text = config(vec![target("www.example.com", 1)], "ssh-config").await;
        assert!(!text.contains("Host www.example.com"), "{text}");
        let text = config(vec![target("www.example.com", 1)], "ssh-config --dotted").await;
        assert!(text.contains("Host www.example.com i-00000000000000001\n"), "{text}");
    }

    #[tokio::test]
    async fn a_name_by_which_the_bastion_finds_another_machine_is_left_out() {
        let fleet = vec![target("ip-10-0-0-2", 1), target("web-2", 2)];
        let text = config(fleet, "ssh-config").await;
        assert!(!text.contains("Host ip-"), "{text}");
    }

    #[tokio::test]
    async fn without_targets_nothing_is_written() {
        let (code, out, err) = ask("", vec![target("web-1", 1)], "ssh-config").await;
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("drawbridge: there is no target"), "{err}");
    }

    /// What the installed ssh understands; nothing where there is none.
    #[tokio::test]
    async fn openssh_understands_it() {
        let fleet = vec![target("web-1", 1), target("a\nHost *\n    ProxyCommand touch owned", 2)];
        let answer = answer(&desk(ALL, fleet).await, &SshConfigArgs { name: None, dotted: false });
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("config");
        std::fs::write(&file, answer.output.collect::<String>()).expect("our own file");
        let understood = |host: &str| {
            let output = Command::new("ssh").arg("-G").arg("-F").arg(&file).arg(host).output().ok()?;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let Some(web) = understood("web-1") else { return };
        for line in ["user ec2-user", "proxyjump alice@bastion.example.com:2222", "hostname web-1"] {
            assert!(web.lines().any(|l| l == line), "{line} in {web}");
        }
        let other = understood("elsewhere.example.org").expect("ssh");
        assert!(
            !other.contains("proxyjump")
                && !other.contains("proxycommand")
                && !other.contains("knownhostscommand /"),
            "{other}"
        );
    }
}
