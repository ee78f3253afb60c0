//! The menu as a picture.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::columns::{Column, columns};
use super::look::Glyphs;
use super::model::{Choice, Face, Menu, Progress};
use super::safe_text::safe;
use crate::domain::Target;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const HEAD: Style = Style::new().add_modifier(Modifier::UNDERLINED);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
const PLAIN: Style = Style::new();
/// Says which row is selected where reverse cannot be seen.
const MARK: &str = "> ";
const MARK_WIDTH: u16 = 2;

/// The most needed first: a narrow terminal shows no more.
const KEYS_OF_LIST: &str = "Enter connects  Ctrl-C leaves  F1 helps  letters filter  Esc clears  Up/Down";
const KEYS_OF_LOGINS: &str = "Enter connects  Esc goes back  Ctrl-C leaves  Up/Down move";
const KEYS_OF_HELP: &str = "any key goes back";

const HELP: [&str; 14] = [
    "Type to filter: every word must be somewhere in the name, the id, the account,",
    "the region, the address or a tag (as in env=prod). Capitals do not matter.",
    "",
    "Enter          connects; leaving the session comes back here",
    "Up, Down       move; also Ctrl-P and Ctrl-N, Page Up and Page Down, Home and End",
    "Esc, Ctrl-U    clear the filter; Backspace and Ctrl-W take back a letter, a word",
    "Ctrl-R, F5     list anew",
    "Ctrl-L         draw anew",
    "F1, ?          this help",
    "Ctrl-C, F10    leave",
    "",
    "Without the menu: ssh LOGIN@TARGET@BASTION, or ssh -J BASTION LOGIN@TARGET,",
    "where TARGET is a name, an id or an address of this list. `ssh BASTION help`",
    "says what else there is.",
];

/// Which rows are for what.
#[derive(Debug, Clone, Copy)]
struct Rows {
    title: Option<u16>,
    filter: Option<u16>,
    head: Option<u16>,
    list: (u16, u16),
    /// A line, and three rows below it.
    details: Option<u16>,
    keys: Option<u16>,
}

impl Rows {
    fn of(height: u16) -> Self {
        match height {
            12.. => Self {
                title: Some(0),
                filter: Some(1),
                head: Some(2),
                list: (3, height - 8),
                details: Some(height - 5),
                keys: Some(height - 1),
            },
            6..12 => Self {
                title: Some(0),
                filter: Some(1),
                head: None,
                list: (2, height - 3),
                details: None,
                keys: Some(height - 1),
            },
            3..6 => Self {
                title: None,
                filter: Some(0),
                head: None,
                list: (1, height - 2),
                details: None,
                keys: Some(height - 1),
            },
            0..3 => {
                Self { title: None, filter: None, head: None, list: (0, height), details: None, keys: None }
            }
        }
    }
}

/// Paints the whole menu. Only what is in view costs.
pub(super) fn paint(menu: &mut Menu, glyphs: Glyphs, buffer: &mut Buffer) {
    let rows = Rows::of(buffer.area().height);
    menu.set_page(usize::from(rows.list.1));
    menu.settle();
    let mut canvas = Canvas { glyphs, buffer };
    if let Some(y) = rows.title {
        canvas.title(menu, y);
    }
    if let Some(y) = rows.filter {
        canvas.filter(menu, y);
    }
    match &menu.face {
        Face::List => canvas.list(menu, rows),
        Face::Help => canvas.help(rows),
        Face::Logins(choice) => canvas.logins(choice, rows),
    }
    canvas.foot(menu, rows);
}

struct Canvas<'b> {
    glyphs: Glyphs,
    buffer: &'b mut Buffer,
}

impl Canvas<'_> {
    fn width(&self) -> u16 {
        self.buffer.area().width
    }

    /// Writes a text that is safe in at most that many cells.
    fn put(&mut self, x: u16, y: u16, text: &str, width: u16, style: Style) {
        let area = *self.buffer.area();
        if x < area.width && y < area.height {
            self.buffer.set_stringn(x, y, text, usize::from(width.min(area.width - x)), style);
        }
    }

    /// Writes one line and marks what does not fit. The last cell of the last row is never drawn.
    fn line(&mut self, y: u16, text: &str, style: Style) {
        let at_the_bottom = y.saturating_add(1) == self.buffer.area().height;
        let text = fitted(text, self.width().saturating_sub(u16::from(at_the_bottom)));
        self.put(0, y, &text, self.width(), style);
    }

    /// Paints over a row without changing its text.
    fn dye(&mut self, y: u16, style: Style) {
        let row = Rect::new(0, y, self.width(), 1).intersection(*self.buffer.area());
        self.buffer.set_style(row, style);
    }

    fn title(&mut self, menu: &Menu, y: u16) {
        self.line(y, &safe(&format!("drawbridge: {}", menu.user), self.glyphs), BOLD);
        let (count, all) = (menu.matches.len(), menu.listing.targets.len());
        let noun = if all == 1 { "target" } else { "targets" };
        let mut right = match menu.progress {
            Progress::Underway => "listing...".to_owned(),
            Progress::Done => String::new(),
        };
        if menu.progress == Progress::Done || all > 0 {
            let of_all = if menu.filter.is_empty() { String::new() } else { format!("{count} of ") };
            let comma = if right.is_empty() { "" } else { ", " };
            right = format!("{right}{comma}{of_all}{all} {noun}");
        }
        if let Some(age) = &menu.age {
            right = format!("{right}, {age}");
        }
        let length = u16::try_from(right.len()).unwrap_or(u16::MAX);
        // Where there is not room for both, the user knows who they are.
        self.put(self.width().saturating_sub(length.saturating_add(1)), y, " ", 1, BOLD);
        self.put(self.width().saturating_sub(length), y, &right, length, BOLD);
    }

    fn filter(&mut self, menu: &Menu, y: u16) {
        let typed = safe(menu.filter.as_str(), self.glyphs);
        let label = "Filter: ";
        let room = usize::from(self.width()).saturating_sub(label.len() + 1);
        let shown = tail(&typed, room);
        self.put(0, y, label, self.width(), PLAIN);
        let x = u16::try_from(label.len()).unwrap_or(u16::MAX);
        self.put(x, y, shown, self.width(), BOLD);
        let end = x.saturating_add(u16::try_from(shown.width()).unwrap_or(u16::MAX));
        self.put(end, y, "_", 1, PLAIN);
    }

    fn list(&mut self, menu: &Menu, rows: Rows) {
        let columns = columns(self.width().saturating_sub(MARK_WIDTH), menu.listing.widths);
        if let Some(y) = rows.head {
            for (column, x, width) in &columns {
                self.put(MARK_WIDTH + x, y, column.title(), *width, HEAD);
            }
        }
        if menu.matches.is_empty() {
            return self.line(rows.list.0, emptiness(menu), PLAIN);
        }
        let in_view = menu.matches.iter().enumerate().skip(menu.top);
        for (y, (place, of_all)) in (rows.list.0..).take(usize::from(rows.list.1)).zip(in_view) {
            let Some(target) = menu.listing.targets.get(*of_all) else { continue };
            self.target(target, &columns, y);
            if place == menu.selected {
                self.put(0, y, MARK, MARK_WIDTH, PLAIN);
                self.dye(y, SELECTED);
            }
        }
    }

    fn target(&mut self, target: &Target, columns: &[(Column, u16, u16)], y: u16) {
        for (column, x, width) in columns {
            let text = fitted(&safe(&column.of(target), self.glyphs), *width);
            self.put(MARK_WIDTH + x, y, &text, *width, PLAIN);
        }
    }

    fn logins(&mut self, choice: &Choice, rows: Rows) {
        let (first, count) = rows.list;
        let target = &choice.target;
        let question = format!("Log in to {} ({}) as:", target.display_name(), target.id);
        let mut y = first;
        let mut room = usize::from(count);
        if count > 1 {
            self.line(y, &safe(&question, self.glyphs), BOLD);
            y += 1;
            room -= 1;
        }
        let top = choice.selected.saturating_sub(room.saturating_sub(1));
        for (y, (place, login)) in (y..).zip(choice.logins.iter().enumerate().skip(top).take(room)) {
            self.put(MARK_WIDTH, y, &safe(login.as_str(), self.glyphs), self.width(), PLAIN);
            if place == choice.selected {
                self.put(0, y, MARK, MARK_WIDTH, PLAIN);
                self.dye(y, SELECTED);
            }
        }
    }

    fn help(&mut self, rows: Rows) {
        let height = self.buffer.area().height;
        let first = rows.head.unwrap_or(rows.list.0);
        let last = rows.keys.unwrap_or(height);
        self.paragraph(first, last.saturating_sub(first), &HELP.join("\n"), PLAIN);
    }

    /// The selected target's particulars, or what there is to say; and the keys.
    fn foot(&mut self, menu: &Menu, rows: Rows) {
        let notice = menu.notice.as_deref().map(|notice| safe(notice, self.glyphs));
        let keys = match &menu.face {
            Face::List => KEYS_OF_LIST,
            Face::Help => KEYS_OF_HELP,
            Face::Logins(_) => KEYS_OF_LOGINS,
        };
        match (rows.details, &notice) {
            (Some(top), Some(notice)) => {
                self.rule(top);
                self.paragraph(top + 1, 3, notice, BOLD);
            }
            (Some(top), None) if !matches!(menu.face, Face::Help) => {
                self.rule(top);
                let in_front = match &menu.face {
                    Face::List | Face::Help => menu.selected_target(),
                    Face::Logins(choice) => Some(&choice.target),
                };
                if let Some(target) = in_front {
                    let particulars = safe_particulars(target, self.glyphs);
                    self.paragraph(top + 1, 3, &particulars, PLAIN);
                }
            }
            (Some(_), None) => {}
            (None, Some(notice)) => {
                let y = rows.keys.unwrap_or(0);
                self.put(0, y, &" ".repeat(usize::from(self.width())), self.width(), PLAIN);
                return self.line(y, notice, BOLD);
            }
            (None, None) => {}
        }
        if let Some(y) = rows.keys {
            self.line(y, keys, PLAIN);
        }
    }

    fn rule(&mut self, y: u16) {
        let stroke = match self.glyphs {
            Glyphs::Ascii => "-",
            Glyphs::Unicode => "─",
        };
        self.put(0, y, &stroke.repeat(usize::from(self.width())), self.width(), PLAIN);
    }

    /// A text on as many rows as it takes, or as there are.
    fn paragraph(&mut self, first: u16, rows: u16, text: &str, style: Style) {
        let lines = wrapped(text, self.width(), usize::from(rows));
        for (y, line) in (first..).zip(lines) {
            self.line(y, &line, style);
        }
    }
}

fn emptiness(menu: &Menu) -> &'static str {
    if !menu.listing.targets.is_empty() {
        return "No target fits the filter; Esc clears it.";
    }
    match menu.progress {
        Progress::Underway => "Listing what you may reach...",
        Progress::Done => "There is no target that you may reach; ask whoever manages your access.",
    }
}

/// One line about the machine, then its tags.
fn safe_particulars(target: &Target, glyphs: Glyphs) -> String {
    let about = format!(
        "{}  {}  {} ({})  {}  {}",
        target.display_name(),
        target.id,
        target.account_alias,
        target.account,
        target.availability_zone,
        target.private_ip,
    );
    format!("{}\n{}", safe(&about, glyphs), safe(&Column::Tags.of(target), glyphs))
}

/// As much as fits; what was cut off shows.
fn fitted(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            let size = c.width().unwrap_or(0);
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        })
        .collect();
    if width > 0 {
        kept.push('~');
    }
    kept
}

/// The first lines of a text that is broken between words, and within a word that is longer than a line.
fn wrapped(text: &str, width: u16, most: usize) -> Vec<String> {
    let width = usize::from(width);
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_inclusive(' ') {
            if !line.is_empty() && line.width() + word.trim_end().width() > width {
                lines.push(std::mem::take(&mut line));
            }
            for c in word.chars() {
                let full = line.width() + c.width().unwrap_or(0) > width;
                if full && c == ' ' {
                    continue;
                }
                if full && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(c);
            }
        }
        lines.push(line);
        if lines.len() >= most {
            break;
        }
    }
    lines.truncate(most);
    lines
}

/// The end of a text that fits.
fn tail(text: &str, width: usize) -> &str {
    let mut left = width;
    let mut from = text.len();
    for (at, c) in text.char_indices().rev() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
        left = rest;
        from = at;
    }
    text.get(from..).unwrap_or_default()
}
