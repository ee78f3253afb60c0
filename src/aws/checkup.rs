//! Asks AWS harmlessly: who we are, and what we would be permitted.
//!
//! EC2 takes `DryRun`: `DryRunOperation` means permitted, `UnauthorizedOperation` means denied, and nothing is done
//! either way. EC2 Instance Connect has nothing like it; decision 0019 says what is asked there.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{HttpTokensState, InstanceStateName};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use super::access::{AssumeRole, AwsAccess};
use super::actions::IamAction;
use super::fault::{Fault, FaultKind};
use crate::checkup::{Caller, Cloud, MetadataOptions, Trouble, TroubleKind, WhereWeRun};
use crate::clock::SharedClock;
use crate::config::{AccountConfig, Config, is_region};
use crate::credential::EphemeralKey;
use crate::domain::InstanceId;
use crate::target::Place;
use crate::tasks::BoxFuture;

/// An id of the right form that EC2 has never given.
const NOBODY: &str = "i-00000000000000000";
/// A prefix list of the right form that does not exist.
const NO_LIST: &str = "pl-00000000000000000";
/// Real instances that an action is tried with, at most.
const INSTANCES_MAX: usize = 3;
/// The metadata service is on the same machine or on none.
const METADATA_MAX: Duration = Duration::from_secs(1);
const METADATA_OFF: &str = "AWS_EC2_METADATA_DISABLED";

/// AWS, asked with each account's credentials.
#[derive(Debug)]
pub struct AwsCheckup {
    own: SdkConfig,
    accounts: HashMap<String, SdkConfig>,
    places: HashMap<Place, Office>,
    clock: SharedClock,
}

/// One account in one region.
#[derive(Debug)]
struct Office {
    ec2: aws_sdk_ec2::Client,
    instance_connect: aws_sdk_ec2instanceconnect::Client,
    /// Some instances there; stopped ones first.
    instances: OnceCell<Vec<InstanceId>>,
}

impl AwsCheckup {
    /// AWS as this configuration reaches it. Nothing is asked yet.
    pub async fn new(config: &Config, clock: SharedClock) -> Self {
        let access = AwsAccess::of(config).await;
        Self::with(&access, &config.inventory.accounts, clock).await
    }

    async fn with(access: &AwsAccess, accounts: &[AccountConfig], clock: SharedClock) -> Self {
        // One attempt: whoever waits wants to know what is wrong, and not that it works at the third try.
        let own = access.base().to_builder().retry_config(RetryConfig::disabled()).build();
        let mut checkup = Self { own, accounts: HashMap::new(), places: HashMap::new(), clock };
        for account in accounts {
            let config = checkup.config_of(access, account).await;
            for region in &account.regions {
                let place = Place { account_alias: account.alias.clone(), region: region.clone() };
                checkup.places.insert(place, Office::new(&in_region(&config, region)));
            }
            checkup.accounts.insert(account.alias.clone(), config);
        }
        checkup
    }

    async fn config_of(&self, access: &AwsAccess, account: &AccountConfig) -> SdkConfig {
        let first = account.regions.first().cloned().unwrap_or_default();
        let credentials: Option<SharedCredentialsProvider> = match &account.role_arn {
            None => self.own.credentials_provider(),
            Some(role_arn) => {
                let role = AssumeRole {
                    role_arn: role_arn.clone(),
                    external_id: account.external_id.clone(),
                    session_name: account.session_name.clone(),
                };
                Some(access.assume(&role, &Region::new(first)).await)
            }
        };
        let mut config = self.own.to_builder();
        config.set_credentials_provider(credentials);
        config.build()
    }

    fn office(&self, place: &Place) -> Result<&Office, Trouble> {
        let unknown = || Trouble::new(TroubleKind::Other, format!("{place} is not in the configuration"));
        self.places.get(place).ok_or_else(unknown)
    }
}

fn in_region(config: &SdkConfig, region: &str) -> SdkConfig {
    config.to_builder().region(Region::new(region.to_owned())).build()
}

impl Cloud for AwsCheckup {
    fn who<'a>(&'a self, account: Option<&'a str>) -> BoxFuture<'a, Result<Caller, Trouble>> {
        Box::pin(async move {
            let config = account.map_or(Some(&self.own), |alias| self.accounts.get(alias));
            let unknown = || Trouble::new(TroubleKind::Other, "the account is not in the configuration");
            let client = aws_sdk_sts::Client::new(config.ok_or_else(unknown)?);
            let answer =
                client.get_caller_identity().send().await.map_err(|error| trouble(&Fault::of(&error)))?;
            match (answer.arn, answer.account) {
                (Some(arn), Some(account)) => Ok(Caller { arn, account }),
                (_, _) => Err(Trouble::new(TroubleKind::Other, "the answer of STS names nobody")),
            }
        })
    }

    fn may<'a>(
        &'a self,
        place: &'a Place,
        action: &'static IamAction,
        logins: &'a [String],
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move { self.office(place)?.may(action, &place.region, logins).await })
    }

    fn clock_ahead<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<SignedDuration, Trouble>> {
        Box::pin(async move {
            let ec2 = &self.office(place)?.ec2;
            let before = self.clock.now();
            let answer = ec2.describe_instances().dry_run(true).send().await;
            let after = self.clock.now();
            let date = answer.as_ref().err().and_then(date_of);
            match (date, answer) {
                (Some(date), _) => Ok(ahead(before, after, date)),
                (None, Err(error)) => Err(trouble(&Fault::of(&error))),
                (None, Ok(_)) => Err(Trouble::new(TroubleKind::Other, "the answer of EC2 has no date")),
            }
        })
    }

    fn where_we_run(&self) -> BoxFuture<'_, Result<WhereWeRun, Trouble>> {
        Box::pin(async move {
            if std::env::var(METADATA_OFF).is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
                return Err(Trouble::new(TroubleKind::Other, METADATA_OFF));
            }
            let client = aws_config::imds::Client::builder()
                .max_attempts(1)
                .connect_timeout(METADATA_MAX)
                .read_timeout(METADATA_MAX)
                .build();
            let silent = |_| Trouble::new(TroubleKind::Unreachable, "the metadata service does not answer");
            let instance = client.get("/latest/meta-data/instance-id").await.map_err(silent)?;
            let region = client.get("/latest/meta-data/placement/region").await.map_err(silent)?;
            let strange = || Trouble::new(TroubleKind::Other, "the metadata service says something else");
            let region = region.as_ref().to_owned();
            Ok(WhereWeRun {
                instance: InstanceId::parse(instance.as_ref()).ok_or_else(strange)?,
                region: is_region(&region).then_some(region).ok_or_else(strange)?,
            })
        })
    }

    fn metadata_options<'a>(
        &'a self,
        place: &'a WhereWeRun,
    ) -> BoxFuture<'a, Result<MetadataOptions, Trouble>> {
        Box::pin(async move {
            let ec2 = aws_sdk_ec2::Client::new(&in_region(&self.own, &place.region));
            let asked = ec2.describe_instances().instance_ids(place.instance.as_str()).send().await;
            let answer = asked.map_err(|error| trouble(&Fault::of(&error)))?;
            let found = answer.reservations.unwrap_or_default().into_iter().find_map(|reservation| {
                reservation.instances?.into_iter().find_map(|instance| instance.metadata_options)
            });
            let silent =
                || Trouble::new(TroubleKind::Other, "EC2 does not say how the metadata service is set");
            let options = found.ok_or_else(silent)?;
            Ok(MetadataOptions {
                hop_limit: options.http_put_response_hop_limit.ok_or_else(silent)?,
                token_required: options.http_tokens == Some(HttpTokensState::Required),
            })
        })
    }
}

impl Office {
    fn new(config: &SdkConfig) -> Self {
        Self {
            ec2: aws_sdk_ec2::Client::new(config),
            instance_connect: aws_sdk_ec2instanceconnect::Client::new(config),
            instances: OnceCell::new(),
        }
    }

    async fn may(&self, action: &IamAction, region: &str, logins: &[String]) -> Result<(), Trouble> {
        let ec2 = &self.ec2;
        match action.name {
            "ec2:DescribeInstances" => tried(ec2.describe_instances().dry_run(true).send().await),
            "ec2:DescribeImages" => tried(ec2.describe_images().dry_run(true).owners("self").send().await),
            "ec2:DescribeInstanceStatus" => tried(ec2.describe_instance_status().dry_run(true).send().await),
            "ec2:DescribeSecurityGroups" => tried(ec2.describe_security_groups().dry_run(true).send().await),
            "ec2:DescribeSecurityGroupRules" => {
                tried(ec2.describe_security_group_rules().dry_run(true).send().await)
            }
            "ec2:DescribeNetworkAcls" => tried(ec2.describe_network_acls().dry_run(true).send().await),
            "ec2:DescribeVpcs" => tried(ec2.describe_vpcs().dry_run(true).send().await),
            "ec2:DescribeRouteTables" => tried(ec2.describe_route_tables().dry_run(true).send().await),
            "ec2:GetManagedPrefixListEntries" => {
                let list = ec2.get_managed_prefix_list_entries().prefix_list_id(NO_LIST);
                tried(list.dry_run(true).send().await)
            }
            "ec2:DescribeVpcPeeringConnections" => {
                tried(ec2.describe_vpc_peering_connections().dry_run(true).send().await)
            }
            "ec2:DescribeTransitGatewayAttachments" => {
                tried(ec2.describe_transit_gateway_attachments().dry_run(true).send().await)
            }
            "ec2:GetConsoleOutput" => self.may_read_a_console().await,
            "ec2-instance-connect:SendSSHPublicKey" => self.may_push(region, logins).await,
            _ => Err(Trouble::new(TroubleKind::Other, "there is no harmless way to try it")),
        }
    }

    /// A policy may be about some instances only, so real ones are asked about after the one that does not exist.
    async fn may_read_a_console(&self) -> Result<(), Trouble> {
        let ask =
            async |id: &str| tried(self.ec2.get_console_output().instance_id(id).dry_run(true).send().await);
        let mut answer = ask(NOBODY).await;
        if !is_denied(&answer) {
            return answer;
        }
        for id in self.instances().await {
            answer = ask(id.as_str()).await;
            if !is_denied(&answer) {
                break;
            }
        }
        answer
    }

    /// The key's private half is gone before the question is asked, so that nobody could use it wherever it arrived.
    /// It arrives nowhere: the first instance does not exist; real ones are named with a zone that there is not.
    async fn may_push(&self, region: &str, logins: &[String]) -> Result<(), Trouble> {
        let key = EphemeralKey::generate().map(|key| key.public_half().openssh().to_owned());
        let key = key.map_err(|error| Trouble::new(TroubleKind::Other, error.to_string()))?;
        let ask = async |id: &str, login: &str, zone: Option<String>| {
            let question =
                self.instance_connect.send_ssh_public_key().instance_id(id).instance_os_user(login);
            tried(question.ssh_public_key(&key).set_availability_zone(zone).send().await)
        };
        let mut answer = Err(Trouble::new(TroubleKind::Other, "there is no OS user to try it for"));
        for login in logins {
            answer = ask(NOBODY, login, None).await;
            if !is_denied(&answer) {
                return answer;
            }
        }
        for id in self.instances().await {
            for login in logins {
                answer = ask(id.as_str(), login, Some(format!("{region}z"))).await;
                if !is_denied(&answer) {
                    return answer;
                }
            }
        }
        answer
    }

    /// A few instances of the place, stopped ones first; none where they cannot be listed.
    async fn instances(&self) -> &[InstanceId] {
        let list = async || {
            let page = self.ec2.describe_instances().max_results(100).send().await.ok()?;
            let instances = page.reservations?.into_iter().flat_map(|one| one.instances.unwrap_or_default());
            let mut found: Vec<(bool, InstanceId)> = instances
                .filter_map(|instance| {
                    let state = instance.state?.name?;
                    let id = InstanceId::parse(&instance.instance_id?)?;
                    let runs = state == InstanceStateName::Running;
                    (runs || state == InstanceStateName::Stopped).then_some((runs, id))
                })
                .collect();
            found.sort();
            Some(found.into_iter().take(INSTANCES_MAX).map(|(_, id)| id).collect::<Vec<_>>())
        };
        self.instances.get_or_init(async || list().await.unwrap_or_default()).await
    }
}

fn is_denied(answer: &Result<(), Trouble>) -> bool {
    answer.as_ref().is_err_and(|trouble| trouble.kind == TroubleKind::Denied)
}

/// Whether AWS would have done it. Whoever says that something does not exist has looked for it, and so has not
/// refused to.
fn tried<O, E>(answer: Result<O, SdkError<E, HttpResponse>>) -> Result<(), Trouble>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    const LOOKED: [&str; 4] = [
        "DryRunOperation",
        "EC2InstanceNotFoundException",
        "EC2InstanceStateInvalidException",
        "EC2InstanceUnavailableException",
    ];
    let Err(error) = answer else { return Ok(()) };
    let fault = Fault::of(&error);
    let code = fault.code.as_deref().unwrap_or_default();
    if LOOKED.contains(&code) || code.ends_with(".NotFound") { Ok(()) } else { Err(trouble(&fault)) }
}

fn trouble(fault: &Fault) -> Trouble {
    let kind = match fault.kind {
        FaultKind::NoCredentials => TroubleKind::NoCredentials,
        FaultKind::Denied => TroubleKind::Denied,
        FaultKind::Throttled => TroubleKind::Throttled,
        FaultKind::Timeout => TroubleKind::Timeout,
        FaultKind::Unreachable => TroubleKind::Unreachable,
        FaultKind::ServiceFailing | FaultKind::BadAnswer | FaultKind::Refused => TroubleKind::Other,
    };
    Trouble { kind, code: fault.code.clone(), text: fault.text.clone() }
}

/// The `Date` of an answer (RFC 9110 §6.6.1); truncated to the second.
fn date_of<E>(error: &SdkError<E, HttpResponse>) -> Option<Timestamp> {
    let date = error.raw_response()?.headers().get("date")?;
    DateTimeParser::new().parse_timestamp(date).ok()
}

/// How far our clock is ahead, when AWS's was `date` and up to a second more between two looks at ours.
fn ahead(before: Timestamp, after: Timestamp, date: Timestamp) -> SignedDuration {
    let until = date.saturating_add(SignedDuration::from_secs(1)).unwrap_or(date);
    if before > until {
        before.duration_since(until)
    } else if after < date {
        after.duration_since(date)
    } else {
        SignedDuration::ZERO
    }
}

#[cfg(test)]
mod tests;
