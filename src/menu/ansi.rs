//! Two pictures → the bytes that turn the one into the other on a terminal.
//!
//! Only what every terminal understands that can place its cursor: positions, bold, underline, reverse.

use std::io::Write;

use ratatui_core::buffer::Buffer;
use ratatui_core::style::Modifier;

use super::look::Stage;

/// Nothing is on the screen.
pub(super) const CLEAR: &[u8] = b"\x1b[0m\x1b[2J\x1b[H";

/// Takes the screen: no cursor, no wrapping at the edge, pastes marked as such. Before that, whatever a program
/// may have left behind that was cut off: its character set, scrolling region, insert and origin mode,
/// application keys, reports of the mouse.
pub(super) fn enter(stage: Stage) -> &'static [u8] {
    match stage {
        Stage::Alternate => {
            b"\x18\x0f\x1b(B\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1049h\
              \x1b[r\x1b[4l\x1b[?6l\x1b[?1l\x1b>\x1b[?25l\x1b[?7l\x1b[?2004h"
        }
        Stage::Only => b"\x18\x0f\x1b(B\x1b[r\x1b[4l\x1b[?6l\x1b[?1l\x1b>\x1b[?25l\x1b[?7l",
    }
}

/// Gives the screen back as it was. CAN first: what was cut off before must not swallow this.
pub(super) fn leave(stage: Stage) -> &'static [u8] {
    match stage {
        Stage::Alternate => b"\x18\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l",
        Stage::Only => b"\x18\x1b[0m\x1b[?7h\x1b[?25h\x1b[2J\x1b[H",
    }
}

/// What differs. The last cell of the last row is left alone: some terminals scroll when it is written.
pub(super) fn changes(shown: &Buffer, wanted: &Buffer) -> Vec<u8> {
    let mut pen = Pen::default();
    let corner = (wanted.area().width.saturating_sub(1), wanted.area().height.saturating_sub(1));
    for (x, y, cell) in shown.diff(wanted) {
        if (x, y) != corner {
            pen.put(x, y, cell.symbol(), cell.modifier);
        }
    }
    pen.lift()
}

#[derive(Debug, Default)]
struct Pen {
    out: Vec<u8>,
    /// Where the cursor is, as long as everybody agrees on that.
    at: Option<(u16, u16)>,
    style: Modifier,
}

impl Pen {
    fn put(&mut self, x: u16, y: u16, symbol: &str, style: Modifier) {
        if self.at != Some((x, y)) {
            self.write(format_args!("\x1b[{};{}H", u32::from(y) + 1, u32::from(x) + 1));
        }
        if self.style != style {
            self.set(style);
        }
        self.out.extend_from_slice(symbol.as_bytes());
        // Terminals differ in how wide they find other characters.
        self.at = (symbol.is_ascii() && symbol.len() == 1).then(|| (x.saturating_add(1), y));
    }

    fn set(&mut self, style: Modifier) {
        self.out.extend_from_slice(b"\x1b[0");
        for (part, code) in
            [(Modifier::BOLD, b";1"), (Modifier::UNDERLINED, b";4"), (Modifier::REVERSED, b";7")]
        {
            if style.contains(part) {
                self.out.extend_from_slice(code);
            }
        }
        self.out.push(b'm');
        self.style = style;
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A vector takes everything.
        let _written = self.out.write_fmt(text).is_ok();
    }

    /// Leaves no style behind.
    fn lift(mut self) -> Vec<u8> {
        if self.style != Modifier::empty() {
            self.set(Modifier::empty());
        }
        self.out
    }
}
