//! The command line: arguments in, an exit code out.
//!
//! What always holds: what a command says goes to the writer it was given; what went wrong is a
//! [`CliError`] with one exit code. What the commands do belongs to other rooms: a command that has more than
//! a few words to say about it has a file of its own, the others call them from `parts`.
//!
//! What is not here: what can be typed (`args`), and any decision about who may do what.

mod args;
mod audit;
mod doctor;
mod host_keys;
mod iam_policy;
mod parts;
mod perform;
mod prune;
mod selfcheck;

use std::io::{self, Write};

pub use args::{Arguments, AuditCommand, Command, HostKeysCommand, PolicyCommand};
use args::{AsAnybody, AsUser, ConfigArgs, ExplainArgs};

use crate::config::{Config, Overrides, VARIABLE_NEAR_MISS};
use crate::console::{self, Question};
use crate::problem::Problem;

/// How the process ends. `docs/configuration.md` lists the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for was done.
    Done,
    /// It was not, or the answer is no.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The configuration is broken, and starting again will not help (`EX_CONFIG`).
    Config,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Config => 78,
        })
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration, or a file that it names, has mistakes.
    #[error("{}", problem_list(.0))]
    Problems(Vec<Problem>),
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// Something that was done failed; the text is a full sentence.
    #[error("{0}")]
    Failed(String),
    /// The answer could not be written.
    #[error("The answer cannot be written: {0}.")]
    Answer(#[from] io::Error),
}

impl CliError {
    fn exit(&self) -> Exit {
        match self {
            Self::Problems(_) => Exit::Config,
            Self::Usage(_) => Exit::Usage,
            Self::Failed(_) | Self::Answer(_) => Exit::Failed,
        }
    }
}

/// Runs what the arguments ask for. Answers go to `out`, complaints to `err`.
pub fn run(arguments: Arguments, out: &mut impl Write, err: &mut impl Write) -> Exit {
    match dispatch(arguments.command, out, err) {
        Ok(exit) => exit,
        // Whoever read the answer has read enough, as in `drawbridge check | head`.
        Err(CliError::Answer(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Failed,
        Err(error) => {
            // Where standard error is gone as well, the exit code is all that is left to say.
            drop(writeln!(err, "drawbridge: {error}"));
            error.exit()
        }
    }
}

fn dispatch(command: Command, out: &mut impl Write, err: &mut impl Write) -> Result<Exit, CliError> {
    use crate::console::Command as Ask;
    match command {
        Command::Whoami { by, question } => ask(&by, Ask::Whoami(question), out, err),
        Command::Targets { by, question } => ask(&by, Ask::Targets(question), out, err),
        Command::Explain { by, question } => ask(&by, Ask::Explain(question), out, err),
        Command::Doctor(args) => doctor::run(&args, out, err),
        Command::SshConfig { by, question } => ask(&by, Ask::SshConfig(question), out, err),
        Command::Sessions { by, question } => of_the_record(&by, Question::Sessions(question), out, err),
        Command::Replay { by, question } => of_the_record(&by, Question::Replay(question), out, err),
        Command::Events { by, question } => of_the_record(&by, Question::Events(question), out, err),
        Command::Export { by, question } => of_the_record(&by, Question::Export(question), out, err),
        Command::Serve { config, listen } => serve(&config, listen),
        Command::Check { config } => check(&config, out),
        Command::Demo { dir, listen } => parts::demo(dir, listen, out).map(|()| Exit::Done),
        Command::Policy { command } => policy(command, out),
        Command::Prune(args) => {
            let config = load(&args.config)?;
            runtime(&config)?.block_on(prune::run(&config, &args, out))
        }
        Command::IamPolicy(args) => iam_policy::run(&load_to_ask(&args.config)?, &args, out, err),
        Command::HostCa { config } => {
            writeln!(out, "{}", parts::host_ca_line(&load(&config)?)?)?;
            Ok(Exit::Done)
        }
        Command::Audit { command } => audit::run(&command, out),
        Command::HostKeys { command } => {
            let config = load(command.config())?;
            runtime(&config)?.block_on(host_keys::run(&config, &command, out))
        }
    }
}

/// Asks the console on a user's behalf.
fn ask(
    by: &AsUser,
    command: console::Command,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Exit, CliError> {
    let config = load(&by.config)?;
    let answer = runtime(&config)?.block_on(parts::console(&config, by, command, err))?;
    let verdict = answer.verdict;
    answer.write(out, err)?;
    Ok(exit(verdict))
}

/// Asks about the record, as the operator or in a user's place.
fn of_the_record(
    by: &AsAnybody,
    question: Question,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Exit, CliError> {
    let config = load(&by.config())?;
    let runtime = runtime(&config)?;
    let verdict = runtime.block_on(async {
        let mut answer = parts::record(&config, by, question).await?;
        let (live, mut verdict) = (answer.live.take(), answer.verdict);
        answer.write(out, err)?;
        if let Some(live) = live {
            verdict = perform::perform(live, out, err).await?;
        }
        Ok::<_, CliError>(verdict)
    });
    // Reading the keyboard must not keep a command that is over.
    runtime.shutdown_background();
    verdict.map(exit)
}

fn exit(verdict: console::Verdict) -> Exit {
    match verdict {
        console::Verdict::Yes => Exit::Done,
        console::Verdict::No => Exit::Failed,
        console::Verdict::Usage => Exit::Usage,
    }
}

fn serve(arguments: &ConfigArgs, listen: Vec<String>) -> Result<Exit, CliError> {
    let config = load_with(arguments, listen)?;
    parts::start_log(&config.log)?;
    runtime(&config)?.block_on(parts::serve(config))?;
    Ok(Exit::Done)
}

/// Lists every problem of the config and of the files it names.
fn check(arguments: &ConfigArgs, out: &mut impl Write) -> Result<Exit, CliError> {
    let problems = match load(arguments) {
        Ok(config) => {
            let problems = parts::problems_of_files(&config, &arguments.config);
            if problems.is_empty() {
                summarise(&config, out)?;
                return Ok(Exit::Done);
            }
            problems
        }
        Err(CliError::Problems(problems)) => problems,
        Err(other) => return Err(other),
    };
    writeln!(out, "{}", problem_list(&problems))?;
    Ok(Exit::Failed)
}

fn summarise(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let listen: Vec<String> = config.server.listen.iter().map(ToString::to_string).collect();
    let accounts: Vec<&str> =
        config.inventory.accounts.iter().map(|account| account.alias.as_str()).collect();
    writeln!(out, "The configuration is sound.")?;
    writeln!(out, "  listens on  {}", listen.join(", "))?;
    writeln!(out, "  state in    {}", config.data.dir.display())?;
    if accounts.is_empty() {
        return writeln!(
            out,
            "  accounts    none: add [[inventory.accounts]], or no instance can be reached"
        );
    }
    writeln!(out, "  accounts    {}", accounts.join(", "))
}

fn policy(command: PolicyCommand, out: &mut impl Write) -> Result<Exit, CliError> {
    match command {
        PolicyCommand::Explain(ExplainArgs { config, question }) => {
            let wanted = question.wanted().map_err(|reason| CliError::Usage(reason.to_owned()))?;
            let config = load_to_ask(&config)?;
            runtime(&config)?.block_on(parts::policy_explain(&config, &question, &wanted, out))
        }
        PolicyCommand::Test { file, config } => parts::policy_test(&load_to_ask(&config)?, &file, out),
    }
}

fn load(arguments: &ConfigArgs) -> Result<Config, CliError> {
    load_with(arguments, Vec::new())
}

fn load_with(arguments: &ConfigArgs, listen: Vec<String>) -> Result<Config, CliError> {
    let flags = Overrides { listen, set: arguments.set.clone() };
    Config::load(Some(&arguments.config), variables(), &flags).map_err(CliError::Problems)
}

/// For commands that need the configuration and the policy alone, wherever they run: in CI, on a laptop.
fn load_to_ask(arguments: &ConfigArgs) -> Result<Config, CliError> {
    let flags = Overrides { listen: Vec::new(), set: arguments.set.clone() };
    Config::load_to_ask(Some(&arguments.config), variables(), &flags).map_err(CliError::Problems)
}

/// Our variables, and those that nearly are. One that is not Unicode is kept, with marks in it, so that it is complained
/// about and not overlooked.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, text)| (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(VARIABLE_NEAR_MISS))
}

fn runtime(config: &Config) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.server.worker_threads {
        builder.worker_threads(threads.get());
    }
    let built = builder.enable_all().build();
    built.map_err(|error| CliError::Failed(format!("The worker threads cannot be started: {error}.")))
}

/// All problems, one below the other, and how many there are.
fn problem_list(problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    let mut text = format!("The configuration has {count}.");
    for problem in problems {
        text.push('\n');
        text.push_str(&problem.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn run_with(arguments: &[&str]) -> (Exit, String, String) {
        let arguments = Arguments::try_parse_from(arguments).expect("arguments that clap accepts");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = run(arguments, &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (exit, text(out), text(err))
    }

    /// The example files, copied as the README says, and the path of the configuration.
    fn examples() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("a directory");
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for name in ["users.toml", "policy.cedar", "policy-tests.toml"] {
            std::fs::copy(shipped.join(name), folder.path().join(name)).expect("a copy");
        }
        let config = folder.path().join("drawbridge.toml");
        std::fs::copy(shipped.join("minimal.toml"), &config).expect("a copy");
        (folder, config.display().to_string())
    }

    #[test]
    fn the_examples_are_sound_when_they_are_copied_as_the_readme_says() {
        let (folder, config) = examples();
        let state = format!("data.dir={}", folder.path().join("state").display());
        let (exit, out, _) = run_with(&["drawbridge", "check", "--config", &config, "--set", &state]);
        assert_eq!(exit, Exit::Done, "{out}");
        let table = folder.path().join("policy-tests.toml").display().to_string();
        let (exit, out, _) =
            run_with(&["drawbridge", "policy", "test", &table, "--config", &config, "--set", &state]);
        assert_eq!(exit, Exit::Done, "{out}");
    }

    #[test]
    fn what_serve_would_stumble_over_is_found_by_check() {
        use std::os::unix::fs::OpenOptionsExt as _;
        let (folder, config) = examples();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).expect("a directory");
        let mut options = std::fs::OpenOptions::new();
        let mut key =
            options.write(true).create_new(true).mode(0o600).open(state.join("audit_key")).expect("a file");
        key.write_all(b"-----BEGIN RSA PRIVATE KEY-----\n").expect("written");
        std::fs::write(folder.path().join("ca.pem"), "no certificate\n").expect("a file");
        let text = format!(
            "[data]\ndir = \"{}\"\n[[audit.sinks]]\nname = \"siem\"\nkind = \"syslog\"\nto = \"tls://logs.example.com\"\nca = \"ca.pem\"\n\
             [store]\nurl = \"postgres://me:secret@db:99999/records\"\n",
            state.display()
        );
        std::fs::write(&config, text).expect("a file");
        let (exit, out, _) = run_with(&["drawbridge", "check", "--config", &config]);
        assert_eq!(exit, Exit::Failed, "{out}");
        assert!(out.contains("audit_key: it is not an unencrypted Ed25519 private key"), "{out}");
        assert!(out.contains("drawbridge.toml: the sink siem cannot be used: "), "{out}");
        assert!(out.contains("`store.url`: it is not the URL of a PostgreSQL database: "), "{out}");
        assert!(out.starts_with("The configuration has 3 problems.") && !out.contains("secret"), "{out}");
    }

    #[test]
    fn the_policy_is_tested_where_drawbridge_keeps_nothing() {
        let (folder, config) = examples();
        let table = folder.path().join("policy-tests.toml").display().to_string();
        // Nobody can make a directory below a file, not even root.
        let nowhere = format!("data.dir={table}/state");
        let with = |command: &[&str]| {
            let line = ["drawbridge"].iter().chain(command).copied();
            run_with(&line.chain(["--config", &config, "--set", &nowhere]).collect::<Vec<_>>())
        };
        let (exit, out, err) = with(&["policy", "test", &table]);
        assert_eq!(exit, Exit::Done, "{out}{err}");
        let (exit, out, err) = with(&["iam-policy", "--account", "main"]);
        assert!(exit == Exit::Done && out.contains("SendSSHPublicKey"), "{out}{err}");
        let (exit, out, _) = with(&["check"]);
        assert!(exit == Exit::Failed && out.contains("`data.dir`"), "{out}");
    }

    #[test]
    fn serve_refuses_a_broken_config_with_ex_config_and_all_problems() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("drawbridge.toml");
        std::fs::write(&file, "[server]\nlisten = [\"nowhere\"]\nlogin_grace = 30\n").expect("a file");
        let file = file.display().to_string();
        let (exit, out, err) = run_with(&["drawbridge", "serve", "--config", &file]);
        assert_eq!((exit, out.as_str()), (Exit::Config, ""));
        assert!(err.starts_with("drawbridge: The configuration has 4 problems.\n"), "{err}");
        assert!(err.contains(&format!("{file}:2: ")) && err.contains(&format!("{file}:3: ")), "{err}");
    }

    #[test]
    fn check_lists_problems_as_its_answer_and_fails() {
        let (exit, out, err) = run_with(&["drawbridge", "check", "--config", "/nonexistent/drawbridge.toml"]);
        assert_eq!((exit, err.as_str()), (Exit::Failed, ""));
        assert!(out.contains("the config file cannot be read: No such file or directory"), "{out}");
    }

    #[test]
    fn the_flag_that_broke_something_is_named() {
        let (_, out, _) =
            run_with(&["drawbridge", "check", "--config", "/dev/null", "--set", "upstream.port=ssh"]);
        assert!(out.contains("--set upstream.port: `upstream.port`: "), "{out}");
    }

    #[test]
    fn exit_codes_are_as_documented() {
        for (exit, code) in [(Exit::Done, 0), (Exit::Failed, 1), (Exit::Usage, 2), (Exit::Config, 78)] {
            let code = std::process::ExitCode::from(code);
            assert_eq!(format!("{:?}", std::process::ExitCode::from(exit)), format!("{code:?}"));
        }
    }
}
