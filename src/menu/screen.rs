//! A terminal as the client has it: its size, and what is on it.

use bytes::Bytes;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use super::look::Look;
use super::model::Menu;
use super::{ansi, paint};

/// The largest screen that is drawn on; of a larger one the rest stays empty.
const COLUMNS_MAX: u16 = 500;
const ROWS_MAX: u16 = 200;
/// What a terminal has that does not say.
const COLUMNS: u16 = 80;
const ROWS: u16 = 24;

/// What is on the client's terminal.
#[derive(Debug)]
pub struct Screen {
    look: Look,
    /// What is on it, or nothing that we know of.
    shown: Option<Buffer>,
    area: Rect,
}

impl Screen {
    /// A terminal of that size, in characters, with nothing of ours on it. Zero is "unknown" (RFC 4254 §6.2).
    #[must_use]
    pub fn new(look: Look, columns: u32, rows: u32) -> Self {
        Self { look, shown: None, area: area(columns, rows) }
    }

    /// The terminal has another size, and nobody knows what it made of what was on it.
    pub fn resize(&mut self, columns: u32, rows: u32) {
        self.area = area(columns, rows);
        self.forget();
    }

    /// The next picture is drawn whole.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// Takes the terminal.
    pub fn enter(&mut self) -> Bytes {
        self.forget();
        Bytes::from_static(ansi::enter(self.look.stage))
    }

    /// Gives the terminal back as it was.
    #[must_use]
    pub fn leave(&self) -> Bytes {
        Bytes::from_static(ansi::leave(self.look.stage))
    }

    /// What to send so that the terminal shows the menu; nothing when it does.
    pub fn draw(&mut self, menu: &mut Menu) -> Bytes {
        let mut wanted = Buffer::empty(self.area);
        paint::paint(menu, self.look.glyphs, &mut wanted);
        let mut out = Vec::new();
        let shown = self.shown.take().unwrap_or_else(|| {
            out.extend_from_slice(ansi::CLEAR);
            Buffer::empty(self.area)
        });
        out.append(&mut ansi::changes(&shown, &wanted));
        self.shown = Some(wanted);
        Bytes::from(out)
    }

    #[cfg(test)]
    pub(super) fn shown(&self) -> Option<&Buffer> {
        self.shown.as_ref()
    }
}

fn area(columns: u32, rows: u32) -> Rect {
    let bounded = |value: u32, usual: u16, most: u16| match u16::try_from(value) {
        Ok(0) => usual,
        Ok(value) => value.min(most),
        Err(_) => most,
    };
    Rect::new(0, 0, bounded(columns, COLUMNS, COLUMNS_MAX), bounded(rows, ROWS, ROWS_MAX))
}
