//! The configuration: read once, checked whole, typed; after that nobody asks again.
//!
//! A TOML file, `DRAWBRIDGE__SECTION__KEY` variables and flags are laid on top of each other
//! (`layers`), taken apart with typed readers (`reader`), and what they say about the disk is
//! looked at (`disk`).
//!
//! What always holds: a [`Config`] that exists has values within their limits, and paths that
//! are absolute; a value that cannot be understood is never replaced by a default, and every
//! mistake of every layer is listed at once. Unknown keys are mistakes.
//!
//! What this room does not do: read users, policy, keys or revocation lists (their rooms do),
//! create files, or change while the daemon runs.

mod bucket;
mod collisions;
mod disk;
mod duration;
mod identity;
mod inventory;
mod layers;
mod metrics;
mod origin;
mod reader;
mod record;
mod server;
mod sinks;
mod suggest;
mod unknown;
mod upstream;
mod value;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use duration::{DurationError, format_duration, parse_duration};
pub use identity::{IdentityFiles, PolicyFiles};
pub(crate) use inventory::is_region;
pub use inventory::{AccountConfig, InventoryConfig};
pub use metrics::MetricsConfig;
pub use record::{AuditConfig, DatabaseUrl, NodeConfig, RecordingConfig, StoreConfig};
pub use server::{Data, LogConfig, LogFormat, Server};
pub use sinks::{OtlpConfig, SinkConfig, SinkKind, SyslogAddress, SyslogConfig};
pub use upstream::{AwsConfig, CredentialSource, DiagnosisConfig, InstanceConnectConfig, UpstreamConfig};

use self::layers::Layer;
use self::origin::{Complaint, Origin, Placed, into_problems};
use self::reader::Reader;
use crate::problem::Problem;

/// What the names of our environment variables begin with.
pub const VARIABLE_PREFIX: &str = "DRAWBRIDGE__";

/// What they begin with where somebody wrote one underscore. Others have such variables too: in Kubernetes a service
/// called `drawbridge` gives `DRAWBRIDGE_PORT`. So one is a mistake only where it spells a key of ours.
pub const VARIABLE_NEAR_MISS: &str = "DRAWBRIDGE_";

/// The largest config file, in bytes. A thousand accounts fit.
const FILE_SIZE_MAX: u64 = 1 << 20;

/// Everything drawbridge can be told, section by section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How clients are let in.
    pub server: Server,
    /// Where drawbridge keeps what must survive a restart.
    pub data: Data,
    /// The files that say who is who.
    pub identity: IdentityFiles,
    /// The files that say who may do what.
    pub policy: PolicyFiles,
    /// Whose instances there are.
    pub inventory: InventoryConfig,
    /// Pushing the one-session key.
    pub instance_connect: InstanceConnectConfig,
    /// The SSH connection to a target.
    pub upstream: UpstreamConfig,
    /// How AWS is reached.
    pub aws: AwsConfig,
    /// Saying why a target cannot be reached.
    pub diagnosis: DiagnosisConfig,
    /// This daemon among several.
    pub node: NodeConfig,
    /// The database.
    pub store: StoreConfig,
    /// What is recorded.
    pub recording: RecordingConfig,
    /// The audit trail.
    pub audit: AuditConfig,
    /// Where metrics and health are told.
    pub metrics: MetricsConfig,
    /// What the operator reads.
    pub log: LogConfig,
}

/// What the command line says about the configuration. The uppermost layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen ADDR`, each; they replace `server.listen`.
    pub listen: Vec<String>,
    /// `--set section.key=value`, each; a later one wins.
    pub set: Vec<String>,
}

impl Config {
    /// Reads the layers and checks them, also against the disk. Nothing is created or changed.
    ///
    /// # Errors
    /// Every problem that was found, in reading order.
    pub fn load(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &Overrides,
    ) -> Result<Self, Vec<Problem>> {
        Self::load_as_far(file, variables, flags, |_| true)
    }

    /// The same for whoever only asks about the configuration and the policy: of the disk, users and policy are looked
    /// at, and not what drawbridge keeps or writes, which is on another machine or another user's.
    ///
    /// # Errors
    /// Every problem that was found, in reading order.
    pub fn load_to_ask(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &Overrides,
    ) -> Result<Self, Vec<Problem>> {
        Self::load_as_far(file, variables, flags, |claim| {
            ["identity.users", "policy.files"].contains(&claim.name.as_str())
        })
    }

    fn load_as_far(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &Overrides,
        concerns: impl Fn(&disk::Claim) -> bool,
    ) -> Result<Self, Vec<Problem>> {
        let text = file.map_or(Ok(String::new()), read_file).map_err(|problem| vec![problem])?;
        let layers = [Layer::from_toml(&text), Layer::from_variables(variables), Layer::from_flags(flags)];
        let file_is_toml = layers.iter().all(|layer| !layer.is_broken);
        let Reading { config, mut complaints, mut claims, doubtful } = Self::read(layers, &folder_of(file));
        if file_is_toml {
            claims.retain(concerns);
            complaints.extend(disk::check(&claims, doubtful));
        }
        if complaints.is_empty() { Ok(config) } else { Err(into_problems(complaints, file)) }
    }

    /// The files whose contents may change while the daemon runs; see [`crate::reload`].
    #[must_use]
    pub fn reloadable_files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.identity.users.clone()];
        files.extend_from_slice(&self.policy.files);
        files.extend_from_slice(&self.identity.trusted_user_ca_keys);
        files.extend_from_slice(&self.identity.revoked_keys);
        files.extend_from_slice(&self.upstream.host_cas);
        files
    }

    fn read(mut layers: [Layer; 3], folder: &Path) -> Reading {
        let mut complaints: Vec<Placed> = Vec::new();
        for layer in &mut layers {
            complaints.append(&mut layer.complaints);
        }
        let [file, variables, _] = &layers;
        let (section_lines, strays) = (file.section_lines.clone(), file.strays.clone());
        let near_misses = variables.near_misses.clone();
        let tree = layers::merge(layers).unwrap_or_else(|error| {
            let complaint = Complaint::new(format!("the layers cannot be put together: {error}"));
            complaints.push(Placed::new(Origin::Default, complaint));
            layers::Table::new()
        });
        let mut reader = Reader::new(tree, folder.to_path_buf());
        let config = Self::from_reader(&mut reader);
        reader.close();
        complaints.extend(unknown::complaints(&reader, &section_lines, &strays));
        complaints.extend(unknown::near_misses(&reader.known, &near_misses));
        complaints.append(&mut reader.complaints);
        complaints.extend(collisions::complaints(&reader.claims, &config.store));
        Reading { config, complaints, claims: reader.claims, doubtful: reader.doubtful }
    }

    fn from_reader(reader: &mut Reader) -> Self {
        let data = reader.section("data", Data::read);
        let server = reader.section("server", |section| Server::read(section, &data.dir));
        Self {
            identity: reader.section("identity", IdentityFiles::read),
            policy: reader.section("policy", PolicyFiles::read),
            inventory: reader.section("inventory", InventoryConfig::read),
            instance_connect: reader.section("instance_connect", InstanceConnectConfig::read),
            upstream: reader.section("upstream", UpstreamConfig::read),
            aws: reader.section("aws", AwsConfig::read),
            diagnosis: reader.section("diagnosis", DiagnosisConfig::read),
            node: reader.section("node", NodeConfig::read),
            store: reader.section("store", |section| StoreConfig::read(section, &data.dir)),
            recording: reader.section("recording", |section| RecordingConfig::read(section, &data.dir)),
            audit: reader.section("audit", |section| AuditConfig::read(section, &data.dir)),
            metrics: reader.section("metrics", |section| MetricsConfig::read(section, &server.listen)),
            log: reader.section("log", LogConfig::read),
            server,
            data,
        }
    }
}

/// What reading the layers gave, before anything was looked up on the disk.
#[derive(Debug)]
struct Reading {
    /// Complete only when there are no complaints.
    config: Config,
    complaints: Vec<Placed>,
    claims: Vec<disk::Claim>,
    doubtful: Vec<PathBuf>,
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let cannot = |error: &std::io::Error| {
        Problem::new(path, format!("the config file cannot be read: {error}"))
            .with_hint("check the path that --config names, and who may read it")
    };
    let file = std::fs::File::open(path).map_err(|error| cannot(&error))?;
    let mut bytes = Vec::new();
    file.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_SIZE_MAX) {
        return Err(Problem::new(path, format!("the config file is larger than {FILE_SIZE_MAX} bytes"))
            .with_hint("check that --config names the right file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(sound).filter(|byte| **byte == b'\n').count() + 1;
        Problem::new(path, "the config file is not UTF-8 text")
            .at_line(line)
            .with_hint("check that --config names the right file, and save it as UTF-8")
    })
}

/// What the file's relative paths are relative to, as an absolute path.
fn folder_of(file: Option<&Path>) -> PathBuf {
    let here = reader::working_directory();
    match file.and_then(Path::parent) {
        Some(folder) => here.join(folder),
        None => here,
    }
}

#[cfg(test)]
mod tests;
