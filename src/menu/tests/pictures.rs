//! Screens as they are, kept as text.

use super::*;

fn picture(look: Look, columns: u32, rows: u32, menu: &mut Menu) -> String {
    let mut screen = Screen::new(look, columns, rows);
    screen.draw(menu);
    let shown = screen.shown().expect("drawn");
    let area = *shown.area();
    let row = |y| {
        let symbols = (0..area.width).map(|x| shown[(x, y)].symbol());
        symbols.collect::<String>().trim_end().to_owned()
    };
    (0..area.height).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_usual_screen() {
    let mut menu = menu(fleet());
    types(&mut menu, "\x1b[B\x1b[B");
    insta::assert_snapshot!(picture(FULL, 80, 24, &mut menu));
}

#[test]
fn a_filtered_list_on_the_console_of_linux() {
    let mut menu = menu(fleet());
    types(&mut menu, "env=prod");
    menu.set_age(Some(Duration::from_secs(20 * 60)));
    insta::assert_snapshot!(picture(PLAIN, 80, 24, &mut menu));
}

#[test]
fn several_logins() {
    let mut menu = menu(fleet());
    let logins = ["ec2-user", "deploy", "root"].map(|login| Login::parse(login).expect("a login"));
    menu.ask_login(fleet()[0].clone(), logins.into());
    types(&mut menu, "\x1b[B");
    insta::assert_snapshot!(picture(FULL, 80, 24, &mut menu));
}

#[test]
fn help() {
    let mut menu = menu(fleet());
    types(&mut menu, "?");
    insta::assert_snapshot!(picture(FULL, 80, 24, &mut menu));
}

#[test]
fn a_sentence() {
    let mut menu = menu(fleet());
    menu.say(
        "web-1 does not take the key that was pushed: check that the package ec2-instance-connect is installed \
         there and that sshd runs its AuthorizedKeysCommand.",
    );
    insta::assert_snapshot!(picture(FULL, 80, 24, &mut menu));
}

#[test]
fn tags_that_want_to_drive_the_terminal() {
    let hostile = [
        ("a\u{1b}[2J", "\u{1b}]0;owned\u{7}"),
        ("b", "line\r\nbreak"),
        ("c", "\u{202e}backwards\u{2066}"),
        ("d", "e\u{301}\u{200b}\u{feff}"),
        ("e", "🇩🇪👍🏽"),
        ("f", "東京 größe"),
        ("g", "שלום"),
    ];
    let mut menu = menu(vec![target("\u{9b}31mred\u{1b}c", 1, &hostile), target("東京-web", 2, &[])]);
    insta::assert_snapshot!(picture(FULL, 120, 24, &mut menu));
}

#[test]
fn nothing_to_choose_from() {
    let mut waiting = Menu::new("alice");
    let mut none = menu(Vec::new());
    let mut no_match = menu(fleet());
    types(&mut no_match, "zzz");
    let screens = [&mut waiting, &mut none, &mut no_match].map(|menu| picture(PLAIN, 76, 12, menu));
    insta::assert_snapshot!(screens.join("\n════\n"));
}

#[test]
fn small_screens() {
    let sizes = [(1, 1), (20, 5), (40, 8), (12, 14), (60, 3)];
    let shown = sizes.map(|(columns, rows)| {
        let mut menu = menu(fleet());
        types(&mut menu, "web");
        format!("{columns}×{rows}\n{}", picture(PLAIN, columns, rows, &mut menu))
    });
    insta::assert_snapshot!(shown.join("\n════\n"));
}

#[test]
fn a_huge_screen() {
    let mut menu = menu(fleet());
    let shown = picture(FULL, 500, 200, &mut menu);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let rule = |line: &&&str| !line.is_empty() && !line.starts_with('─');
    let text: Vec<&str> = lines.iter().filter(rule).copied().collect();
    insta::assert_snapshot!(text.join("\n"));
}
