//! The calls into the rooms that do the work: one small function each.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::args::{AsAnybody, AsUser, DoctorArgs, Question, Wanted};
use super::{CliError, Exit};
use crate::app::{self, AppError};
use crate::auth::Directory;
use crate::aws::AwsAccess;
use crate::checkup;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, LogConfig, LogFormat, StoreConfig};
use crate::console::{
    self, Answer, Archive, Asker, Clinic, Desk, Library, OffTheRecord, Person, Probe, RecordDesk,
};
use crate::demo::{self, DemoOptions};
use crate::domain::{Destination, Identity, ServerAddress, Target, TargetRef, UserName};
use crate::policy;
use crate::problem::Problem;
use crate::record::Spool;
use crate::record::vault::Vault;
use crate::sinks;
use crate::ssh::{HostKey, HostKeyError};
use crate::store::{self, Store};
use crate::target::{Inventory, Resolution, default_login};
use crate::telemetry;

/// A table of expected decisions is text that people write; far beyond this it is something else.
const TABLE_BYTES_MAX: u64 = 8 << 20;

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}

impl From<AppError> for CliError {
    fn from(error: AppError) -> Self {
        if let AppError::Problems(problems) = error { Self::Problems(problems) } else { failed(error) }
    }
}

/// Starts the operator's log for the rest of the process.
pub(super) fn start_log(config: &LogConfig) -> Result<(), CliError> {
    let format = match config.format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    let settings = telemetry::LogSettings { format, level: config.level.clone() };
    telemetry::init(&settings).map_err(failed)
}

/// Runs the daemon until it is told to stop and has drained.
pub(super) async fn serve(config: Config) -> Result<(), CliError> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let aws = AwsAccess::of(&config).await;
    let (ready, _nobody_waits) = oneshot::channel();
    let daemon = app::run(config, aws, stop.clone(), ready);
    tokio::pin!(daemon);
    let ended = tokio::select! {
        ended = &mut daemon => ended,
        _ = terminate.recv() => { stop.cancel(); daemon.await }
        _ = interrupt.recv() => { stop.cancel(); daemon.await }
    };
    Ok(ended?)
}

/// Runs the demo until it is told to stop.
pub(super) fn demo(dir: Option<PathBuf>, listen: SocketAddr, out: &mut impl Write) -> Result<(), CliError> {
    start_log(&LogConfig { format: LogFormat::Text, level: "warn".to_owned() })?;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(demo::run(DemoOptions { dir, listen }, out)).map_err(failed);
    // Reading standard input or a child's ending must not keep a demo that is over.
    runtime.shutdown_background();
    result
}

/// Every problem in the users file, CA keys of users and hosts, revocation lists and policy, and in the keys and
/// certificates of drawbridge's own. `file` is the configuration's.
pub(super) fn problems_of_files(config: &Config, file: &Path) -> Vec<Problem> {
    let directory = app::directory(config);
    let policy = app::policy(config);
    let mut problems = Vec::new();
    if let (Ok(directory), Ok(policy)) = (&directory, &policy) {
        problems.extend(checkup::unknown_names(directory, policy));
        problems.extend(policy.warnings().iter().cloned());
    }
    problems.extend(directory.err().unwrap_or_default());
    problems.extend(policy.err().unwrap_or_default());
    problems.extend(app::host_cas(config).err().unwrap_or_default());
    problems.extend(problems_of_keys(config));
    problems.extend(problem_of_store(config, file));
    let sinks = sinks::obstacles(&config.audit).into_iter();
    problems.extend(sinks.map(|error| Problem::new(file, error.to_string())));
    problems
}

fn problem_of_store(config: &Config, file: &Path) -> Option<Problem> {
    let StoreConfig::Postgres(url) = &config.store else { return None };
    let why = store::check_url(url.expose()).err()?;
    let message = format!("`store.url`: it is not the URL of a PostgreSQL database: {why}");
    let hint = "its form is postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full";
    Some(Problem::new(file, message).with_hint(hint))
}

/// A key that is missing is made at the first start; one that is there and is none is not replaced.
fn problems_of_keys(config: &Config) -> Vec<Problem> {
    let keys = [&config.server.host_key, &config.server.host_ca_key, &config.audit.key];
    let broken = |path: &&PathBuf| {
        let why = match HostKey::load_or_create(path, "").err()? {
            HostKeyError::Format { why, .. } => {
                format!("it is not an unencrypted Ed25519 private key in OpenSSH's format: {why}")
            }
            other @ (HostKeyError::Io { .. } | HostKeyError::Make(_)) => other.to_string(),
        };
        let hint = "put the key back from a backup; where there is no file, a new key is made at the next start, \
                    which clients (host keys) and auditors (audit key) will ask about";
        Some(Problem::new(path, why).with_hint(hint))
    };
    keys.iter().filter(|path| path.exists()).filter_map(broken).collect()
}

/// Prints the decision on one case, and why. Done when it is allowed, failed when it is not.
pub(super) async fn policy_explain(
    config: &Config,
    question: &Question,
    wanted: &Wanted,
    out: &mut impl Write,
) -> Result<Exit, CliError> {
    let directory = app::directory(config).map_err(CliError::Problems)?;
    let policy = app::policy(config).map_err(CliError::Problems)?;
    let identity = identity(&directory, &question.user, question.from)?;
    let (identity, now) = (&Arc::new(identity), SystemClock.now());
    let (explanation, machine) = match wanted {
        Wanted::Action { target, login, action } => {
            let target = found(target, resolve(config, target).await)?;
            let question = policy::Question { identity, target: &target, login, action, now };
            (policy.explain(&question), Some((target, login)))
        }
        Wanted::Connect { target, host, port } => {
            let destination = &destination(config, target.as_ref(), host, *port).await?;
            (policy.explain_connect(&policy::ConnectQuestion { identity, destination, now }), None)
        }
    };
    writeln!(out, "{explanation}")?;
    match explanation.outcome {
        policy::Outcome::Permitted { .. } => {
            if let Some((target, login)) = machine {
                let clinic = clinic(config, &aws(config).await).await;
                if let Some(line) = console::packets_for_operator(&clinic, &target, login).await {
                    writeln!(out, "{line}")?;
                }
            }
            Ok(Exit::Done)
        }
        policy::Outcome::Refused { .. } => Ok(Exit::Failed),
    }
}

fn identity(directory: &Directory, user: &UserName, from: IpAddr) -> Result<Identity, CliError> {
    let known = directory.identity_for_explain(user, from);
    known.ok_or_else(|| CliError::Failed(format!("The users file has no user \"{user}\".")))
}

/// Asks the console on a user's behalf. What an operator should know about the answer goes to `err`.
pub(super) async fn console(
    config: &Config,
    by: &AsUser,
    command: console::Command,
    err: &mut impl Write,
) -> Result<Answer, CliError> {
    let aws = aws(config).await;
    let desk = desk(config, &aws, &by.user, by.from).await?;
    if config.inventory.accounts.is_empty() {
        writeln!(err, "note: The configuration has no account; add [[inventory.accounts]].")?;
    }
    for (place, _, age) in desk.inventory.copies() {
        if age.is_none() {
            writeln!(err, "note: AWS does not list the instances of {place}; `drawbridge doctor` says why.")?;
        }
    }
    Ok(desk.answer(command).await)
}

/// The desk at which a user stands, as far as there is one on the command line: nothing is on record here.
async fn desk(config: &Config, aws: &AwsAccess, user: &UserName, from: IpAddr) -> Result<Desk, CliError> {
    let directory = app::directory(config).map_err(CliError::Problems)?;
    let identity = identity(&directory, user, from)?;
    let policy = app::policy(config).map_err(CliError::Problems)?;
    let inventory = inventory_by(config, aws).await;
    let listens = config.server.listen.first().copied().map(ServerAddress::from);
    let address = config.server.address.clone().or(listens);
    Ok(Desk {
        identity: Arc::new(identity),
        policy: Arc::new(policy),
        inventory,
        now: SystemClock.now(),
        address: address.ok_or_else(|| failed("The configuration names no address to listen on."))?,
        host_ca: app::host_ca(config)?.public_line(),
        archive: None,
        clinic: Some(clinic(config, aws).await),
    })
}

/// What it takes to say why an instance cannot be reached.
async fn clinic(config: &Config, aws: &AwsAccess) -> Clinic {
    Clinic {
        surveyor: app::surveyor(config, aws).await,
        probe: Probe::AsOperator(app::upstream_settings(config)),
        patience: config.diagnosis.patience,
        ledger: Arc::new(OffTheRecord),
    }
}

/// The checklist of an instance: for the operator, or as that user would be answered.
pub(super) async fn doctor(config: &Config, args: &DoctorArgs, typed: &str) -> Result<Answer, CliError> {
    let aws = aws(config).await;
    let DoctorArgs { login, json, .. } = args;
    if let Some(user) = &args.user {
        let question = console::DoctorArgs { target: typed.to_owned(), login: login.clone(), json: *json };
        let desk = desk(config, &aws, user, args.from).await?;
        return Ok(desk.answer(console::Command::Doctor(question)).await);
    }
    let wanted = TargetRef::parse(typed).map_err(failed)?;
    let target = found(&wanted, inventory_by(config, &aws).await.resolve(&wanted).await)?;
    let login = login.clone().or_else(|| default_login(&target));
    Ok(console::doctor_for_operator(&clinic(config, &aws).await, &target, login, *json).await)
}

/// Asks about the record, as the operator or in a user's place.
pub(super) async fn record(
    config: &Config,
    by: &AsAnybody,
    question: console::Question,
) -> Result<Answer, CliError> {
    let asker = match &by.as_user {
        None => Asker::Operator,
        Some(user) => {
            let directory = app::directory(config).map_err(CliError::Problems)?;
            Asker::Person(Person {
                identity: Arc::new(identity(&directory, user, by.from)?),
                policy: Arc::new(app::policy(config).map_err(CliError::Problems)?),
                inventory: inventory(config).await,
            })
        }
    };
    let archive = archive(config).await?;
    Ok(RecordDesk { asker, archive, now: SystemClock.now() }.answer(question).await)
}

async fn archive(config: &Config) -> Result<Archive, CliError> {
    let dir = &config.recording.dir;
    // It is the daemon's to make, with its own user.
    let spool = dir.is_dir().then(|| Spool::open(dir)).transpose().map_err(failed)?;
    let vault = Vault::open(config.recording.upload_to.as_ref()).map_err(failed)?;
    Ok(Archive {
        store: Store::open(&config.store).await.map_err(failed)?,
        library: Library::new(spool, vault),
        node: config.node.name_or_host(),
        turns: console::Turns::default(),
    })
}

async fn aws(config: &Config) -> AwsAccess {
    AwsAccess::of(config).await
}

/// Every instance that AWS lists at this moment.
async fn inventory(config: &Config) -> Inventory {
    inventory_by(config, &aws(config).await).await
}

async fn inventory_by(config: &Config, aws: &AwsAccess) -> Inventory {
    let inventory = app::inventory(config, aws).await;
    inventory.first_refresh().await;
    inventory
}

/// Where the bastion would connect: to the target, else to the address, which may be an instance's.
async fn destination(
    config: &Config,
    target: Option<&TargetRef>,
    host: &str,
    port: u16,
) -> Result<Destination, CliError> {
    let of = |address, instance| Destination { host: host.to_owned(), address, port, instance };
    if let Some(typed) = target {
        let target = found(typed, resolve(config, typed).await)?;
        return Ok(of(target.private_ip, Some(target)));
    }
    let address: IpAddr = host.parse().map_err(|_| {
        CliError::Usage(format!(
            "\"{host}\" is no address: give one in --to, or name the instance with --target."
        ))
    })?;
    let typed = TargetRef::parse(host).map_err(failed)?;
    match resolve(config, &typed).await {
        Resolution::Unknown => Ok(of(address, None)),
        other @ (Resolution::Found(_) | Resolution::Ambiguous(_) | Resolution::Unavailable) => {
            Ok(of(address, Some(found(&typed, other)?)))
        }
    }
}

async fn resolve(config: &Config, typed: &TargetRef) -> Resolution {
    inventory(config).await.resolve(typed).await
}

fn found(typed: &TargetRef, resolution: Resolution) -> Result<Arc<Target>, CliError> {
    match resolution {
        Resolution::Found(target) => Ok(target),
        Resolution::Unknown => Err(CliError::Failed(format!("No instance is called \"{typed}\"."))),
        Resolution::Unavailable => {
            let sentence = "AWS does not list the instances; `drawbridge doctor` says why.";
            Err(CliError::Failed(sentence.to_owned()))
        }
        Resolution::Ambiguous(targets) => {
            let ids: Vec<String> = targets.iter().map(|t| format!("{} in {}", t.id, t.region)).collect();
            let listed = ids.join(", ");
            Err(CliError::Failed(format!("\"{typed}\" may be any of: {listed}; name one by its id.")))
        }
    }
}

/// Prints the rows whose decision is not the expected one. Failed when there is such a row.
pub(super) fn policy_test(config: &Config, table: &Path, out: &mut impl Write) -> Result<Exit, CliError> {
    let policy = app::policy(config).map_err(CliError::Problems)?;
    let directory = app::directory(config).map_err(CliError::Problems)?;
    let unreadable =
        |error: std::io::Error| CliError::Failed(format!("{} cannot be read: {error}.", table.display()));
    if fs::metadata(table).map_err(unreadable)?.len() > TABLE_BYTES_MAX {
        return Err(CliError::Failed(format!("{} is too large to be a table of cases.", table.display())));
    }
    let text = fs::read_to_string(table).map_err(unreadable)?;
    let groups_of = |name: &UserName| directory.user(name).map(|user| user.groups.clone());
    let report = policy::run_table(&policy, table, &text, &groups_of).map_err(CliError::Problems)?;
    writeln!(out, "{report}")?;
    Ok(if report.passed() { Exit::Done } else { Exit::Failed })
}

/// The `@cert-authority` line for `known_hosts`, without the end of line.
pub(super) fn host_ca_line(config: &Config) -> Result<String, CliError> {
    let key = app::host_ca(config)?;
    Ok(format!("@cert-authority * {} drawbridge", key.public_line()))
}
