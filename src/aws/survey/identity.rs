//! Which instance drawbridge runs on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::info;

use super::asked::{Asked, Desk, Keeping};
use super::reading::text;
use crate::aws::access::direct_http_client;
use crate::diagnose::{Gap, GapReason};
use crate::domain::InstanceId;

const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
/// The service is next door: what takes longer is not there.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

/// The instance that drawbridge runs on, by what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Myself {
    pub(super) id: InstanceId,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
}

/// Knows it from the config, else asks the metadata service, once.
#[derive(Debug)]
pub(super) struct Identity {
    configured: Option<InstanceId>,
    /// Another address of the metadata service than the environment's or the usual one.
    endpoint: Option<String>,
    documents: Asked<(), Myself>,
}

impl Identity {
    pub(super) fn new(configured: Option<InstanceId>, desk: &Desk) -> Self {
        let documents = Asked::new("", Keeping::Good, &desk.another(1));
        Self { configured, endpoint: None, documents }
    }

    #[cfg(test)]
    pub(super) fn at(endpoint: &str, desk: &Desk) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), ..Self::new(None, desk) }
    }

    pub(super) async fn by(&self, until: Instant) -> Result<Arc<Myself>, Gap> {
        if let Some(id) = &self.configured {
            return Ok(Arc::new(Myself { id: id.clone(), account: None, region: None }));
        }
        self.documents.ask(&(), ask_metadata(self.endpoint.clone())).by(until).await
    }
}

async fn ask_metadata(endpoint: Option<String>) -> Result<Myself, Gap> {
    let failed = |text: &str| Gap::new("", GapReason::Failed(text.to_owned()));
    let disabled = std::env::var(DISABLED).is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    if disabled && endpoint.is_none() {
        return Err(failed("the metadata service is switched off by AWS_EC2_METADATA_DISABLED"));
    }
    let asked = tokio::time::timeout(METADATA_TIMEOUT, document(endpoint)).await;
    let document = asked.unwrap_or_else(|_| Err("no answer".to_owned())).map_err(|what| {
        info!("the metadata service does not tell which instance this is: {}", text(Some(&what)));
        failed("the metadata service does not answer")
    })?;
    myself(&document).ok_or_else(|| failed("the metadata service's answer could not be understood"))
}

/// The service is version 2 only, and no proxy leads to it.
async fn document(endpoint: Option<String>) -> Result<String, String> {
    let config = ProviderConfig::without_region().with_http_client(direct_http_client());
    let mut builder = imds::Client::builder().configure(&config).max_attempts(1);
    if let Some(endpoint) = endpoint {
        builder = builder.endpoint(endpoint).map_err(|error| error.to_string())?;
    }
    let answer = builder.build().get(DOCUMENT).await;
    answer.map(|document| document.as_ref().to_owned()).map_err(|error| error.to_string())
}

/// The part that matters (EC2 User Guide, "Instance identity documents").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    instance_id: String,
    account_id: Option<String>,
    region: Option<String>,
}

fn myself(document: &str) -> Option<Myself> {
    let document: Document = serde_json::from_str(document).ok()?;
    let digits = |id: &String| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
    let plain = |name: &String| {
        (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    Some(Myself {
        id: InstanceId::parse(&document.instance_id)?,
        account: document.account_id.filter(digits),
        region: document.region.filter(plain),
    })
}

/// The address that this machine's own routes would send from. No packet is sent: connecting a UDP socket only chooses
/// a route.
pub(super) fn own_address_towards(target: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|address| address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_document_is_read_and_nonsense_is_not() {
        let document =
            r#"{"accountId":"111122223333","instanceId":"i-0123456789abcdef0","region":"eu-west-1","x":[1]}"#;
        let expected = Myself {
            id: InstanceId::parse("i-0123456789abcdef0").expect("an id"),
            account: Some("111122223333".to_owned()),
            region: Some("eu-west-1".to_owned()),
        };
        assert_eq!(myself(document), Some(expected.clone()));
        let odd = r#"{"accountId":"1\u001b[2J","instanceId":"i-0123456789abcdef0","region":"../x"}"#;
        assert_eq!(myself(odd), Some(Myself { account: None, region: None, ..expected }));
        for nonsense in ["", "<html>", "{}", r#"{"instanceId":"i-zzz"}"#, r#"{"instanceId":7}"#] {
            assert_eq!(myself(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn on_loopback_this_machine_sends_from_loopback() {
        assert_eq!(
            own_address_towards("127.0.0.1:22".parse().expect("an address")),
            Some(Ipv4Addr::LOCALHOST.into())
        );
    }
}
