//! What can be typed after `ssh bastion`.

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::answer::{Answer, Verdict};
use super::record::{EventsArgs, ExportArgs, ReplayArgs, SessionsCommand};
use super::text::shown;
use super::words;
use crate::domain::{Action, ActionKind, Login, ServerAddress};

/// You are at the bastion itself. It answers these commands and carries you on.
#[derive(Debug, Parser)]
#[command(
    name = "drawbridge",
    bin_name = "ssh BASTION",
    no_binary_name = true,
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    after_help = WAYS,
    color = clap::ColorChoice::Never
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

const WAYS: &str = "\
To reach an instance, where INSTANCE is a Name tag, an instance id, a private DNS
name or a private address (web-1, web-1.ACCOUNT or web-1.REGION):

  ssh -J BASTION LOGIN@INSTANCE    by jump
  ssh LOGIN@INSTANCE@BASTION       directly; without LOGIN@ you may be asked
  ssh -t BASTION INSTANCE          from here, likewise
  ssh BASTION INSTANCE COMMAND     one command there

  ssh BASTION ssh-config >> ~/.ssh/config     and then `ssh INSTANCE` will do";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Who you are here, and how you proved it
    Whoami(WhoamiArgs),
    /// Which instances you may reach, and what you may do there
    Targets(TargetsArgs),
    /// Whether you may do something, by which rule, and if not, what is missing
    Explain(ExplainArgs),
    /// Why an instance cannot be reached, or whether it can: a checklist, ending in what to change
    Doctor(DoctorArgs),
    /// A block for ~/.ssh/config, so that `ssh INSTANCE` will do
    SshConfig(SshConfigArgs),
    /// List, show, watch or end sessions: yours, or what you may audit, watch and end
    #[command(arg_required_else_help = true, subcommand_value_name = "COMMAND")]
    Sessions {
        /// What.
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Replay a recorded terminal in this one, with `ssh -t`
    Replay(ReplayArgs),
    /// Events of the record
    Events(EventsArgs),
    /// Export events, sessions or a recording
    Export(ExportArgs),
}

/// `whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WhoamiArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `targets`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TargetsArgs {
    /// Only instances with this text in their name, id or address; or KEY=VALUE, where KEY is account, region,
    /// vpc, state, login, action, or tag:KEY as in tag:env=prod. All of several filters have to fit
    #[arg(value_name = "FILTER", value_parser = Filter::parse)]
    pub filters: Vec<Filter>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    pub target: String,
    /// The OS user on it [default: the first that policy permits]
    #[arg(long, value_parser = Login::parse)]
    pub login: Option<Login>,
    /// What you want to do: shell, exec, sftp, subsystem, tunnel, local-forward, remote-forward, local-socket,
    /// remote-socket, agent or x11 [default: shell, or exec with --command]
    #[arg(long, value_parser = action_kind)]
    pub action: Option<ActionKind>,
    /// The command line of an exec, or the name of a subsystem
    #[arg(long, value_name = "TEXT")]
    pub command: Option<String>,
    /// Where a forward leads or listens, as HOST:PORT, or a socket's path
    #[arg(long, value_name = "PLACE")]
    pub to: Option<String>,
}

/// `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    pub target: String,
    /// The OS user on it [default: the first that policy permits]
    #[arg(long, value_parser = Login::parse)]
    pub login: Option<Login>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `ssh-config`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SshConfigArgs {
    /// How you reach the bastion: HOST, HOST:PORT, or a name of your own ~/.ssh/config [default: its address]
    #[arg(long, value_name = "BASTION", value_parser = ServerAddress::parse)]
    pub name: Option<ServerAddress>,
    /// Take names with dots in them too, although they could hide hosts elsewhere
    #[arg(long)]
    pub dotted: bool,
}

/// What has to be so about a machine to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// This text is in its name, id or address; lower case.
    Text(String),
    /// This of it is that.
    Is(Key, String),
    /// This tag has that value.
    Tag(String, String),
}

/// What can be compared in a [`Filter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The account, by alias or number.
    Account,
    /// The region.
    Region,
    /// The VPC.
    Vpc,
    /// The state, as EC2 names it.
    State,
    /// One of the logins.
    Login,
    /// One of the actions.
    Action,
}

impl Filter {
    /// Reads a filter.
    fn parse(text: &str) -> Result<Self, String> {
        let Some((key, value)) = text.split_once('=') else { return Ok(Self::Text(text.to_lowercase())) };
        if let Some(tag) = key.strip_prefix("tag:") {
            return Ok(Self::Tag(tag.to_owned(), value.to_owned()));
        }
        let key = match key {
            "account" => Key::Account,
            "region" => Key::Region,
            "vpc" => Key::Vpc,
            "state" => Key::State,
            "login" => Key::Login,
            "action" => Key::Action,
            _ => {
                return Err("the keys are account, region, vpc, state, login, action and tag:KEY".to_owned());
            }
        };
        if key == Key::Action {
            action_kind(value)?;
        }
        Ok(Self::Is(key, value.to_owned()))
    }
}

fn action_kind(text: &str) -> Result<ActionKind, String> {
    ActionKind::parse(text).ok_or_else(|| format!("the actions are {}", ActionKind::names()))
}

impl ExplainArgs {
    /// The action with its particulars.
    ///
    /// # Errors
    /// A sentence, when the arguments do not go together.
    pub(super) fn action(&self) -> Result<Action, &'static str> {
        let kind = self.action.unwrap_or(match self.command {
            Some(_) => ActionKind::Exec,
            None => ActionKind::Shell,
        });
        let plain = |action| match (&self.command, &self.to) {
            (None, None) => Ok(action),
            _ => Err("this action takes neither --command nor --to."),
        };
        let text = |text: &Option<String>, missing| text.clone().ok_or(missing);
        match kind {
            ActionKind::Shell => plain(Action::Shell),
            ActionKind::Sftp => plain(Action::Sftp),
            ActionKind::Tunnel => plain(Action::Tunnel),
            ActionKind::Agent => plain(Action::Agent),
            ActionKind::X11 => plain(Action::X11),
            ActionKind::Watch => plain(Action::Watch),
            ActionKind::Kill => plain(Action::Kill),
            ActionKind::Diagnose => plain(Action::Diagnose),
            ActionKind::Exec => Ok(Action::Exec {
                command: text(&self.command, "exec needs --command with the command line.")?,
            }),
            ActionKind::Subsystem => Ok(Action::Subsystem {
                name: text(&self.command, "subsystem needs --command with its name.")?,
            }),
            ActionKind::LocalForward => {
                self.endpoint().map(|(host, port)| Action::LocalForward { host, port })
            }
            ActionKind::RemoteForward => {
                self.endpoint().map(|(host, port)| Action::RemoteForward { host, port })
            }
            ActionKind::LocalSocket => Ok(Action::LocalSocket { path: text(&self.to, NO_PATH)? }),
            ActionKind::RemoteSocket => Ok(Action::RemoteSocket { path: text(&self.to, NO_PATH)? }),
            ActionKind::Audit => {
                Err("audit is about the record and no instance; it cannot be explained here.")
            }
            ActionKind::Connect => {
                Err("connect is about addresses and no instance; it cannot be explained here.")
            }
        }
    }

    fn endpoint(&self) -> Result<(String, u16), &'static str> {
        let missing = "a forward needs --to with HOST:PORT, such as localhost:5432.";
        let (host, port) = self.to.as_deref().and_then(|place| place.rsplit_once(':')).ok_or(missing)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok((host.to_owned(), port.parse().map_err(|_| missing)?))
    }
}

const NO_PATH: &str = "a socket needs --to with its path.";

/// Whether a first word is for the console. Such a word is never taken for a target.
#[must_use]
pub fn is_command(word: &str) -> bool {
    word == "help" || word.starts_with('-') || Line::command().find_subcommand(word).is_some()
}

/// What the console can do, and how to reach an instance.
#[must_use]
pub fn help() -> String {
    Line::command().render_help().to_string()
}

/// Reads a command line.
///
/// # Errors
/// What is to be said where there is nothing to be done: help that was asked for, or why the line makes no sense.
pub fn parse(line: &str) -> Result<Command, Answer> {
    let Some(words) = words::split(line) else {
        return Err(Answer::usage("drawbridge: a quote in the command line is not closed.\n".to_owned()));
    };
    Line::try_parse_from(words).map(|line| line.command).map_err(|error| {
        // It repeats what was typed.
        let text = lines_shown(&error.render().to_string());
        if error.use_stderr() { Answer::usage(text) } else { Answer::text(text) }
    })
}

fn lines_shown(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// An answer for arguments that do not go together.
pub(super) fn senseless(sentence: &str) -> Answer {
    Answer::text(String::new()).but(Verdict::Usage, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> (Verdict, String) {
        let answer = parse(line).expect_err("nothing to do");
        let text: String = answer.output.collect();
        (answer.verdict, format!("{text}{}", answer.complaint))
    }

    #[test]
    fn the_definition_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn help_is_an_answer_and_nonsense_is_not() {
        assert_eq!(refusal("help"), (Verdict::Yes, help()));
        assert_eq!(refusal("--help").0, Verdict::Yes);
        assert_eq!(refusal("help targets").0, Verdict::Yes);
        for line in
            ["targets --jsn", "targets colour=red", "explain", "explain a --login 'x y'", "tragets", "", "'"]
        {
            assert_eq!(refusal(line).0, Verdict::Usage, "{line}");
        }
    }

    #[test]
    fn the_help() {
        insta::assert_snapshot!(help());
    }

    #[test]
    fn what_is_wrong_is_said_in_plain_text() {
        let (_, text) = refusal("targets --jsn");
        insta::assert_snapshot!(text);
        let (_, text) = refusal("targets \u{1b}[2J=\u{9b}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn commands_are_told_from_targets() {
        for word in ["help", "whoami", "targets", "explain", "doctor", "ssh-config", "--help", "-x"] {
            assert!(is_command(word), "{word}");
        }
        for word in ["web-1", "ec2-user@web-1", "Targets", ""] {
            assert!(!is_command(word), "{word}");
        }
    }

    #[test]
    fn actions_come_with_their_particulars() {
        let action = |line: &str| {
            let command = parse(&format!("explain web-1 {line}")).expect("a command");
            let Command::Explain(args) = command else { panic!("{command:?}") };
            args.action()
        };
        assert_eq!(action(""), Ok(Action::Shell));
        assert_eq!(action("--command 'git pull'"), Ok(Action::Exec { command: "git pull".to_owned() }));
        assert_eq!(
            action("--action local-forward --to '[::1]:5432'"),
            Ok(Action::LocalForward { host: "::1".to_owned(), port: 5432 })
        );
        for senseless in [
            "--action exec",
            "--action shell --command x",
            "--action connect",
            "--action local-forward --to db:99999",
            "--action agent --to x",
            "--action local-socket",
        ] {
            assert!(action(senseless).is_err(), "{senseless}");
        }
    }
}
