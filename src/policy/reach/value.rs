//! What rules read: of the machine, of the login, of the action, of the person.

use std::net::IpAddr;

use super::probe::Probe;
use crate::domain::{Identity, Login, Target};

/// One thing that an atom reads, of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Value<'a> {
    /// There is none: an optional attribute, a tag, or something of another kind of action.
    Missing,
    Text(&'a str),
    Number(i64),
    /// IPv4 is IPv4 here, however it is written.
    Address(IpAddr),
}

/// One of the machine's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Attribute {
    Id,
    Name,
    Account,
    AccountAlias,
    Region,
    AvailabilityZone,
    Vpc,
    Subnet,
    Image,
    ImageName,
    Platform,
    State,
    PrivateIp,
}

impl Attribute {
    /// Reads the schema's name of one.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "name" => Self::Name,
            "account" => Self::Account,
            "account_alias" => Self::AccountAlias,
            "region" => Self::Region,
            "availability_zone" => Self::AvailabilityZone,
            "vpc" => Self::Vpc,
            "subnet" => Self::Subnet,
            "image" => Self::Image,
            "image_name" => Self::ImageName,
            "platform" => Self::Platform,
            "state" => Self::State,
            "private_ip" => Self::PrivateIp,
            _ => return None,
        })
    }

    fn of(self, target: &Target) -> Value<'_> {
        match self {
            Self::Id => Value::Text(target.id.as_str()),
            Self::Name => text_or_missing(target.name.as_deref()),
            Self::Account => Value::Text(&target.account),
            Self::AccountAlias => Value::Text(&target.account_alias),
            Self::Region => Value::Text(&target.region),
            Self::AvailabilityZone => Value::Text(&target.availability_zone),
            Self::Vpc => Value::Text(&target.vpc),
            Self::Subnet => Value::Text(&target.subnet),
            Self::Image => Value::Text(&target.image),
            Self::ImageName => text_or_missing(target.image_name.as_deref()),
            Self::Platform => Value::Text(&target.platform),
            Self::State => Value::Text(&target.state),
            Self::PrivateIp => Value::Address(target.private_ip.to_canonical()),
        }
    }
}

/// Something of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Field {
    Attribute(Attribute),
    Tag(String),
    /// All of it, where it is not known what a rule reads. Each machine is then a case of its own.
    Whole,
}

impl Field {
    /// Its value on a machine; `place` tells apart machines that are looked at together.
    pub(super) fn of<'a>(&self, target: &'a Target, place: usize) -> Value<'a> {
        match self {
            Self::Attribute(attribute) => attribute.of(target),
            Self::Tag(key) => text_or_missing(target.tags.get(key).map(String::as_str)),
            Self::Whole => i64::try_from(place).map_or(Value::Missing, Value::Number),
        }
    }
}

/// What belongs to some kinds of action only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Particular {
    Command,
    Subsystem,
    Path,
    DestinationHost,
    DestinationPort,
    ListenHost,
    ListenPort,
}

/// One thing that a question reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Of(Field),
    Login,
    Particular(Particular),
    UserName,
    ClientAddr,
    AuthMethod,
}

/// One machine, login and action that an atom is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) identity: &'a Identity,
    pub(super) target: &'a Target,
    /// Nobody, for `connect`.
    pub(super) login: Option<&'a Login>,
    pub(super) probe: &'a Probe,
}

impl Subject {
    pub(super) fn of<'a>(&self, case: Case<'a>) -> Value<'a> {
        match self {
            Self::Of(field) => field.of(case.target, 0),
            Self::Login => Value::Text(case.login.map_or("", Login::as_str)),
            Self::Particular(particular) => case.probe.particular(*particular),
            Self::UserName => Value::Text(case.identity.user.as_str()),
            Self::ClientAddr => Value::Address(case.identity.client_addr.to_canonical()),
            Self::AuthMethod => Value::Text(case.identity.auth.name()),
        }
    }
}

fn text_or_missing(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Missing, Value::Text)
}
