//! What the menu knows and what a key does to it.

use std::sync::Arc;
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::filter::Filter;
use super::keys::Key;
use crate::domain::{InstanceId, Login, Target};

/// What the one who looks at the menu wants of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To go to this target; the logins are still to be found out.
    Open(Arc<Target>),
    /// To go to this target as that login.
    Connect(Arc<Target>, Login),
    /// A fresh list.
    Refresh,
    /// Everything drawn anew.
    Redraw,
    /// To leave.
    Leave,
}

/// Targets in the order in which they are shown. Making one costs: do it where nobody waits.
#[derive(Debug, Default)]
pub struct Listing {
    pub(super) targets: Vec<Arc<Target>>,
    pub(super) widths: Widths,
}

/// How wide the widest of each field is, in cells.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Widths {
    pub(super) name: usize,
    pub(super) id: usize,
    pub(super) account: usize,
    pub(super) region: usize,
    pub(super) address: usize,
    pub(super) tags: usize,
}

impl Listing {
    /// Sorts by name, capitals aside, then by account, region and id.
    #[must_use]
    pub fn new(mut targets: Vec<Arc<Target>>) -> Self {
        targets.sort_by_cached_key(|target| {
            let place = (target.account_alias.clone(), target.region.clone(), target.id.clone());
            (target.display_name().to_lowercase(), place)
        });
        let mut widths = Widths::default();
        for target in &targets {
            widths.name = widths.name.max(target.display_name().width());
            widths.id = widths.id.max(target.id.as_str().len());
            widths.account = widths.account.max(target.account_alias.width());
            widths.region = widths.region.max(target.region.width());
            widths.address = widths.address.max(address(target).len());
            let tags = target.tags.iter().filter(|(key, _)| *key != "Name");
            widths.tags = widths.tags.max(tags.map(|(key, value)| key.len() + value.len() + 2).sum());
        }
        Self { targets, widths }
    }
}

/// The address, or in its place why there is no going there.
pub(super) fn address(target: &Target) -> String {
    if target.state == "running" { target.private_ip.to_string() } else { format!("({})", target.state) }
}

/// What is in front.
#[derive(Debug)]
pub(super) enum Face {
    List,
    Help,
    Logins(Choice),
}

/// Several logins, one of which is wanted.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) target: Arc<Target>,
    pub(super) logins: Vec<Login>,
    pub(super) selected: usize,
}

impl Choice {
    fn wish(&self, key: Key) -> Option<Wish> {
        let login = self.logins.get(self.selected).filter(|_| key == Key::Enter)?;
        Some(Wish::Connect(Arc::clone(&self.target), login.clone()))
    }
}

/// Whether there is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Underway,
    Done,
}

/// Why that target is selected and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selected {
    /// It fits the filter best.
    AsBest,
    /// Somebody moved there.
    ByMoving,
}

/// The menu.
#[derive(Debug)]
pub struct Menu {
    pub(super) user: String,
    pub(super) listing: Listing,
    /// Places in the listing that fit the filter, in order.
    pub(super) matches: Vec<usize>,
    pub(super) filter: Filter,
    /// The filter that `matches` is about; nothing when they are about another list.
    settled: Option<String>,
    /// What was selected in a list that is gone.
    held: Option<InstanceId>,
    /// A place in `matches`.
    pub(super) selected: usize,
    how_selected: Selected,
    /// The first of `matches` in view.
    pub(super) top: usize,
    page: usize,
    pub(super) face: Face,
    pub(super) progress: Progress,
    pub(super) notice: Option<String>,
    pub(super) age: Option<String>,
}

impl Menu {
    /// A menu for that user, without a list yet.
    #[must_use]
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            listing: Listing::default(),
            matches: Vec::new(),
            filter: Filter::default(),
            settled: Some(String::new()),
            held: None,
            selected: 0,
            how_selected: Selected::AsBest,
            top: 0,
            page: 1,
            face: Face::List,
            progress: Progress::Underway,
            notice: None,
            age: None,
        }
    }

    /// A list is being made.
    pub fn list_is_underway(&mut self) {
        self.progress = Progress::Underway;
    }

    /// Whether a list is being made and there is none to choose from meanwhile.
    #[must_use]
    pub fn awaits_a_list(&self) -> bool {
        self.progress == Progress::Underway && self.listing.targets.is_empty()
    }

    /// Lets go of the list, which holds a copy of the inventory, but remembers what was selected.
    pub fn forget_list(&mut self) {
        self.settle();
        self.held = self.selected_target().map(|target| target.id.clone());
        self.listing = Listing::default();
        self.matches = Vec::new();
        self.settled = None;
        self.face = Face::List;
    }

    /// A new list. What was selected stays so, if it is still there.
    pub fn show_list(&mut self, listing: Listing) {
        self.settle();
        let held = self.selected_target().map(|target| target.id.clone()).or_else(|| self.held.take());
        self.listing = listing;
        self.progress = Progress::Done;
        self.settled = None;
        self.settle();
        let found = held.and_then(|id| {
            let is_it =
                |place: &usize| self.listing.targets.get(*place).is_some_and(|target| target.id == id);
            self.matches.iter().position(is_it)
        });
        self.selected = found.unwrap_or(0);
    }

    /// Says something in place of the details, until the next key.
    pub fn say(&mut self, sentence: impl Into<String>) {
        self.notice = Some(sentence.into());
    }

    /// How old the oldest part of the list is; said when it is worth a word.
    pub fn set_age(&mut self, age: Option<Duration>) {
        self.age =
            age.filter(|age| *age >= WORTH_A_WORD).map(|age| format!("{} min old", age.as_secs() / 60));
    }

    /// Asks which login; the first is selected.
    pub fn ask_login(&mut self, target: Arc<Target>, logins: Vec<Login>) {
        self.face = Face::Logins(Choice { target, logins, selected: 0 });
    }

    /// How many targets are in view at once, for paging.
    pub fn set_page(&mut self, rows: usize) {
        self.page = rows.max(1);
    }

    /// How many targets fit the filter.
    #[must_use]
    pub fn matches(&self) -> usize {
        self.matches.len()
    }

    /// Brings the matches up to date with what was typed, and the selection into view.
    pub fn settle(&mut self) {
        let wanted = self.filter.as_str();
        if self.settled.as_deref() != Some(wanted) {
            self.search();
        }
        self.selected = self.selected.min(self.matches.len().saturating_sub(1));
        let lowest = self.selected.saturating_sub(self.page - 1);
        // A view that could show more does.
        let highest = self.selected.min(self.matches.len().saturating_sub(self.page));
        self.top = self.top.clamp(lowest.min(highest), highest);
    }

    fn search(&mut self) {
        let wanted = self.filter.as_str();
        let held = self.matches.get(self.selected).copied();
        let mut question = self.filter.question();
        let targets = &self.listing.targets;
        let mut fits = |place: &usize| targets.get(*place).is_some_and(|target| question.fits(target));
        // Whatever is typed after a filter only takes away from what fits it.
        if self.settled.as_deref().is_some_and(|settled| wanted.starts_with(settled)) {
            self.matches.retain(&mut fits);
        } else {
            self.matches = (0..targets.len()).filter(|place| fits(place)).collect();
        }
        self.settled = Some(wanted.to_owned());
        let moved_there = held.filter(|_| self.how_selected == Selected::ByMoving);
        match moved_there.and_then(|place| self.matches.binary_search(&place).ok()) {
            Some(place) => self.selected = place,
            None => {
                let rank = |place: &usize| targets.get(*place).map(|target| question.rank(target));
                let best = self.matches.iter().enumerate().min_by_key(|(_, place)| rank(place));
                self.selected = best.map_or(0, |(place, _)| place);
                self.how_selected = Selected::AsBest;
            }
        }
    }

    pub(super) fn selected_target(&self) -> Option<&Arc<Target>> {
        self.listing.targets.get(*self.matches.get(self.selected)?)
    }

    /// What a key does.
    pub fn take(&mut self, key: Key) -> Option<Wish> {
        self.notice = None;
        if key == Key::Leave {
            return Some(Wish::Leave);
        }
        if key == Key::Redraw {
            return Some(Wish::Redraw);
        }
        match &mut self.face {
            Face::List => self.take_in_list(key),
            Face::Help => {
                self.face = Face::List;
                None
            }
            Face::Logins(choice) => {
                choice.selected = moved(choice.selected, choice.logins.len(), self.page, key);
                let wish = choice.wish(key);
                if matches!(key, Key::Enter | Key::Escape | Key::Backspace) {
                    self.face = Face::List;
                }
                wish
            }
        }
    }

    fn take_in_list(&mut self, key: Key) -> Option<Wish> {
        match key {
            Key::Char('?') | Key::Help => self.face = Face::Help,
            Key::Char(c) | Key::Pasted(c) => self.filter.push(c),
            Key::Backspace => self.filter.pop(),
            Key::EraseWord => self.filter.pop_word(),
            Key::EraseAll | Key::Escape => self.filter.clear(),
            Key::Refresh => return Some(Wish::Refresh),
            Key::Enter => {
                self.settle();
                return self.selected_target().map(|target| Wish::Open(Arc::clone(target)));
            }
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => {
                self.settle();
                self.selected = moved(self.selected, self.matches.len(), self.page, key);
                self.how_selected = Selected::ByMoving;
            }
            Key::Leave | Key::Redraw => {}
        }
        None
    }
}

/// A list that is younger is as good as fresh.
const WORTH_A_WORD: Duration = Duration::from_secs(5 * 60);

/// Where a key moves a selection among so many.
fn moved(selected: usize, count: usize, page: usize, key: Key) -> usize {
    let last = count.saturating_sub(1);
    let to = match key {
        Key::Up => selected.saturating_sub(1),
        Key::Down => selected.saturating_add(1),
        Key::PageUp => selected.saturating_sub(page),
        Key::PageDown => selected.saturating_add(page),
        Key::Home => 0,
        Key::End => last,
        Key::Char(_)
        | Key::Pasted(_)
        | Key::Enter
        | Key::Escape
        | Key::Backspace
        | Key::EraseWord
        | Key::EraseAll
        | Key::Help
        | Key::Refresh
        | Key::Redraw
        | Key::Leave => selected,
    };
    to.min(last)
}
