//! Credentials, endpoints and clients.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::region;
use super::whole_document::WholeDocument;
use crate::config::{Config, CredentialSource};
use crate::target::Place;

/// The longest one attempt at one call may take; a page of 1,000 instances is about 3 MB.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest one call may take, all attempts together.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
/// The longest a TCP connection to AWS may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What a look-alike is shown that checks nothing.
const MADE_UP_KEY_ID: &str = "AKIADRAWBRIDGEMADEUP";
const MADE_UP_SECRET: &str = "nobody-checks-this";

/// The daemon's own access to AWS, from which each place's clients are made.
#[derive(Debug, Clone)]
pub struct AwsAccess {
    base: SdkConfig,
}

/// The role to take on in an account, where the daemon's own credentials are not for that account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRole {
    /// The role's ARN.
    pub role_arn: String,
    /// The external id that the role's trust policy asks for, where it does.
    pub external_id: Option<String>,
    /// The session's name in CloudTrail: 2 to 64 characters of `[A-Za-z0-9_=,.@-]`.
    pub session_name: String,
}

/// The clients of one account in one region.
#[derive(Debug, Clone)]
pub struct PlaceClients {
    pub(super) place: Place,
    /// The number of the account, where a role tells it; none with the daemon's own credentials.
    pub(super) role_account: Option<String>,
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) instance_connect: aws_sdk_ec2instanceconnect::Client,
}

impl AwsAccess {
    /// Access as the environment gives it: variables, profile, web identity, ECS or the
    /// instance's role. `endpoint_url` replaces every service's endpoint, for a look-alike. Where nothing says in
    /// which region this machine is, it counts as in the partition of `target_region`.
    pub async fn from_environment(endpoint_url: Option<&str>, target_region: Option<&str>) -> Self {
        let own = match endpoint_url {
            // A look-alike is the same everywhere, and asking for a region would only delay the start.
            Some(_) => None,
            None => region::of_this_machine().await,
        };
        let first = || Region::from_static(region::first_of_partition(target_region.unwrap_or_default()));
        Self { base: loader(endpoint_url, own.unwrap_or_else(first)).load().await }
    }

    /// Access as the configuration says.
    pub async fn of(config: &Config) -> Self {
        let regions = config.inventory.accounts.iter().flat_map(|account| &account.regions);
        let target_region = regions.map(String::as_str).next();
        match (config.aws.credentials, config.aws.endpoint_url.as_deref()) {
            (CredentialSource::MadeUp, Some(url)) => {
                Self::with_static_credentials(url, MADE_UP_KEY_ID, MADE_UP_SECRET).await
            }
            (CredentialSource::MadeUp | CredentialSource::Environment, url) => {
                Self::from_environment(url, target_region).await
            }
        }
    }

    /// Access to a look-alike at `endpoint_url` with fixed keys; no key is looked for elsewhere.
    pub async fn with_static_credentials(endpoint_url: &str, key_id: &str, secret: &str) -> Self {
        let credentials = Credentials::new(key_id, secret, None, None, "drawbridge-static");
        let region = Region::from_static(region::first_of_partition(""));
        let loader = loader(Some(endpoint_url), region).credentials_provider(credentials);
        Self { base: loader.load().await }
    }

    /// The clients of one account in one region. Makes no call: a role is taken on at first use,
    /// and again before its credentials expire.
    pub async fn clients(&self, place: Place, role: Option<&AssumeRole>) -> PlaceClients {
        let region = Region::new(place.region.clone());
        let credentials = match role {
            Some(role) => Some(self.assume(role, &region).await),
            None => self.base.credentials_provider(),
        };
        let mut config = self.base.to_builder().region(region);
        config.set_credentials_provider(credentials);
        let config = config.build();
        // Pushes have a loop of their own, which knows the session's deadline.
        let once = aws_sdk_ec2instanceconnect::config::Builder::from(&config)
            .retry_config(RetryConfig::disabled())
            .build();
        let whole = aws_sdk_ec2::config::Builder::from(&config).interceptor(WholeDocument).build();
        PlaceClients {
            place,
            role_account: role.map(|role| account_of(&role.role_arn)),
            ec2: aws_sdk_ec2::Client::from_conf(whole),
            instance_connect: aws_sdk_ec2instanceconnect::Client::from_conf(once),
        }
    }

    /// What the environment gave.
    pub(super) fn base(&self) -> &SdkConfig {
        &self.base
    }

    /// The role's credentials, which STS gives: see [`region::of_sts`].
    pub(super) async fn assume(
        &self,
        role: &AssumeRole,
        target_region: &Region,
    ) -> SharedCredentialsProvider {
        let region = region::of_sts(self.base.region(), target_region);
        let mut provider = AssumeRoleProvider::builder(&role.role_arn)
            .configure(&self.base)
            .region(region)
            .session_name(&role.session_name);
        if let Some(external_id) = &role.external_id {
            provider = provider.external_id(external_id);
        }
        SharedCredentialsProvider::new(provider.build().await)
    }
}

impl PlaceClients {
    /// The account and region these are for.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/NAME` has it in the fifth field (IAM User Guide, "IAM ARNs").
fn account_of(role_arn: &str) -> String {
    role_arn.split(':').nth(4).unwrap_or_default().to_owned()
}

/// `region` is where STS is asked who we are; every place has a region of its own.
fn loader(endpoint_url: Option<&str>, region: Region) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard())
        .region(region)
        .http_client(http_client(endpoint_url.is_none()));
    match endpoint_url {
        Some(url) => loader.endpoint_url(url),
        None => loader,
    }
}

/// What no proxy leads to: the metadata service.
pub(super) fn direct_http_client() -> SharedHttpClient {
    http_client(false)
}

/// One HTTP client, and with it one set of root certificates, for every place. A look-alike is
/// reached directly: a proxy that the environment names leads to the real AWS.
fn http_client(proxied: bool) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let proxy = if proxied { ProxyConfig::from_env() } else { ProxyConfig::disabled() };
        let mut connector =
            ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).proxy_config(proxy);
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    })
}
