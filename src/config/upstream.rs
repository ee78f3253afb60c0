//! `[upstream]`, `[instance_connect]`, `[aws]` and `[diagnosis]`: the way from drawbridge to a target.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use ::config::Value;

use super::disk::Expect;
use super::origin::Complaint;
use super::reader::Section;
use super::value::{quoted, text};
use crate::domain::{HostKeyVoucher, InstanceId};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// `[upstream]`: the SSH connection to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Who is asked about a target's host key, in which order.
    pub host_keys: Vec<HostKeyVoucher>,
    /// The files with the CAs whose host certificates are believed.
    pub host_cas: Vec<PathBuf>,
    /// The tag that says which host keys an instance has.
    pub host_key_tag: String,
    /// The most time for the TCP connection.
    pub connect_timeout: Duration,
    /// From the TCP connection to the end of authentication.
    pub handshake_timeout: Duration,
    /// The port of sshd on targets without a tag that says otherwise.
    pub port: u16,
    /// The tag whose value is an instance's own port.
    pub port_tag: String,
    /// How long a target may be silent before it is asked for a sign of life; zero: never asked.
    pub keepalive_interval: Duration,
    /// How many such questions may stay unanswered before the connection ends.
    pub keepalive_max: u32,
    /// The instances that are also offered what only very old SSH servers need.
    pub legacy_targets: BTreeSet<InstanceId>,
}

impl UpstreamConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            host_keys: host_keys(section),
            host_cas: section.paths("host_cas", 0, &[], Expect::ReadableFile),
            host_key_tag: section
                .parse("host_key_tag", tag_key)
                .unwrap_or_else(|| "drawbridge:host-key".to_owned()),
            connect_timeout: section.duration("connect_timeout", 10 * SECOND, SECOND..=5 * MINUTE),
            handshake_timeout: section.duration("handshake_timeout", 15 * SECOND, SECOND..=5 * MINUTE),
            port: section.integer("port", 22, 1..=u16::MAX),
            port_tag: section.parse("port_tag", tag_key).unwrap_or_else(|| "drawbridge:port".to_owned()),
            keepalive_interval: section.duration("keepalive_interval", MINUTE, Duration::ZERO..=60 * MINUTE),
            keepalive_max: section.integer("keepalive_max", 3, 1..=100),
            legacy_targets: legacy_targets(section),
        }
    }
}

/// A chain of vouchers: each once, and after first use, which believes everything, nobody is asked.
fn host_keys(section: &mut Section<'_>) -> Vec<HostKeyVoucher> {
    let mut chain = Vec::new();
    section.list("host_keys", 1, Vec::new, |value| {
        let word = text(value)?;
        let voucher = HostKeyVoucher::ALL.into_iter().find(|voucher| voucher.word() == word);
        let voucher = voucher.ok_or_else(|| {
            let words = HostKeyVoucher::ALL.map(|voucher| format!("\"{}\"", voucher.word()));
            Complaint::new(format!("{} vouches for no host key", quoted(word))).hint(format!(
                "write some of {}, in the order in which they are to be asked",
                words.join(", ")
            ))
        })?;
        if chain.contains(&voucher) {
            return Err(
                Complaint::new(format!("{} is listed twice", quoted(word))).hint("remove one of the two")
            );
        }
        if chain.contains(&HostKeyVoucher::Tofu) {
            return Err(Complaint::new(format!("{} stands after \"tofu\"", quoted(word)))
                .hint("\"tofu\" believes every first key, so nobody after it is ever asked; put it last"));
        }
        chain.push(voucher);
        Ok(())
    });
    if chain.is_empty() { HostKeyVoucher::ALL.to_vec() } else { chain }
}

/// By instance id and nothing else: a name, a tag or an address is under the control of whoever runs machines.
fn legacy_targets(section: &mut Section<'_>) -> BTreeSet<InstanceId> {
    let mut listed = BTreeSet::new();
    section.list("legacy_targets", 0, Vec::new, |value| {
        let text = text(value)?;
        let id = InstanceId::parse(text).ok_or_else(|| {
            Complaint::new(format!("{} is not an instance id", quoted(text)))
                .hint("write an id such as \"i-0123456789abcdef0\"; names, tags and addresses can move to another machine")
        })?;
        if listed.insert(id) {
            return Ok(());
        }
        Err(Complaint::new(format!("{} is listed twice", quoted(text))).hint("remove one of the two"))
    });
    listed
}

/// `[instance_connect]`: pushing the one-session key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceConnectConfig {
    /// The most time for one push, retries included. A pushed key lives for 60 seconds.
    pub deadline: Duration,
}

impl InstanceConnectConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { deadline: section.duration("deadline", 10 * SECOND, SECOND..=MINUTE) }
    }
}

/// `[aws]`: how AWS is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsConfig {
    /// One endpoint for every service, for VPC endpoints and tests; none means AWS's own.
    pub endpoint_url: Option<String>,
    /// What requests are signed with.
    pub credentials: CredentialSource,
}

/// What requests to AWS are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialSource {
    /// What the AWS SDK finds: variables, a profile, the machine's role.
    Environment,
    /// Something made up, for a look-alike that checks nothing; only with an endpoint of its own.
    MadeUp,
}

impl AwsConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let sources = [("environment", CredentialSource::Environment), ("made-up", CredentialSource::MadeUp)];
        let endpoint_url = section.parse("endpoint_url", endpoint_url);
        let credentials = section.choice("credentials", CredentialSource::Environment, &sources);
        if credentials == CredentialSource::MadeUp && endpoint_url.is_none() && section.is_sound() {
            let complaint =
                Complaint::new("made-up credentials without an `endpoint_url`: AWS knows none of them");
            section
                .complain(complaint.hint("remove `credentials`, or name the look-alike in `endpoint_url`"));
        }
        Self { endpoint_url, credentials }
    }
}

/// `[diagnosis]`: saying why a target cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosisConfig {
    /// The instance that drawbridge runs on; none means that the metadata service is asked.
    pub bastion_instance: Option<InstanceId>,
    /// The most time that a person whose connection has failed waits for the cause.
    pub patience: Duration,
}

impl DiagnosisConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            bastion_instance: section.parse("bastion_instance", instance_id),
            patience: section.duration("patience", 2 * SECOND, Duration::ZERO..=MINUTE),
        }
    }
}

fn instance_id(value: &Value) -> Result<InstanceId, Complaint> {
    let text = text(value)?;
    InstanceId::parse(text).ok_or_else(|| {
        Complaint::new(format!("{} is not an instance id", quoted(text)))
            .hint("write an id such as \"i-0123456789abcdef0\"")
    })
}

/// EC2: a tag's key has 1 to 128 characters.
fn tag_key(value: &Value) -> Result<String, Complaint> {
    const LENGTH_MAX: usize = 128;
    let text = text(value)?;
    if text.chars().count() <= LENGTH_MAX {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} is too long for a tag's key", quoted(text)))
        .hint(format!("write at most {LENGTH_MAX} characters")))
}

fn endpoint_url(value: &Value) -> Result<String, Complaint> {
    let text = text(value)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let sound = text.is_ascii() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
    if sound && !host.is_empty() && !host.starts_with(':') {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} is not a URL with a host", quoted(text)))
        .hint("its form is https://HOST or http://HOST:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_with_a_host() {
        let check = |text: &str| endpoint_url(&Value::new(None, text));
        for good in
            ["http://127.0.0.1:4566", "https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com/", "http://[::1]:80"]
        {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in
            ["localhost:4566", "ftp://x", "https://", "https:///x", "http://:80", "http://a b", "http://u@h"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
