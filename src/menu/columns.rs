//! Which fields are shown side by side, and where.

use super::model::{Widths, address};
use crate::domain::Target;

/// A field of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Id,
    Account,
    Region,
    Address,
    Tags,
}

/// Cells between two columns.
const GAP: u16 = 2;
/// A name gets as many before anything else is shown.
const NAME_FIRST: u16 = 18;
/// And at most so many.
const NAME_MAX: u16 = 48;
/// Fewer are not worth the head.
const TAGS_MIN: u16 = 12;

impl Column {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Id => "INSTANCE",
            Self::Account => "ACCOUNT",
            Self::Region => "REGION",
            Self::Address => "ADDRESS",
            Self::Tags => "TAGS",
        }
    }

    /// The field, as others wrote it.
    pub(super) fn of(self, target: &Target) -> String {
        match self {
            Self::Name => target.display_name().to_owned(),
            Self::Id => target.id.to_string(),
            Self::Account => target.account_alias.clone(),
            Self::Region => target.region.clone(),
            Self::Address => address(target),
            Self::Tags => {
                // What people wrote for people comes before what machines wrote for machines.
                let for_machines = |key: &str| key.starts_with("aws:") || key.starts_with("drawbridge:");
                let tags = target.tags.iter().filter(|(key, _)| *key != "Name");
                let (last, first): (Vec<_>, Vec<_>) = tags.partition(|(key, _)| for_machines(key));
                let all = first.into_iter().chain(last);
                all.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn wide(self, widths: Widths) -> u16 {
        let (widest, most) = match self {
            Self::Name => (widths.name, NAME_MAX),
            Self::Id => (widths.id, 19),
            Self::Account => (widths.account, 16),
            Self::Region => (widths.region, 16),
            Self::Address => (widths.address, 39),
            Self::Tags => (widths.tags, u16::MAX),
        };
        let title = self.title().len();
        u16::try_from(widest.max(title)).unwrap_or(u16::MAX).min(most)
    }
}

/// The columns for that many cells, each with its place and width: a name first, then what tells machines apart.
pub(super) fn columns(room: u16, widths: Widths) -> Vec<(Column, u16, u16)> {
    let name_wide = Column::Name.wide(widths);
    let mut name = name_wide.min(NAME_FIRST).min(room);
    let mut left = room - name;
    let mut chosen = Vec::new();
    for column in [Column::Id, Column::Address, Column::Account, Column::Region] {
        let wide = column.wide(widths);
        if let Some(rest) = left.checked_sub(wide.saturating_add(GAP)) {
            left = rest;
            chosen.push((column, wide));
        }
    }
    let more = name_wide.saturating_sub(name).min(left);
    name += more;
    left -= more;
    if widths.tags > 0 && left >= TAGS_MIN + GAP {
        chosen.push((Column::Tags, left - GAP));
    }
    chosen.push((Column::Name, name));
    let order = [Column::Name, Column::Id, Column::Account, Column::Region, Column::Address, Column::Tags];
    let mut x = 0_u16;
    let mut placed = Vec::with_capacity(chosen.len());
    for column in order {
        if let Some((_, width)) = chosen.iter().find(|(other, _)| *other == column) {
            placed.push((column, x, *width));
            x = x.saturating_add(*width).saturating_add(GAP);
        }
    }
    placed
}
