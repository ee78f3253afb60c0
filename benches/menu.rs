//! What the menu of `ssh bastion` costs with 10,000 targets: a key, and the picture that follows it.
//!
//! Why: it runs on the thread that carries other people's sessions, and whoever types expects the screen to
//! follow. A picture has 16 ms before anybody could see that it is late.
//!
//! `listing` is sorting and measuring, which happens on a thread where nobody waits.
//!
//! `cargo bench --bench menu`; a name such as `key` after `--` picks some of them.

#![expect(clippy::expect_used, reason = "a bench that cannot go on should say why and stop")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use drawbridge::domain::{InstanceId, Target};
use drawbridge::menu::{Key, Listing, Look, Menu, Screen};

const TARGETS: u16 = 10_000;
const SIZES: [(&str, u32, u32); 2] = [("80x24", 80, 24), ("500x200", 500, 200)];

fn menu(criterion: &mut Criterion) {
    let look = Look::of("xterm-256color", true).expect("a terminal");
    let targets: Vec<Arc<Target>> = (0..TARGETS).map(target).collect();
    let mut group = criterion.benchmark_group("menu");
    group.bench_function("listing", |b| {
        b.iter_batched(|| targets.clone(), |targets| black_box(Listing::new(targets)), BatchSize::LargeInput);
    });
    let whole = typed(&targets, "");
    assert_eq!(whole.matches(), usize::from(TARGETS));
    for (size, columns, rows) in SIZES {
        // The first letter is the costly one: it is looked for in everything.
        for (name, before, key) in [
            ("first_letter", "", Key::Char('w')),
            ("fourth_letter", "web", Key::Char('-')),
            ("two_words_and_a_tag", "web-12 eu-west team=team-", Key::Char('3')),
            ("letter_back", "web-1234", Key::Backspace),
            ("down", "", Key::Down),
            ("end", "", Key::End),
        ] {
            group.bench_function(format!("key_to_picture/{name}/{size}"), |b| {
                let set_up = || {
                    let (mut menu, mut screen) = (typed(&targets, before), Screen::new(look, columns, rows));
                    screen.draw(&mut menu);
                    (menu, screen)
                };
                let press = |(mut menu, mut screen): (Menu, Screen)| {
                    menu.take(key);
                    black_box(screen.draw(&mut menu));
                    (menu, screen)
                };
                b.iter_batched(set_up, press, BatchSize::LargeInput);
            });
        }
        group.bench_function(format!("whole_picture/{size}"), |b| {
            let (mut menu, mut screen) = (typed(&targets, ""), Screen::new(look, columns, rows));
            b.iter(|| {
                screen.forget();
                black_box(screen.draw(&mut menu))
            });
        });
    }
}

fn typed(targets: &[Arc<Target>], filter: &str) -> Menu {
    let mut menu = Menu::new("alice");
    menu.show_list(Listing::new(targets.to_vec()));
    for c in filter.chars() {
        menu.take(Key::Char(c));
    }
    menu.settle();
    menu
}

fn target(number: u16) -> Arc<Target> {
    let [high, low] = number.to_be_bytes();
    let team = format!("team-{}", number % 40);
    let tags =
        [("team", team.as_str()), ("env", "prod"), ("service", "web"), ("owner", "platform@corp.example")];
    Arc::new(Target {
        id: InstanceId::parse(&format!("i-{number:017x}")).expect("an id"),
        name: Some(format!("web-{number}")),
        account: "123456789012".to_owned(),
        account_alias: "prod".to_owned(),
        region: "eu-west-1".to_owned(),
        availability_zone: "eu-west-1a".to_owned(),
        vpc: "vpc-1".to_owned(),
        subnet: "subnet-1".to_owned(),
        image: "ami-1".to_owned(),
        image_name: Some("al2023-ami-2023".to_owned()),
        platform: "Linux/UNIX".to_owned(),
        private_ip: IpAddr::V4(Ipv4Addr::new(10, 0, high, low)),
        other_ips: Vec::new(),
        private_dns: Some(format!("ip-10-0-{high}-{low}.eu-west-1.compute.internal")),
        launch_time: None,
        port: 22,
        state: "running".to_owned(),
        tags: tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>(),
    })
}

criterion_group!(menus, menu);
criterion_main!(menus);
