//! What someone typed, and the one machine it turned out to mean.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::identity::{NameError, check_name};

/// An EC2 instance id: `i-` and 8 or 17 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct InstanceId(String);

impl InstanceId {
    /// Reads an instance id, or nothing when the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("i-")?;
        let hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (hex && (8..=32).contains(&digits.len())).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The OS user on a target: 1 to 31 characters that Instance Connect accepts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Login(String);

impl Login {
    /// The longest login, in characters (EC2 User Guide, Instance Connect prerequisites).
    pub const LENGTH_MAX: usize = 31;

    /// Reads a login.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that may not stand in one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_name(text, Self::LENGTH_MAX, |character| matches!(character, '@' | '$'))?;
        Ok(Self(text.to_owned()))
    }

    /// The login as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What was typed: a name, an instance id, a private DNS name or a private address, optionally
/// qualified as `name.region`, `name.account` or `name.account.region`… by whoever resolves it.
/// 1 to 255 printable characters without blanks; kept in the spelling it came in.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct TargetRef(String);

/// Why a target reference was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefError {
    /// Nothing was typed.
    #[error("no target was named")]
    Empty,
    /// More than a DNS name can hold.
    #[error("the target's name has more than {} characters", TargetRef::LENGTH_MAX)]
    TooLong,
    /// A blank, a slash, a control character or something else that no instance name has.
    #[error("the target's name has a character that cannot stand in one")]
    Character,
}

impl TargetRef {
    /// The longest reference, in bytes: as long as a DNS name.
    pub const LENGTH_MAX: usize = 255;

    /// Reads a target reference.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that cannot stand in a name.
    pub fn parse(text: &str) -> Result<Self, TargetRefError> {
        if text.is_empty() {
            return Err(TargetRefError::Empty);
        }
        if text.len() > Self::LENGTH_MAX {
            return Err(TargetRefError::TooLong);
        }
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\' | '"' | '\'' | '@');
        if text.chars().any(bad) {
            return Err(TargetRefError::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The reference as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// One instance, as the inventory found it. The identity of a machine is (account, region, id):
/// private addresses overlap between VPCs and are reused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The instance id.
    pub id: InstanceId,
    /// The `Name` tag, where there is one.
    pub name: Option<String>,
    /// The 12-digit account id.
    pub account: String,
    /// The alias that the config gives this account.
    pub account_alias: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The availability zone.
    pub availability_zone: String,
    /// The VPC id.
    pub vpc: String,
    /// The subnet id.
    pub subnet: String,
    /// The image id.
    pub image: String,
    /// The image's name, where it is known; the default login is derived from it.
    pub image_name: Option<String>,
    /// `Linux/UNIX`, `Windows`, … (`PlatformDetails`).
    pub platform: String,
    /// The private address that will be dialled.
    pub private_ip: IpAddr,
    /// Its other addresses inside the VPC, of every interface: whoever goes to one of them goes to this machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_ips: Vec<IpAddr>,
    /// The private DNS name, where there is one.
    pub private_dns: Option<String>,
    /// The port sshd listens on: 22 unless a tag or the config says otherwise.
    pub port: u16,
    /// `running`, `stopped`, … as EC2 names it.
    pub state: String,
    /// When it was last started, where EC2 says so.
    pub launch_time: Option<Timestamp>,
    /// All tags.
    pub tags: BTreeMap<String, String>,
}

impl Target {
    /// The name people know it by: the Name tag, else the id.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }

    /// All its addresses, the one that is dialled first, each in its plainest form.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let others = self.other_ips.iter().map(IpAddr::to_canonical);
        std::iter::once(self.private_ip.to_canonical()).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_ids_are_recognised() {
        assert!(InstanceId::parse("i-0123456789abcdef0").is_some());
        assert!(InstanceId::parse("i-1a2b3c4d").is_some());
        assert!(InstanceId::parse("i-xyz").is_none());
        assert!(InstanceId::parse("web-1").is_none());
    }

    #[test]
    fn a_target_called_dot_dot_slash_etc_is_refused() {
        assert_eq!(TargetRef::parse("../../etc"), Err(TargetRefError::Character));
        assert_eq!(TargetRef::parse(""), Err(TargetRefError::Empty));
        assert_eq!(TargetRef::parse(&"a".repeat(256)), Err(TargetRefError::TooLong));
        assert!(TargetRef::parse("fd00::10").is_ok());
        assert!(TargetRef::parse("ip-10-0-0-1.ec2.internal").is_ok());
    }
}
