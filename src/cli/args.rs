//! What can be typed after `drawbridge`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::is_region;
use crate::console::{self, SshConfigArgs, TargetsArgs, WhoamiArgs};
use crate::domain::{Action, ActionKind, InstanceId, Login, TargetRef, UserName};

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
    /// Run the whole thing on this machine: the bastion, an AWS look-alike, three instances
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
    /// Print a user's block for ~/.ssh/config, as `ssh bastion ssh-config` would
    SshConfig {
        /// Whom it is about.
        #[command(flatten)]
        by: AsUser,
        /// The question.
        #[command(flatten)]
        question: SshConfigArgs,
    },
    /// Print the known_hosts line that covers every target
    HostCa {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List, forget or pin the host keys by which targets are known
    HostKeys {
        /// What to do with them.
        #[command(subcommand)]
        command: HostKeysCommand,
    },
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
    pub target: TargetRef,
    /// The OS user on the target
    #[arg(long, value_parser = Login::parse)]
    pub login: Login,
    /// What the user wants to do: shell, exec, sftp or subsystem
    #[arg(long, value_parser = action_kind)]
    action: ActionKind,
    /// The command line of an exec, or the name of a subsystem
    #[arg(long, value_name = "TEXT")]
    command: Option<String>,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
}

impl Question {
    /// The action with its particulars.
    ///
    /// # Errors
    /// When `--command` is missing for an action that has one, or given for one that has none.
    pub fn action(&self) -> Result<Action, &'static str> {
        match (self.action, self.command.clone()) {
            (ActionKind::Shell, None) => Ok(Action::Shell),
            (ActionKind::Sftp, None) => Ok(Action::Sftp),
            (ActionKind::Exec, Some(command)) => Ok(Action::Exec { command }),
            (ActionKind::Subsystem, Some(name)) => Ok(Action::Subsystem { name }),
            (ActionKind::Exec, None) => Err("The action exec needs --command with the command line."),
            (ActionKind::Subsystem, None) => Err("The action subsystem needs --command with its name."),
            (ActionKind::Tunnel, None) => Ok(Action::Tunnel),
            (ActionKind::Agent, None) => Ok(Action::Agent),
            (ActionKind::X11, None) => Ok(Action::X11),
            (
                ActionKind::LocalForward
                | ActionKind::RemoteForward
                | ActionKind::LocalSocket
                | ActionKind::RemoteSocket
                | ActionKind::Connect,
                None,
            ) => Err("Forwards are explained by `drawbridge policy test`."),
            (_, Some(_)) => Err("Only the actions exec and subsystem take --command."),
        }
    }
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
    let names = || ActionKind::ALL.map(ActionKind::name).join(", ");
    ActionKind::parse(text).ok_or_else(|| format!("the actions are {}", names()))
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
        assert_eq!(question(&["--action", "shell"]).action(), Ok(Action::Shell));
        assert_eq!(
            question(&["--action", "exec", "--command", "uptime"]).action(),
            Ok(Action::Exec { command: "uptime".to_owned() })
        );
        assert!(question(&["--action", "exec"]).action().is_err());
        assert!(question(&["--action", "sftp", "--command", "x"]).action().is_err());
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
    fn names_are_checked_where_they_are_typed() {
        let target = ["drawbridge", "policy", "explain", "--user", "ada", "--target", "../../etc"];
        let error = Arguments::try_parse_from(target).expect_err("a refusal");
        assert_eq!(error.exit_code(), 2);
    }
}
