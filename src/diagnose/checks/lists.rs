//! Prefix lists: how each covers one address. Each is read once, however many rules name it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::case::{Doubt, End};
use crate::diagnose::facts::{Facts, Known};

const CALL: &str = "ec2:GetManagedPrefixListEntries";

/// The longest prefix of each list that covers the address.
pub(super) struct Lists<'a> {
    covers: BTreeMap<&'a str, Result<Option<u8>, Doubt<'a>>>,
}

impl<'a> Lists<'a> {
    pub(super) fn of(facts: &'a Facts, address: Result<IpAddr, Doubt<'a>>) -> Self {
        let cover = |list: &'a Known<Vec<IpNet>>| match (list, &address) {
            (Known::Not(gap), Ok(_) | Err(_)) => Err(Doubt::Gap(gap, End::Target)),
            (Known::As(_), Err(doubt)) => Err(doubt.clone()),
            (Known::As(networks), Ok(address)) => Ok(longest(networks, *address)),
        };
        Self { covers: facts.prefix_lists.iter().map(|(id, list)| (id.as_str(), cover(list))).collect() }
    }

    /// How long the longest prefix of this list is that covers the address, as rules and routes of this end name the
    /// list; nothing where none does.
    pub(super) fn longest(&self, list: &str, named_at: End) -> Result<Option<u8>, Doubt<'a>> {
        match self.covers.get(list) {
            Some(Err(Doubt::Gap(gap, _))) => Err(Doubt::Gap(gap, named_at)),
            Some(cover) => cover.clone(),
            None => Err(Doubt::Absent(list.to_owned(), CALL)),
        }
    }
}

fn longest(networks: &[IpNet], address: IpAddr) -> Option<u8> {
    networks.iter().filter(|network| network.contains(&address)).map(IpNet::prefix_len).max()
}
