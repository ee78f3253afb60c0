//! What can be typed after `drawbridge`: a file for each command's arguments.
//!
//! What always holds: a value that clap hands over is parsed and within its limits; what does not go together is a
//! mistake of usage with its own exit code. The questions that `ssh bastion COMMAND` takes as well are `console`'s.
//!
//! What is not here: reading the configuration, and doing what was asked.

mod asker;
mod audit;
mod config;
mod doctor;
mod host_keys;
mod iam_policy;
mod policy;
mod prune;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::console::{
    self, EventsArgs, ExportArgs, ReplayArgs, SessionsCommand, SshConfigArgs, TargetsArgs, WhoamiArgs,
};

pub use audit::AuditCommand;
pub use host_keys::HostKeysCommand;
pub use policy::PolicyCommand;

pub(super) use asker::{AsAnybody, AsUser};
pub(super) use audit::VerifyArgs;
pub(super) use config::ConfigArgs;
pub(super) use doctor::DoctorArgs;
pub(super) use host_keys::{ForgetArgs, KeySource, PinArgs};
pub(super) use iam_policy::IamPolicyArgs;
pub(super) use policy::{ExplainArgs, Question, Wanted};
pub(super) use prune::PruneArgs;

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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::domain::UserName;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
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
