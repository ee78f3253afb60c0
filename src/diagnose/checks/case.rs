//! What every check sees, and how it says that something cannot be told.

use std::net::IpAddr;

use ipnet::IpNet;

use super::lists::Lists;
use super::route::{self, Lead, Way};
use crate::diagnose::facts::{Facts, Gap, Known, NetworkEnd, RouteVia};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;
use crate::domain::{FailureClass, Login};

/// One question: this target, dialled by this bastion.
pub(super) struct Case<'a> {
    pub(super) facts: &'a Facts,
    /// How it failed, where somebody tried and failed.
    pub(super) class: Option<FailureClass>,
    /// Whether packets were seen to go there and back.
    pub(super) reached: bool,
    pub(super) login: Option<&'a Login>,
    /// The address that the bastion dials from, of the target's family.
    pub(super) from: Result<IpAddr, Doubt<'a>>,
    /// The one from which its packets come, as the target sees it.
    seen_from: Result<IpAddr, Doubt<'a>>,
    /// The address and port that it dials.
    pub(super) to: IpAddr,
    pub(super) port: u16,
    /// Prefix lists, as they cover each of the two addresses.
    pub(super) lists_of_from: Lists<'a>,
    pub(super) lists_of_to: Lists<'a>,
}

/// Which of the two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Bastion,
    Target,
}

/// Why something cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt<'a> {
    /// AWS was not asked, or gave no answer, in the account of this end.
    Gap(&'a Gap, End),
    /// It is not known where the bastion is.
    NoBastion,
    /// Nothing says what this is; the call would be the second.
    Absent(String, &'static str),
    /// Another reason: a sentence.
    Said(String),
}

impl End {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Bastion => Self::Target,
            Self::Target => Self::Bastion,
        }
    }
}

impl<'a> Case<'a> {
    pub(super) fn new(
        facts: &'a Facts,
        class: Option<FailureClass>,
        reached: bool,
        login: Option<&'a Login>,
    ) -> Self {
        let to = facts.target.private_ip;
        let from = dialled_from(facts, to);
        let lists_of_from = Lists::of(facts, from.clone());
        let lists_of_to = Lists::of(facts, Ok(to));
        let (seen_from, port) = (from.clone(), facts.target.port);
        let case =
            Self { facts, class, reached, login, from, seen_from, to, port, lists_of_from, lists_of_to };
        match case.rewritten() {
            Some(doubt) => {
                let lists_of_from = Lists::of(facts, Err(doubt.clone()));
                Self { seen_from: Err(doubt), lists_of_from, ..case }
            }
            None => case,
        }
    }

    /// Why it cannot be told from which address packets come, where they pass something that may put its own in place
    /// of the bastion's, as a NAT gateway does. Internet gateways do that to no address that gets here.
    fn rewritten(&self) -> Option<Doubt<'a>> {
        let Ok(Way::By(_, route, Lead::Unseen(_))) = route::way(self, End::Bastion) else { return None };
        let RouteVia::Other(id) = &route.via else { return None };
        let is_internet = ["igw-", "eigw-"].iter().any(|kind| id.starts_with(kind));
        (!is_internet && self.from.is_ok()).then(|| {
            let id = words::foreign(id);
            Doubt::Said(format!(
                "packets pass {id}, which may put another address in place of the bastion's."
            ))
        })
    }

    /// The id of the instance.
    pub(super) fn id(&self) -> &'a str {
        self.facts.target.id.as_str()
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        words::foreign(self.facts.target.display_name())
    }

    pub(super) fn end(&self, end: End) -> &'a NetworkEnd {
        match end {
            End::Bastion => &self.facts.bastion_end,
            End::Target => &self.facts.target_end,
        }
    }

    /// The address of the machine at this end, as the other end sees it.
    pub(super) fn address(&self, end: End) -> Result<IpAddr, Doubt<'a>> {
        match end {
            End::Bastion => self.seen_from.clone(),
            End::Target => Ok(self.to),
        }
    }

    /// How prefix lists cover that address.
    pub(super) fn lists(&self, end: End) -> &Lists<'a> {
        match end {
            End::Bastion => &self.lists_of_from,
            End::Target => &self.lists_of_to,
        }
    }

    /// Everything, in the addresses that are dialled.
    pub(super) fn is_everything(&self, network: &IpNet) -> bool {
        network.prefix_len() == 0 && network.addr().is_ipv4() == self.to.is_ipv4()
    }

    /// The VPC of this end.
    pub(super) fn vpc(&self, end: End) -> Result<&'a str, Doubt<'a>> {
        self.place(end, &self.end(end).vpc, &self.facts.target.vpc)
    }

    /// The subnet of this end.
    pub(super) fn subnet(&self, end: End) -> Result<&'a str, Doubt<'a>> {
        self.place(end, &self.end(end).subnet, &self.facts.target.subnet)
    }

    /// Where neither of two machines ever moves; so the inventory's copy will do for the target.
    fn place(&self, end: End, asked: &'a Known<String>, listed: &'a str) -> Result<&'a str, Doubt<'a>> {
        let listed = Some(listed).filter(|listed| end == End::Target && !listed.is_empty());
        match (asked, listed) {
            (Known::As(asked), Some(listed)) if !asked.is_empty() && asked != listed => Err(Doubt::Said(
                "AWS's answers about where the instance is contradict each other.".to_owned(),
            )),
            (Known::As(asked), Some(_) | None) if !asked.is_empty() => Ok(asked),
            (Known::As(_) | Known::Not(_), Some(listed)) => Ok(listed),
            (Known::As(_), None) => Err(Doubt::Said("AWS names no VPC and subnet of it.".to_owned())),
            (Known::Not(gap), None) => Err(Doubt::Gap(gap, end)),
        }
    }

    /// Whether both are in one VPC.
    pub(super) fn same_vpc(&self) -> Result<bool, Doubt<'a>> {
        Ok(self.vpc(End::Bastion)? == self.vpc(End::Target)?)
    }

    /// Whether both are in one subnet, inside which packets meet neither routes nor network ACLs.
    pub(super) fn same_subnet(&self) -> Result<bool, Doubt<'a>> {
        if self.same_vpc() == Ok(false) {
            return Ok(false);
        }
        Ok(self.subnet(End::Bastion)? == self.subnet(End::Target)? && self.same_vpc()?)
    }

    /// `in account 123456789012`, of this end.
    fn account(&self, end: End) -> String {
        let account = match end {
            End::Target => self.facts.target.account.as_str(),
            End::Bastion => self.facts.bastion.get().map_or("", |bastion| bastion.account.as_str()),
        };
        if account.is_empty() {
            return "in the bastion's account".to_owned();
        }
        format!("in account {}", words::foreign(account))
    }

    /// "Could not check", and what to grant where that is what is missing.
    pub(super) fn gap(&self, subject: Subject, gap: &Gap, end: End) -> Check {
        let account = self.account(end);
        let check = Check::unknown(subject, words::could_not_check(gap, &account));
        match words::let_it_be_checked(gap, &account) {
            Some(change) => check.with_change(change),
            None => check,
        }
    }

    /// The same for any doubt.
    pub(super) fn doubt(&self, subject: Subject, doubt: &Doubt<'_>) -> Check {
        let bastion_is_known = self.facts.bastion.get().is_some();
        match doubt {
            Doubt::Gap(gap, end) if *end == End::Target || bastion_is_known => self.gap(subject, gap, *end),
            Doubt::Gap(..) | Doubt::NoBastion => Check::unknown(
                subject,
                "Could not check: the bastion's own place in the network is not known.",
            ),
            Doubt::Absent(what, call) => Check::unknown(
                subject,
                format!("Could not check: nothing is known of {}, which {call} tells.", words::foreign(what)),
            ),
            Doubt::Said(said) => Check::unknown(subject, format!("Could not check: {said}")),
        }
    }
}

fn dialled_from(facts: &Facts, to: IpAddr) -> Result<IpAddr, Doubt<'_>> {
    let Known::As(bastion) = &facts.bastion else { return Err(Doubt::NoBastion) };
    let fitting = bastion.addresses.iter().copied().find(|address| address.is_ipv4() == to.is_ipv4());
    fitting.ok_or_else(|| Doubt::Said(format!("the bastion has no {} address.", ip_version(to))))
}

/// `IPv4` or `IPv6`.
pub(super) fn ip_version(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// An address as a range of its own.
pub(super) fn alone(address: IpAddr) -> String {
    IpNet::from(address).to_string()
}

/// The answer, or the check that tells why there is none.
pub(super) fn known<T>(value: &Known<T>, otherwise: impl FnOnce(&Gap) -> Check) -> Result<&T, Check> {
    match value {
        Known::As(value) => Ok(value),
        Known::Not(gap) => Err(otherwise(gap)),
    }
}

/// A check, whichever way it came about.
pub(super) fn either(result: Result<Check, Check>) -> Check {
    result.unwrap_or_else(|check| check)
}
