//! What can be typed after `drawbridge`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::audit::{LineHash, NodeHead};
use crate::config::{is_region, parse_duration};
use crate::console::{
    self, EventsArgs, ExportArgs, ReplayArgs, SessionsCommand, SshConfigArgs, TargetsArgs, WhoamiArgs,
};
use crate::domain::{Action, ActionKind, InstanceId, Login, NodeName, TargetRef, UserName};
use crate::iam::{Principal, RequiredTag};
use crate::policy::parse_endpoint;

/// A self-hosted SSH bastion for EC2.
#[derive(Debug, Parser)]
#[command(name = "drawbridge", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the bastion
    Serve {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
        /// Listen here, whatever the configuration says; may be repeated
        #[arg(long, value_name = "ADDR")]
        listen: Vec<String>,
    },
    /// Check the configuration and the files it names, and list every problem
    Check {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Run the whole thing on this machine: the bastion, an AWS look-alike, instances
    Demo {
        /// Write keys and files here [default: a fresh directory, which is printed]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Listen here
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2222")]
        listen: SocketAddr,
    },
    /// Ask the policy
    Policy {
        /// What to ask.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Say who a user is to the bastion, as `ssh bastion whoami` would
    Whoami {
        /// Whom it is about.
        #[command(flatten)]
        by: AsUser,
        /// The question.
        #[command(flatten)]
        question: WhoamiArgs,
    },
    /// List what a user may reach, as `ssh bastion targets` would
    Targets {
        /// Whom it is about.
        #[command(flatten)]
        by: AsUser,
        /// The question.
        #[command(flatten)]
        question: TargetsArgs,
    },
    /// Say whether a user may do something and why, as `ssh bastion explain` would
    Explain {
        /// Whom it is about.
        #[command(flatten)]
        by: AsUser,
        /// The question.
        #[command(flatten)]
        question: console::ExplainArgs,
    },
    /// Say why an instance cannot be reached, or whether it can; without one, whether drawbridge itself is well
    Doctor(DoctorArgs),
    /// Print a user's block for ~/.ssh/config, as `ssh bastion ssh-config` would
    SshConfig {
        /// Whom it is about.
        #[command(flatten)]
        by: AsUser,
        /// The question.
        #[command(flatten)]
        question: SshConfigArgs,
    },
    /// List, show, watch or end sessions
    #[command(arg_required_else_help = true)]
    Sessions {
        /// Where the record is, and who asks.
        #[command(flatten)]
        by: AsAnybody,
        /// The question.
        #[command(subcommand)]
        question: SessionsCommand,
    },
    /// Replay a recorded terminal in this one
    Replay {
        /// Where the record is, and who asks.
        #[command(flatten)]
        by: AsAnybody,
        /// The question.
        #[command(flatten)]
        question: ReplayArgs,
    },
    /// Print events of the record
    Events {
        /// Where the record is, and who asks.
        #[command(flatten)]
        by: AsAnybody,
        /// The question.
        #[command(flatten)]
        question: EventsArgs,
    },
    /// Export events, sessions or a recording
    Export {
        /// Where the record is, and who asks.
        #[command(flatten)]
        by: AsAnybody,
        /// The question.
        #[command(flatten)]
        question: ExportArgs,
    },
    /// Remove what is old: events, sessions and recordings
    Prune(PruneArgs),
    /// Print the least that AWS's IAM has to permit for this configuration
    IamPolicy(IamPolicyArgs),
    /// Print the known_hosts line that covers every target
    HostCa {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Check that nobody has edited the record, and print the key that signs it
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// List, forget or pin the host keys by which targets are known
    HostKeys {
        /// What to do with them.
        #[command(subcommand)]
        command: HostKeysCommand,
    },
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The instance: an id, a name, a private DNS name or a private address [default: drawbridge itself]
    #[arg(value_name = "INSTANCE")]
    pub target: Option<String>,
    /// The OS user on it
    #[arg(long, requires = "target", value_parser = Login::parse)]
    pub login: Option<Login>,
    /// Answer as this user would be answered over ssh, and not as the operator
    #[arg(long, requires = "target", value_parser = UserName::parse)]
    pub user: Option<UserName>,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `iam-policy`.
#[derive(Debug, Args)]
pub struct IamPolicyArgs {
    /// Print only what is permitted in this account of the configuration, as one document
    #[arg(long, value_name = "ALIAS")]
    pub account: Option<String>,
    /// An OS user for whom keys are pushed; may be repeated [default: those that the policy allows]
    #[arg(long = "login", value_name = "LOGIN", value_parser = Login::parse)]
    pub logins: Vec<Login>,
    /// Let keys be pushed only to instances with this tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = RequiredTag::parse)]
    pub require_tag: Option<RequiredTag>,
    /// The ARN of the role that drawbridge runs with, for trust policies
    #[arg(long, value_name = "ARN", value_parser = Principal::parse)]
    pub bastion_role: Option<Principal>,
    /// Permit what diagnosis needs even if no rule of the policy permits anybody to diagnose
    #[arg(long)]
    pub diagnosis: bool,
    /// Answer in JSON: every document, and what was assumed
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// How old it must be: 90d, 36h, …
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub older_than: Duration,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Nobody means "everything up to now".
fn age(text: &str) -> Result<Duration, String> {
    let age = parse_duration(text).map_err(|error| error.to_string())?;
    if age < Duration::from_secs(1) { Err("write a second or more, such as 90d".to_owned()) } else { Ok(age) }
}

/// What to ask the policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what the policy decides for one case, and why
    Explain(ExplainArgs),
    /// Compare a table of expected decisions with what the policy decides
    Test {
        /// The table
        file: PathBuf,
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no record was changed, removed, reordered, inserted or cut off, and name the first that was
    Verify(VerifyArgs),
    /// Print the public half of the key that signs the record of this node
    Key {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// `audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Check these files, in the order in which they were written, instead of the store: audit.jsonl, an export, the
    /// journal
    #[arg(long = "file", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Believe these keys: a file of lines as `drawbridge audit key` prints them, or one line; may be repeated
    /// [default: this node's own]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<String>,
    /// What is known from elsewhere, such as the operator's log: this record must be there; may be repeated
    #[arg(long = "head", value_name = "NODE:NUMBER:HASH", value_parser = node_head)]
    pub heads: Vec<NodeHead>,
    /// The files hold a part of the record: do not ask for what comes before
    #[arg(long, requires = "files")]
    pub part: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

fn node_head(text: &str) -> Result<NodeHead, &'static str> {
    let parse = || {
        let mut parts = text.split(':');
        let (node, through) = (NodeName::parse(parts.next()?)?, parts.next()?.parse().ok()?);
        let hash = LineHash::parse(parts.next()?)?;
        parts.next().is_none().then_some(NodeHead { node, through, hash })
    };
    parse().ok_or("write the node's name, the record's number and its hash of 64 hexadecimal digits, with colons between")
}

/// What to do with the pinned host keys.
#[derive(Debug, Subcommand)]
pub enum HostKeysCommand {
    /// List the pinned host keys
    List {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget the pinned host key of an instance
    Forget(ForgetArgs),
    /// Pin a host key to an instance
    Pin(PinArgs),
}

impl HostKeysCommand {
    pub(super) fn config(&self) -> &ConfigArgs {
        match self {
            Self::List { config, .. } => config,
            Self::Forget(ForgetArgs { config, .. }) | Self::Pin(PinArgs { config, .. }) => config,
        }
    }
}

/// `host-keys forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The instance's id
    #[arg(value_name = "INSTANCE_ID", value_parser = instance_id)]
    pub instance: InstanceId,
    /// The number of its account, where the id is pinned in several
    #[arg(long, value_parser = account)]
    pub account: Option<String>,
    /// Its region, where the id is pinned in several
    #[arg(long, value_parser = region)]
    pub region: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `host-keys pin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// The instance's id
    #[arg(value_name = "INSTANCE_ID", value_parser = instance_id)]
    pub instance: InstanceId,
    /// The number of its account
    #[arg(long, value_parser = account)]
    pub account: String,
    /// Its region
    #[arg(long, value_parser = region)]
    pub region: String,
    /// The key.
    #[command(flatten)]
    pub key: KeySource,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Where a public key is; one of the two.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct KeySource {
    /// The public key's line, such as "ssh-ed25519 AAAA…"
    #[arg(long, value_name = "LINE")]
    pub key: Option<String>,
    /// A file with the public key: a .pub file, or what ssh-keyscan printed
    #[arg(long, value_name = "PATH")]
    pub key_file: Option<PathBuf>,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/drawbridge/drawbridge.toml")]
    pub config: PathBuf,
    /// Set one key, whatever the configuration says; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// On whose behalf a command of the console is asked.
#[derive(Debug, Args)]
pub struct AsUser {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The user, as the users file names them
    #[arg(long, value_parser = UserName::parse)]
    pub user: UserName,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
}

/// Who asks about the record: the operator, who may see everything, or a user.
#[derive(Debug, Args)]
pub struct AsAnybody {
    /// The configuration file
    #[arg(long, value_name = "FILE", global = true, default_value = "/etc/drawbridge/drawbridge.toml")]
    pub config: PathBuf,
    /// Set one key, whatever the configuration says; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE", global = true)]
    pub set: Vec<String>,
    /// Answer as this user would be answered over ssh, and not as the operator
    // Its name is not `user`: questions have a filter of that name, and clap would take the two for one.
    #[arg(long = "as", value_name = "USER", global = true, value_parser = UserName::parse)]
    pub as_user: Option<UserName>,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", global = true, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
}

impl AsAnybody {
    /// Where the configuration is.
    #[must_use]
    pub fn config(&self) -> ConfigArgs {
        ConfigArgs { config: self.config.clone(), set: self.set.clone() }
    }
}

/// `policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The case.
    #[command(flatten)]
    pub question: Question,
}

/// One case to be decided.
#[derive(Debug, Args)]
pub struct Question {
    /// The user, as the users file names them
    #[arg(long, value_parser = UserName::parse)]
    pub user: UserName,
    /// The target: an instance id, a name, a private DNS name or a private address
    #[arg(long, value_parser = TargetRef::parse)]
    target: Option<TargetRef>,
    /// The OS user on the target
    #[arg(long, value_parser = Login::parse)]
    login: Option<Login>,
    /// What the user wants to do: shell, exec, sftp, subsystem, tunnel, local-forward, remote-forward, local-socket,
    /// remote-socket, agent, x11 or connect
    #[arg(long, value_parser = action_kind)]
    action: ActionKind,
    /// The command line of an exec, or the name of a subsystem
    #[arg(long, value_name = "TEXT")]
    command: Option<String>,
    /// Where a local-forward or connect leads, or where a remote-forward listens
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    to: Option<(String, u16)>,
    /// The path of a local-socket or remote-socket
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
}

/// What a case is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Something on a target, as a login.
    Action {
        /// The target as it was typed.
        target: TargetRef,
        /// The OS user on it.
        login: Login,
        /// What the user wants to do.
        action: Action,
    },
    /// That the bastion connects to a target, or to an address.
    Connect {
        /// The target as it was typed; without one, the host is an address.
        target: Option<TargetRef>,
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Question {
    /// What the case is about.
    ///
    /// # Errors
    /// When something is missing that the action needs, or given that it does not take.
    pub fn wanted(&self) -> Result<Wanted, &'static str> {
        if self.action == ActionKind::Connect {
            return match (self.to.clone(), &self.command, &self.path, &self.login) {
                (Some((host, port)), None, None, None) if port > 0 => {
                    Ok(Wanted::Connect { target: self.target.clone(), host, port })
                }
                (None, _, _, _) => Err("The action connect needs --to with a host and a port."),
                (Some(_), _, _, _) => {
                    Err("The action connect takes --target and --to, with a port from 1, and nothing else.")
                }
            };
        }
        let action = self.action()?;
        let target = self.target.clone().ok_or("Which machine is it about? Add --target.")?;
        let login = self.login.clone().ok_or("Which OS user is it about? Add --login.")?;
        Ok(Wanted::Action { target, login, action })
    }

    /// The action with its particulars.
    fn action(&self) -> Result<Action, &'static str> {
        let given = (self.command.clone(), self.to.clone(), self.path.clone());
        match (self.action, given) {
            (ActionKind::Shell, (None, None, None)) => Ok(Action::Shell),
            (ActionKind::Sftp, (None, None, None)) => Ok(Action::Sftp),
            (ActionKind::Tunnel, (None, None, None)) => Ok(Action::Tunnel),
            (ActionKind::Agent, (None, None, None)) => Ok(Action::Agent),
            (ActionKind::X11, (None, None, None)) => Ok(Action::X11),
            (ActionKind::Watch, (None, None, None)) => Ok(Action::Watch),
            (ActionKind::Kill, (None, None, None)) => Ok(Action::Kill),
            (ActionKind::Diagnose, (None, None, None)) => Ok(Action::Diagnose),
            (ActionKind::Exec, (Some(command), None, None)) => Ok(Action::Exec { command }),
            (ActionKind::Subsystem, (Some(name), None, None)) => Ok(Action::Subsystem { name }),
            (ActionKind::LocalForward, (None, Some((host, port)), None)) if port > 0 => {
                Ok(Action::LocalForward { host, port })
            }
            (ActionKind::RemoteForward, (None, Some((host, port)), None)) => {
                Ok(Action::RemoteForward { host, port })
            }
            (ActionKind::LocalSocket, (None, None, Some(path))) => Ok(Action::LocalSocket { path }),
            (ActionKind::RemoteSocket, (None, None, Some(path))) => Ok(Action::RemoteSocket { path }),
            (kind, _) => Err(particulars(kind)),
        }
    }
}

/// What an action takes, for those who gave something else.
fn particulars(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Exec => "The action exec needs --command with the command line, and nothing else.",
        ActionKind::Subsystem => "The action subsystem needs --command with its name, and nothing else.",
        ActionKind::LocalForward => {
            "The action local-forward needs --to with a host and a port from 1, and nothing else."
        }
        ActionKind::RemoteForward => {
            "The action remote-forward needs --to with a host, which may be empty, and a port, and nothing else."
        }
        ActionKind::LocalSocket | ActionKind::RemoteSocket => {
            "The actions local-socket and remote-socket need --path with the socket's path, and nothing else."
        }
        ActionKind::Connect => "The action connect needs --to with a host and a port.",
        ActionKind::Audit => "The action audit is about no machine; `drawbridge policy test` can try it.",
        ActionKind::Shell
        | ActionKind::Sftp
        | ActionKind::Tunnel
        | ActionKind::Agent
        | ActionKind::X11
        | ActionKind::Watch
        | ActionKind::Kill
        | ActionKind::Diagnose => {
            "Only exec and subsystem take --command, only forwards and connect take --to, and only sockets take --path."
        }
    }
}

fn endpoint(text: &str) -> Result<(String, u16), &'static str> {
    parse_endpoint(text).ok_or("write a host and a port, such as localhost:5432 or [fd00::7]:443")
}

fn instance_id(text: &str) -> Result<InstanceId, &'static str> {
    InstanceId::parse(text).ok_or("an instance id is i- and 8 or 17 hexadecimal digits")
}

fn account(text: &str) -> Result<String, &'static str> {
    let is_number = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.to_owned()).ok_or("an account is named by its number of 12 digits")
}

fn region(text: &str) -> Result<String, &'static str> {
    is_region(text).then(|| text.to_owned()).ok_or("a region is named by its code, such as eu-west-1")
}

fn action_kind(text: &str) -> Result<ActionKind, String> {
    ActionKind::parse(text).ok_or_else(|| format!("the actions are {}", ActionKind::names()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn question(tail: &[&str]) -> Question {
        let head =
            ["drawbridge", "policy", "explain", "--user", "ada", "--target", "web-1", "--login", "ubuntu"];
        let arguments = Arguments::try_parse_from(head.iter().chain(tail)).expect("arguments");
        let Command::Policy { command: PolicyCommand::Explain(explain) } = arguments.command else {
            panic!("{:?} is not what was typed", arguments.command)
        };
        explain.question
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn actions_come_with_their_particulars() {
        let local = Action::LocalForward { host: "localhost".to_owned(), port: 5432 };
        let remote = Action::RemoteForward { host: String::new(), port: 0 };
        for (tail, action) in [
            (&["--action", "shell"][..], Some(Action::Shell)),
            (
                &["--action", "exec", "--command", "uptime"],
                Some(Action::Exec { command: "uptime".to_owned() }),
            ),
            (&["--action", "local-forward", "--to", "localhost:5432"], Some(local)),
            (&["--action", "remote-forward", "--to", ":0"], Some(remote)),
            (
                &["--action", "remote-socket", "--path", "/x"],
                Some(Action::RemoteSocket { path: "/x".to_owned() }),
            ),
            (&["--action", "tunnel"], Some(Action::Tunnel)),
            (&["--action", "exec"], None),
            (&["--action", "sftp", "--command", "x"], None),
            (&["--action", "local-forward", "--to", "localhost:0"], None),
            (&["--action", "local-socket"], None),
            (&["--action", "x11", "--to", "localhost:1"], None),
        ] {
            let wanted = question(tail).wanted().ok();
            let found = wanted.map(|wanted| match wanted {
                Wanted::Action { action, .. } => action,
                Wanted::Connect { .. } => panic!("{tail:?} is no connect"),
            });
            assert_eq!(found, action, "{tail:?}");
        }
    }

    #[test]
    fn connect_is_about_no_login_and_needs_no_target() {
        let wanted = |tail: &[&str]| {
            let head = ["drawbridge", "policy", "explain", "--user", "ada", "--action", "connect"];
            let arguments = Arguments::try_parse_from(head.iter().chain(tail)).expect("arguments");
            let Command::Policy { command: PolicyCommand::Explain(explain) } = arguments.command else {
                panic!("{:?} is not what was typed", arguments.command)
            };
            explain.question.wanted()
        };
        let to = |target| Ok(Wanted::Connect { target, host: "10.9.1.2".to_owned(), port: 443 });
        assert_eq!(wanted(&["--to", "10.9.1.2:443"]), to(None));
        let db = TargetRef::parse("db-1").ok();
        assert_eq!(wanted(&["--to", "10.9.1.2:443", "--target", "db-1"]), to(db));
        assert!(wanted(&["--to", "10.9.1.2:443", "--login", "root"]).is_err());
        assert!(wanted(&["--to", "10.9.1.2:0"]).is_err());
        assert!(wanted(&[]).is_err());
    }

    #[test]
    fn a_key_to_pin_is_given_in_one_way_for_one_machine() {
        let parse = |tail: &[&str]| {
            let head = ["drawbridge", "host-keys", "pin", "i-0123456789abcdef0"];
            Arguments::try_parse_from(head.iter().chain(tail)).map_err(|error| error.exit_code())
        };
        let place = ["--account", "123456789012", "--region", "eu-west-1"];
        let with = |tail: &[&'static str]| parse(&[&place, tail].concat());
        assert!(with(&["--key", "ssh-ed25519 AAAA"]).is_ok());
        assert!(with(&["--key-file", "key.pub"]).is_ok());
        for wrong in [
            with(&[]),
            with(&["--key", "ssh-ed25519 AAAA", "--key-file", "key.pub"]),
            parse(&["--account", "production", "--region", "eu-west-1", "--key", "x"]),
            parse(&["--account", "123456789012", "--region", "west\u{1b}[2J", "--key", "x"]),
            parse(&["--region", "eu-west-1", "--key", "x"]),
        ] {
            assert_eq!(wrong.map(drop), Err(2));
        }
    }

    #[test]
    fn what_is_to_be_pruned_has_an_age() {
        let parse = |age: &str| Arguments::try_parse_from(["drawbridge", "prune", "--older-than", age]);
        assert!(parse("90d").is_ok() && parse("1s").is_ok());
        for wrong in ["0s", "", "90", "-1d", "tomorrow"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(Arguments::try_parse_from(["drawbridge", "prune"]).is_err(), "there is no default");
    }

    #[test]
    fn names_are_checked_where_they_are_typed() {
        let target = ["drawbridge", "policy", "explain", "--user", "ada", "--target", "../../etc"];
        let error = Arguments::try_parse_from(target).expect_err("a refusal");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn the_record_is_asked_with_the_config_before_or_after_the_question() {
        for line in [
            "drawbridge sessions --config a.toml list --user bob --as alice",
            "drawbridge sessions list --user bob --as alice --config a.toml",
        ] {
            let arguments = Arguments::try_parse_from(line.split(' ')).expect(line);
            let Command::Sessions { by, question: SessionsCommand::List(list) } = arguments.command else {
                panic!("{line}")
            };
            assert_eq!(by.config().config, PathBuf::from("a.toml"), "{line}");
            assert_eq!(by.as_user, UserName::parse("alice").ok(), "{line}");
            assert_eq!(list.fitting.user, UserName::parse("bob").ok(), "{line}");
        }
        for line in ["drawbridge replay s-01 --speed 2x --seek 1:30", "drawbridge events --kind decision"] {
            let arguments = Arguments::try_parse_from(line.split(' ')).expect(line);
            assert!(matches!(arguments.command, Command::Replay { .. } | Command::Events { .. }));
        }
        for wrong in [
            "drawbridge sessions show ../../etc/passwd",
            "drawbridge replay r-../../etc/passwd",
            "drawbridge sessions list --limit 0",
            "drawbridge sessions list --live --ending finished",
            "drawbridge export",
            "drawbridge replay s-01 --speed 1000",
        ] {
            let code =
                Arguments::try_parse_from(wrong.split(' ')).map(drop).map_err(|error| error.exit_code());
            assert_eq!(code, Err(2), "{wrong}");
        }
    }
}
