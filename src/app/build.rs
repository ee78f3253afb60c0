//! Makes the parts from the config.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use super::AppError;
use super::keeping::Keeping;
use super::operating::Operating;
use super::pins::PinsOnRecord;
use super::recordings;
use crate::auth::{Directory, IdentitySources};
use crate::aws::{
    AssumeRole, AwsAccess, Consoles, Ec2Source, InstanceConnect, InstanceConnectSettings, PlaceClients,
    PortRule, Survey, SurveySettings,
};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::console::{Archive, Library, Turns};
use crate::diagnose::Surveyor;
use crate::policy::Policy;
use crate::problem::Problem;
use crate::record::{self, Recorders};
use crate::reload::Reloadable;
use crate::session::{Gateway, Roster, Services, Settings, Standing};
use crate::ssh::{HostKey, HostKeyError, Limits, RekeyPolicy};
use crate::store::Store;
use crate::target::{self, Inventory, Place, Source};
use crate::tasks::Tasks;
use crate::upstream::{self, Connector};
use crate::vouch::{Chain, Harvest, HarvestSettings, HostCas};

/// Reads the users, CAs and revocation lists that the config names.
///
/// # Errors
/// Every problem in them.
pub fn directory(config: &Config) -> Result<Directory, Vec<Problem>> {
    Directory::load(&IdentitySources {
        users_file: config.identity.users.clone(),
        trusted_user_ca_keys: config.identity.trusted_user_ca_keys.clone(),
        revoked_keys: config.identity.revoked_keys.clone(),
    })
}

/// Reads the policy files that the config names.
///
/// # Errors
/// Every problem in them.
pub fn policy(config: &Config) -> Result<Policy, Vec<Problem>> {
    Policy::load(&config.policy.files)
}

/// Reads the CAs whose host certificates are believed.
///
/// # Errors
/// Every problem in them.
pub fn host_cas(config: &Config) -> Result<HostCas, Vec<Problem>> {
    HostCas::load(&config.upstream.host_cas)
}

fn data_dir(config: &Config) -> Result<(), AppError> {
    let dir = &config.data.dir;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| AppError::DataDir { path: dir.display().to_string(), source })
}

/// The key that vouches for every name the bastion answers to; made at first use.
pub(crate) fn host_ca(config: &Config) -> Result<HostKey, AppError> {
    data_dir(config)?;
    Ok(HostKey::load_or_create(&config.server.host_ca_key, "drawbridge host CA")?)
}

/// What survives a restart; made at first use.
pub(crate) async fn store(config: &Config) -> Result<Store, AppError> {
    data_dir(config)?;
    Ok(Store::open(&config.store).await?)
}

fn host_key(config: &Config) -> Result<HostKey, HostKeyError> {
    HostKey::load_or_create(&config.server.host_key, "drawbridge")
}

pub(super) async fn services(
    config: &Config,
    aws: &AwsAccess,
    operating: &Operating,
) -> Result<(Arc<Services>, Keeping, Harvest), AppError> {
    let (directory, policy) = match (directory(config), policy(config)) {
        (Ok(directory), Ok(policy)) => (directory, policy),
        (directory, policy) => {
            let mut problems = directory.err().unwrap_or_default();
            problems.extend(policy.err().unwrap_or_default());
            return Err(AppError::Problems(problems));
        }
    };
    for warning in policy.warnings() {
        tracing::warn!(%warning, "policy");
    }
    tell_of_exceptions(config);
    let clock: SharedClock = Arc::new(SystemClock);
    let host_ca = Arc::new(host_ca(config)?);
    let host_key = Arc::new(host_key(config)?);
    let store = store(config).await?;
    let recorders = Recorders::start(record::Settings {
        spool: config.recording.dir.clone(),
        default_mode: config.recording.default,
    })?;
    let (keeping, log) = Keeping::open(config, store.clone(), &clock, &operating.metrics).await?;
    let places = places(config, aws).await;
    let inventory = inventory_of(config, &places, &clock);
    let injector = Arc::new(InstanceConnect::new(
        &places,
        InstanceConnectSettings { deadline: config.instance_connect.deadline, ..Default::default() },
        Arc::clone(&clock),
    ));
    let archive = Archive {
        store: store.clone(),
        library: Library::new(recorders.spool().cloned(), recordings::vault(config)?),
        node: config.node.name_or_host(),
        turns: Turns::default(),
    };
    let surveyor = surveyor_of(config, aws, &places, &clock);
    let pins = Arc::new(store);
    let chain = Chain {
        order: config.upstream.host_keys.clone(),
        tag: config.upstream.host_key_tag.clone(),
        cas: host_cas(config).map_err(AppError::Problems)?,
    };
    let consoles = Arc::new(Consoles::new(&places));
    let harvest = Harvest {
        inventory: inventory.clone(),
        chain: chain.clone(),
        consoles: Arc::clone(&consoles) as _,
        pins: Arc::clone(&pins) as _,
        ledger: Arc::new(PinsOnRecord(log.clone())),
        clock: Arc::clone(&clock),
        settings: HarvestSettings::default(),
    };
    let connector = Connector::new(injector, pins, upstream_settings(config), Arc::clone(&clock))
        .believing(chain, consoles);
    let services = Services {
        directory: Reloadable::new("users", directory),
        policy: Reloadable::new("policy", policy),
        inventory,
        connector,
        gateway: Gateway::new(&config.server.listen),
        recorders,
        roster: Roster::default(),
        standing: Standing::default(),
        log,
        clock,
        host_key,
        host_ca,
        archive: Some(archive),
        surveyor,
        diagnosis_patience: config.diagnosis.patience,
        address: config.server.address.clone(),
        settings: session_settings(config),
        tasks: Tasks::new(),
    };
    Ok((Arc::new(services), keeping, harvest))
}

async fn places(config: &Config, aws: &AwsAccess) -> Vec<PlaceClients> {
    let mut places = Vec::new();
    for account in &config.inventory.accounts {
        let role = account.role_arn.as_ref().map(|role_arn| AssumeRole {
            role_arn: role_arn.clone(),
            external_id: account.external_id.clone(),
            session_name: account.session_name.clone(),
        });
        for region in &account.regions {
            let place = Place { account_alias: account.alias.clone(), region: region.clone() };
            places.push(aws.clients(place, role.as_ref()).await);
        }
    }
    places
}

/// The inventory that the config describes, empty until it is refreshed.
pub(crate) async fn inventory(config: &Config, aws: &AwsAccess) -> Inventory {
    let clock: SharedClock = Arc::new(SystemClock);
    inventory_of(config, &places(config, aws).await, &clock)
}

/// Who gathers the facts of a diagnosis. Makes no call until it is asked to.
pub(crate) async fn surveyor(config: &Config, aws: &AwsAccess) -> Arc<dyn Surveyor> {
    let clock: SharedClock = Arc::new(SystemClock);
    surveyor_of(config, aws, &places(config, aws).await, &clock)
}

fn surveyor_of(
    config: &Config,
    aws: &AwsAccess,
    places: &[PlaceClients],
    clock: &SharedClock,
) -> Arc<dyn Surveyor> {
    let bastion_instance = config.diagnosis.bastion_instance.clone();
    let settings = SurveySettings { bastion_instance, ..Default::default() };
    Arc::new(Survey::new(places, aws, settings, Arc::clone(clock)))
}

fn inventory_of(config: &Config, places: &[PlaceClients], clock: &SharedClock) -> Inventory {
    let rule = PortRule { port_tag: config.upstream.port_tag.clone(), port_default: config.upstream.port };
    let sources = places
        .iter()
        .map(|clients| Arc::new(Ec2Source::new(clients, rule.clone())) as Arc<dyn Source>)
        .collect();
    let settings = target::Settings {
        refresh_interval: config.inventory.refresh_interval,
        refresh_timeout: config.inventory.refresh_timeout,
        lookup_timeout: config.inventory.lookup_timeout,
        instances_max: config.inventory.instances_max,
        ..target::Settings::default()
    };
    Inventory::new(sources, settings, Arc::clone(clock))
}

/// The config says "never" with zero.
fn never_if_zero(interval: Duration) -> Option<Duration> {
    (!interval.is_zero()).then_some(interval)
}

/// How targets are reached.
pub(crate) fn upstream_settings(config: &Config) -> upstream::Settings {
    upstream::Settings {
        connect_timeout: config.upstream.connect_timeout,
        handshake_timeout: config.upstream.handshake_timeout,
        keepalive_interval: never_if_zero(config.upstream.keepalive_interval),
        keepalive_max: config.upstream.keepalive_max,
        legacy_targets: config.upstream.legacy_targets.clone(),
    }
}

/// What an operator chose below the standard of the defaults is said at each start.
fn tell_of_exceptions(config: &Config) {
    if config.inventory.accounts.is_empty() {
        tracing::warn!("no account is configured, so no instance can be reached; add [[inventory.accounts]]");
    }
    let added: Vec<&str> = config.server.offer.additions().collect();
    if !added.is_empty() {
        let algorithms = added.join(", ");
        tracing::info!(
            algorithms,
            "server.additional_algorithms: clients are offered these after the usual ones"
        );
    }
    for target in &config.upstream.legacy_targets {
        tracing::warn!(%target, "upstream.legacy_targets: SHA-1 and finite-field Diffie-Hellman may be used with this target");
    }
}

fn session_settings(config: &Config) -> Settings {
    Settings {
        handshake_timeout: config.server.handshake_timeout,
        login_grace: config.server.login_grace,
        auth_attempts_max: config.server.auth_attempts_max,
        limits: Limits {
            channels_max: config.server.channels_per_connection_max,
            keepalive_interval: never_if_zero(config.server.keepalive_interval),
            keepalive_max: config.server.keepalive_max,
        },
        offer: config.server.offer,
        rekey: RekeyPolicy { bytes: config.server.rekey_after_bytes, interval: config.server.rekey_after },
    }
}
