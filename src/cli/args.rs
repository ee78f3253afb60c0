//! What can be typed after `drawbridge`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::domain::{Action, ActionKind, Login, TargetRef, UserName};

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
    /// Print the known_hosts line that covers every target
    HostCa {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
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
            (ActionKind::Shell | ActionKind::Sftp, Some(_)) => {
                Err("Only the actions exec and subsystem take --command.")
            }
        }
    }
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
    fn names_are_checked_where_they_are_typed() {
        let target = ["drawbridge", "policy", "explain", "--user", "ada", "--target", "../../etc"];
        let error = Arguments::try_parse_from(target).expect_err("a refusal");
        assert_eq!(error.exit_code(), 2);
    }
}
