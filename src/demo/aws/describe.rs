//! What every describing action does: named ones must exist, filters select, and pages follow.

use super::ec2::document;
use super::http::Caller;
use super::network::Network;
use super::select::{Filter, Query, QueryError};
use super::world::World;
use super::xml::Xml;

/// Something that a `Describe…` action lists.
pub(super) trait Described {
    /// The list in the answer.
    const SET: &'static str;

    /// The parameter that names single ones: `VpcId.1`, `VpcId.2`, ….
    const IDS: &'static str;

    /// The error where a named one does not exist: its code, and what it is called.
    const NOT_FOUND: (&'static str, &'static str);

    /// Whether named ones may be asked for in pages (EC2 API reference, `MaxResults`).
    const PAGES_WITH_IDS: bool = true;

    fn id(&self) -> &str;

    /// Whether it passes a filter; nothing where the action has no filter of that name.
    fn passes(&self, filter: &Filter) -> Option<bool>;

    fn write(&self, xml: &mut Xml);
}

/// Something in the network of an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a, T> {
    pub(super) network: &'a Network,
    pub(super) it: &'a T,
}

/// What the caller has of one kind.
pub(super) fn placed<'a, T>(
    world: &'a World,
    caller: &Caller,
    kind: impl Fn(&'a Network) -> &'a [T],
) -> Vec<Placed<'a, T>> {
    let networks = world.networks.iter().filter(|network| caller.has(&network.account, &network.region));
    networks.flat_map(|network| kind(network).iter().map(move |it| Placed { network, it })).collect()
}

/// Answers a describing action about `all` that the caller has.
pub(super) fn describe<T: Described>(
    query: &Query,
    all: Vec<T>,
    request_id: &str,
) -> Result<String, QueryError> {
    let ids = query.list(T::IDS);
    if let Some(id) = ids.iter().find(|id| !all.iter().any(|it| it.id() == **id)) {
        let (code, what) = T::NOT_FOUND;
        return Err(QueryError::new(code, format!("The {what} '{id}' does not exist")));
    }
    let filters = query.filters();
    let mut found = Vec::new();
    for it in all {
        if (ids.is_empty() || ids.iter().any(|id| id == it.id())) && passes_all(&it, &filters)? {
            found.push(it);
        }
    }
    let (page, next) = query.page(found, !T::PAGES_WITH_IDS && !ids.is_empty())?;
    Ok(document(query.action(), request_id, |xml| {
        xml.list(T::SET, page, |xml, it| it.write(xml));
        write_next(xml, next.as_deref());
    }))
}

fn passes_all(it: &impl Described, filters: &[Filter]) -> Result<bool, QueryError> {
    for filter in filters {
        if !it.passes(filter).ok_or_else(|| filter.unknown())? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn write_next(xml: &mut Xml, next: Option<&str>) {
    if let Some(token) = next {
        xml.text("nextToken", token);
    }
}
