//! The menu as somebody sees it: pictures, and what a terminal makes of the bytes that draw them.

mod pictures;
pub(crate) mod terminal;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::domain::{InstanceId, Login, Target};
use crate::target::testing;
use terminal::Terminal;

const FULL: Look = Look { glyphs: Glyphs::Unicode, stage: Stage::Alternate };
const PLAIN: Look = Look { glyphs: Glyphs::Ascii, stage: Stage::Only };

fn target(name: &str, number: u8, tags: &[(&str, &str)]) -> Arc<Target> {
    let mut target = testing::target(name, number);
    target.id = InstanceId::parse(&format!("i-0a1b2c3d4e5f600{number:02x}")).expect("an id");
    target.tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    target.tags.insert("Name".to_owned(), name.to_owned());
    Arc::new(target)
}

/// What a small company has.
fn fleet() -> Vec<Arc<Target>> {
    let mut fleet = vec![
        target("web-1", 1, &[("env", "prod"), ("team", "shop"), ("service", "web")]),
        target("web-2", 2, &[("env", "prod"), ("team", "shop"), ("service", "web")]),
        target("web-3", 3, &[("env", "staging"), ("team", "shop"), ("service", "web")]),
        target("db-primary", 4, &[("env", "prod"), ("team", "data"), ("service", "postgres")]),
        target("Jenkins", 5, &[("env", "tools"), ("owner", "platform@corp.example")]),
        target("a-name-that-is-far-too-long-for-any-column-of-the-list", 6, &[]),
    ];
    let mut stopped = Target::clone(&fleet[3]);
    stopped.state = "stopped".to_owned();
    stopped.name = Some("db-standby".to_owned());
    stopped.region = "ap-southeast-2".to_owned();
    stopped.id = InstanceId::parse("i-0a1b2c3d4e5f600ff").expect("an id");
    fleet.push(Arc::new(stopped));
    fleet
}

fn menu(targets: Vec<Arc<Target>>) -> Menu {
    let mut menu = Menu::new("alice");
    menu.show_list(Listing::new(targets));
    menu
}

fn types(menu: &mut Menu, text: &str) -> Option<Wish> {
    let (mut keys, mut input) = (Keys::default(), Bytes::copy_from_slice(text.as_bytes()));
    let mut last = None;
    while let Some(key) = keys.next(&mut input) {
        last = menu.take(key);
    }
    last
}

fn selected(menu: &mut Menu) -> String {
    menu.settle();
    menu.selected_target().map(|target| target.display_name().to_owned()).unwrap_or_default()
}

#[test]
fn typing_narrows_and_enter_opens_what_is_selected() {
    let mut menu = menu(fleet());
    assert_eq!(selected(&mut menu), "a-name-that-is-far-too-long-for-any-column-of-the-list");
    types(&mut menu, "env=prod web");
    assert_eq!(selected(&mut menu), "web-1");
    assert_eq!(menu.matches.len(), 2);
    types(&mut menu, "\x1b[B");
    let Some(Wish::Open(opened)) = types(&mut menu, "\r") else { panic!("{menu:?}") };
    assert_eq!(opened.display_name(), "web-2");
}

#[test]
fn the_best_is_selected_until_somebody_moves() {
    let mut menu = menu(fleet());
    types(&mut menu, "web-3");
    assert_eq!(selected(&mut menu), "web-3");
    types(&mut menu, "\x7f\x7f");
    assert_eq!((selected(&mut menu).as_str(), menu.matches()), ("web-1", 3));
    types(&mut menu, "\x1b[B\x15");
    assert_eq!((selected(&mut menu).as_str(), menu.matches()), ("web-2", 7));
    types(&mut menu, "nothing like it");
    assert_eq!((types(&mut menu, "\r"), menu.matches()), (None, 0));
}

/// Who types `web` and Enter does not mean the stopped one, nor one that has it in a tag.
#[test]
fn a_name_is_meant_before_a_tag_and_a_machine_that_runs_before_one_that_does_not() {
    let mut stopped = Target::clone(&target("a-web-0", 1, &[]));
    stopped.state = "stopped".to_owned();
    let others = ["cache", "my-web", "web-1"].map(|name| target(name, 2, &[("role", "web")]));
    let mut menu = menu(others.into_iter().chain([Arc::new(stopped)]).collect());
    types(&mut menu, "web");
    assert_eq!((selected(&mut menu).as_str(), menu.matches()), ("web-1", 4));
    types(&mut menu, "\x15role=we");
    assert_eq!(selected(&mut menu), "cache");
    types(&mut menu, "\x15a-w");
    assert_eq!(selected(&mut menu), "a-web-0");
}

#[test]
fn a_new_list_keeps_filter_and_selection() {
    let mut menu = menu(fleet());
    types(&mut menu, "web\x1b[B");
    assert_eq!(selected(&mut menu), "web-2");
    let mut more = fleet();
    more.push(target("web-0", 9, &[]));
    menu.show_list(Listing::new(more));
    assert_eq!((selected(&mut menu).as_str(), menu.matches.len()), ("web-2", 4));
    menu.show_list(Listing::default());
    assert_eq!((selected(&mut menu).as_str(), menu.matches.len()), ("", 0));
}

#[test]
fn a_list_that_is_gone_is_remembered_by_what_was_selected() {
    let mut menu = menu(fleet());
    types(&mut menu, "env=prod\x1b[B\x1b[B");
    assert_eq!(selected(&mut menu), "web-1");
    menu.forget_list();
    menu.list_is_underway();
    assert!(menu.awaits_a_list());
    assert_eq!((selected(&mut menu).as_str(), menu.matches()), ("", 0));
    let opened = types(&mut menu, "\r");
    assert_eq!(opened, None);
    menu.show_list(Listing::new(fleet()));
    assert_eq!((selected(&mut menu).as_str(), menu.matches()), ("web-1", 4));
}

#[test]
fn the_selection_moves_by_lines_and_by_pages_and_stays_in_view() {
    let many = (0..100).map(|n| target(&format!("host-{n:03}"), n, &[])).collect();
    let mut menu = menu(many);
    menu.set_page(10);
    for (keys, wanted, top) in [
        ("\x1b[A", "host-000", 0),
        ("\x1b[6~", "host-010", 1),
        ("\x1b[B", "host-011", 2),
        ("\x1b[F", "host-099", 90),
        ("\x1b[B", "host-099", 90),
        ("\x1b[5~", "host-089", 89),
        ("\x1b[H", "host-000", 0),
    ] {
        types(&mut menu, keys);
        assert_eq!((selected(&mut menu).as_str(), menu.top), (wanted, top), "{keys:?}");
    }
    types(&mut menu, "\x1b[F");
    menu.settle();
    menu.set_page(50);
    menu.settle();
    assert_eq!(menu.top, 50, "a larger view is filled");
}

#[test]
fn of_several_logins_one_is_asked_for() {
    let mut menu = menu(fleet());
    let logins: Vec<Login> = ["ec2-user", "deploy"].map(|l| Login::parse(l).expect("a login")).into();
    menu.ask_login(fleet()[0].clone(), logins.clone());
    assert_eq!(types(&mut menu, "\x1b[Bx"), None, "letters do nothing");
    let Some(Wish::Connect(target, login)) = types(&mut menu, "\r") else { panic!("{menu:?}") };
    assert_eq!((target.display_name(), login.as_str()), ("web-1", "deploy"));
    menu.ask_login(fleet()[0].clone(), logins);
    assert_eq!(types(&mut menu, "\x7f"), None);
    assert!(matches!(types(&mut menu, "\r"), Some(Wish::Open(_))), "back in the list");
}

#[test]
fn help_goes_at_any_key_and_a_pasted_question_mark_is_text() {
    let mut menu = menu(fleet());
    types(&mut menu, "?");
    assert!(matches!(menu.face, model::Face::Help));
    assert_eq!(types(&mut menu, "\r"), None, "it only goes back");
    types(&mut menu, "\x1b[200~a?\x1b[201~");
    assert_eq!(menu.filter.as_str(), "a?");
}

#[test]
fn leaving_is_possible_from_everywhere() {
    let mut menu = menu(fleet());
    assert_eq!(types(&mut menu, "\x03"), Some(Wish::Leave));
    types(&mut menu, "?");
    assert_eq!(types(&mut menu, "\x04"), Some(Wish::Leave));
    menu.ask_login(fleet()[0].clone(), vec![Login::parse("a").expect("a login")]);
    assert_eq!(types(&mut menu, "\x1b[21~"), Some(Wish::Leave));
}

#[test]
fn only_what_has_changed_is_sent() {
    let (mut menu, mut screen) = (menu(fleet()), Screen::new(FULL, 80, 24));
    let whole = screen.draw(&mut menu).len();
    assert_eq!(screen.draw(&mut menu).len(), 0);
    types(&mut menu, "\x1b[B");
    let moved = screen.draw(&mut menu).len();
    assert!(moved > 0 && moved < whole / 2, "{moved} of {whole} bytes");
    screen.forget();
    assert!(screen.draw(&mut menu).len() >= whole / 2, "drawn anew");
}

#[test]
fn sizes_are_bounded_and_zero_is_the_usual() {
    for (columns, rows, wanted) in
        [(u32::MAX, u32::MAX, (500, 200)), (0, 0, (80, 24)), (1, 1, (1, 1)), (132, 43, (132, 43))]
    {
        let mut screen = Screen::new(PLAIN, columns, rows);
        screen.draw(&mut menu(fleet()));
        let area = *screen.shown().expect("drawn").area();
        assert_eq!((area.width, area.height), wanted);
    }
}

/// On every size there is something to say, and no cell outside is touched.
#[test]
fn every_small_size_is_drawn() {
    let wide = target("東京", 7, &[("名前", "東京東京東京")]);
    let mut menu = menu([vec![wide], fleet()].concat());
    types(&mut menu, "\x1b[F");
    for (columns, rows) in (1..30).flat_map(|columns| (1..20).map(move |rows| (columns, rows))) {
        for face in ["", "?", "say"] {
            types(&mut menu, "\x1b[A");
            types(&mut menu, if face == "?" { "?" } else { "" });
            if face == "say" {
                menu.say("a sentence that is longer than most of these terminals are wide.");
            }
            let mut terminal = Terminal::new(columns, rows);
            let mut screen = Screen::new(FULL, u32::from(columns), u32::from(rows));
            terminal.feed(&screen.enter());
            terminal.feed(&screen.draw(&mut menu));
            terminal.compare(screen.shown().expect("drawn"));
            types(&mut menu, if face == "?" { "x" } else { "" });
        }
    }
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    for look in [FULL, PLAIN] {
        let (mut menu, mut screen) = (menu(fleet()), Screen::new(look, 80, 24));
        let mut terminal = Terminal::new(80, 24);
        let before = terminal.modes();
        terminal.feed(&screen.enter());
        terminal.feed(&screen.draw(&mut menu));
        assert_ne!(terminal.modes(), before);
        // Cut off in the middle of a sequence.
        terminal.feed(b"\x1b[12");
        terminal.feed(&screen.leave());
        assert_eq!(terminal.modes(), before, "{look:?}");
        assert_eq!(terminal.bell_or_worse, 0);
    }
}

#[test]
fn the_age_of_a_list_is_said_when_it_matters() {
    let mut menu = menu(fleet());
    menu.set_age(Some(Duration::from_secs(59)));
    assert_eq!(menu.age, None);
    menu.set_age(Some(Duration::from_secs(12 * 60 + 5)));
    assert_eq!(menu.age.as_deref(), Some("12 min old"));
}
