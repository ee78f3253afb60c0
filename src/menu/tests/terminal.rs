//! A terminal that understands what is sent, and says so when it does not.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ratatui_core::buffer::Buffer;
use ratatui_core::style::Modifier;
use unicode_width::UnicodeWidthChar;

use super::*;

type Cell = (String, Modifier);

/// Rows of cells, a cursor, a style, modes.
pub(crate) struct Terminal {
    columns: u16,
    rows: u16,
    cells: Vec<Cell>,
    at: (u16, u16),
    style: Modifier,
    modes: BTreeSet<String>,
    pending: Vec<u8>,
    /// Control characters and sequences that the menu has no business sending.
    pub(super) bell_or_worse: usize,
}

impl Terminal {
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        Self {
            columns,
            rows,
            cells: blank(columns, rows),
            at: (0, 0),
            style: Modifier::empty(),
            modes: ["?7h", "?25h"].map(str::to_owned).into(),
            pending: Vec::new(),
            bell_or_worse: 0,
        }
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        // What is left of the old picture is not defined: the worst is nonsense.
        *self = Self { modes: std::mem::take(&mut self.modes), ..Self::new(columns, rows) };
        self.cells.iter_mut().for_each(|cell| cell.0 = "#".to_owned());
    }

    /// The modes that are set, and the style.
    pub(crate) fn modes(&self) -> (BTreeSet<String>, Modifier) {
        (self.modes.clone(), self.style)
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.pending);
        let text = std::str::from_utf8(&all).expect("whole characters");
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\u{18}' | '\u{f}' => {}
                '\r' => self.at.0 = 0,
                '\n' => self.at.1 = (self.at.1 + 1).min(self.rows - 1),
                '\u{1b}' => self.escape(&mut chars),
                c if c.is_control() => self.bell_or_worse += 1,
                c => self.print(c),
            }
        }
    }

    fn escape(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        match chars.next() {
            Some('(') => assert_eq!(chars.next(), Some('B')),
            Some('>') => {}
            Some('[') => {
                let mut parameters = String::new();
                for c in chars.by_ref() {
                    match c {
                        '0'..='9' | ';' | '?' => parameters.push(c),
                        '\u{18}' => return,
                        last => return self.sequence(&parameters, last),
                    }
                }
                // Cut off: a terminal waits for the rest.
                self.pending = format!("\x1b[{parameters}").into_bytes();
            }
            other => panic!("ESC {other:?} is not among what the menu sends"),
        }
    }

    fn sequence(&mut self, parameters: &str, last: char) {
        let numbers: Vec<u16> = parameters.split(';').filter_map(|number| number.parse().ok()).collect();
        match last {
            'H' => {
                let at = |place: usize| numbers.get(place).copied().unwrap_or(1) - 1;
                self.at = (at(1), at(0));
                assert!(self.at.0 < self.columns && self.at.1 < self.rows, "outside: {parameters}");
            }
            'J' => {
                assert_eq!(parameters, "2");
                self.cells = blank(self.columns, self.rows);
            }
            'm' => {
                for number in numbers {
                    match number {
                        0 => self.style = Modifier::empty(),
                        1 => self.style |= Modifier::BOLD,
                        4 => self.style |= Modifier::UNDERLINED,
                        7 => self.style |= Modifier::REVERSED,
                        other => panic!("style {other}"),
                    }
                }
            }
            'h' => {
                self.modes.insert(format!("{parameters}h"));
            }
            'l' => {
                self.modes.remove(&format!("{parameters}h"));
            }
            'r' => assert_eq!(parameters, ""),
            other => panic!("CSI {parameters}{other} is not among what the menu sends"),
        }
    }

    fn print(&mut self, c: char) {
        let width = u16::try_from(c.width().expect("no control")).expect("small");
        assert!(width > 0, "{c:?} has no width");
        let (x, y) = self.at;
        assert!(x + width <= self.columns, "past the edge");
        assert!((x, y) != (self.columns - 1, self.rows - 1), "the last cell may scroll");
        let place = usize::from(y) * usize::from(self.columns) + usize::from(x);
        // Half of what was there is none of it.
        if self.cells[place].0.is_empty() {
            self.cells[place - 1].0 = " ".to_owned();
        }
        self.cells[place] = (c.to_string(), self.style);
        let next = place + usize::from(width);
        if width == 2 {
            self.cells[place + 1] = (String::new(), self.style);
        }
        if x + width < self.columns && self.cells[next].0.is_empty() {
            self.cells[next].0 = " ".to_owned();
        }
        self.at = ((x + width).min(self.columns - 1), y);
    }

    /// Its words, one blank between two.
    pub(crate) fn words(&self) -> String {
        let row = |row: &[Cell]| row.iter().map(|cell| cell.0.as_str()).collect::<String>();
        let rows: Vec<String> = self.cells.chunks(usize::from(self.columns)).map(row).collect();
        rows.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Demands that it shows that picture.
    #[track_caller]
    pub(super) fn compare(&self, picture: &Buffer) {
        let area = picture.area();
        assert_eq!((area.width, area.height), (self.columns, self.rows));
        for y in 0..self.rows {
            for x in 0..self.columns {
                let shown = &self.cells[usize::from(y) * usize::from(self.columns) + usize::from(x)];
                let wanted = &picture[(x, y)];
                let last = (x, y) == (self.columns - 1, self.rows - 1);
                if !last && !shown.0.is_empty() {
                    assert_eq!((shown.0.as_str(), shown.1), (wanted.symbol(), wanted.modifier), "{x}, {y}");
                }
            }
        }
        assert_eq!((self.bell_or_worse, self.style), (0, Modifier::empty()));
    }
}

fn blank(columns: u16, rows: u16) -> Vec<Cell> {
    vec![(" ".to_owned(), Modifier::empty()); usize::from(columns) * usize::from(rows)]
}

#[derive(Debug, Clone)]
enum Step {
    Type(Vec<u8>),
    Resize(u16, u16),
    Say(String),
    List(Vec<(String, String)>),
    AskLogin,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop_oneof![
        Just(b"\x1b[B".to_vec()),
        Just(b"\x1b[6~".to_vec()),
        Just(b"\x1b[F".to_vec()),
        Just(b"?".to_vec()),
        Just(b"\x7f".to_vec()),
        Just(b"\x15".to_vec()),
        Just(b"1".to_vec()),
        Just("東".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    let wild = "(web|db|東京|größe|e\u{301}|\u{202e}|\u{1b}\\[2J|🇩🇪|\u{7}|\\PC|.){0,12}";
    prop_oneof![
        6 => keys.prop_map(Step::Type),
        1 => (1..120_u16, 1..40_u16).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
        1 => wild.prop_map(Step::Say),
        2 => proptest::collection::vec((wild, wild), 0..30).prop_map(Step::List),
        1 => Just(Step::AskLogin),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever others wrote, whatever is typed and however the window is pulled: what the terminal shows is
    /// what was painted.
    #[test]
    fn what_the_terminal_shows_is_what_was_painted(
        steps in proptest::collection::vec(step(), 1..24),
        unicode in any::<bool>(),
    ) {
        let look = if unicode { FULL } else { PLAIN };
        let (mut menu, mut keys) = (menu(fleet()), Keys::default());
        let (mut screen, mut terminal) = (Screen::new(look, 80, 24), Terminal::new(80, 24));
        terminal.feed(&screen.enter());
        for step in steps {
            match step {
                Step::Type(bytes) => {
                    let mut input = Bytes::from(bytes);
                    while let Some(key) = keys.next(&mut input) {
                        menu.take(key);
                    }
                }
                Step::Resize(columns, rows) => {
                    terminal.resize(columns, rows);
                    screen.resize(u32::from(columns), u32::from(rows));
                }
                Step::Say(sentence) => menu.say(sentence),
                Step::List(names) => {
                    let targets = names.iter().map(|(name, tag)| target(name, 1, &[(tag, name)])).collect();
                    menu.show_list(Listing::new(targets));
                }
                Step::AskLogin => {
                    let logins = ["ec2-user", "deploy"].map(|l| Login::parse(l).expect("a login"));
                    menu.ask_login(fleet()[0].clone(), logins.into());
                }
            }
            terminal.feed(&screen.draw(&mut menu));
            terminal.compare(screen.shown().expect("drawn"));
        }
    }
}
