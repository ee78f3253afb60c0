//! `drawbridge policy …`: one case, or a table of them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;
use crate::domain::{Action, ActionKind, Login, TargetRef, UserName};
use crate::policy::parse_endpoint;

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

fn action_kind(text: &str) -> Result<ActionKind, String> {
    ActionKind::parse(text).ok_or_else(|| format!("the actions are {}", ActionKind::names()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Arguments, Command};

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
    fn names_are_checked_where_they_are_typed() {
        let target = ["drawbridge", "policy", "explain", "--user", "ada", "--target", "../../etc"];
        let error = Arguments::try_parse_from(target).expect_err("a refusal");
        assert_eq!(error.exit_code(), 2);
    }
}
