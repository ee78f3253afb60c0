//! Mistakes in the files, as the operator reads them.

use super::*;

#[test]
fn every_problem_is_listed_with_its_line() {
    let house = House::new();
    let key = house.shop.ed25519("k").line;
    let cut: String = key.chars().take(50).collect();
    house.users(&format!(
        r#"owner = "x"
[groups]
eng = "Engineering"
ops = 3

[users.alice]
groups = ["eng", "enk", "eng"]
authorized_keys = [
  "{key}",
  "{key}",
  "{cut}",
  'from="web.example.com" {key}',
  'command="id",no-pty,zap {key}',
  'expiry-time="tomorrow" {key}',
  'from="10.0.0.1 {key}',
  'no-touch-required {key}',
  'principals="x" {key}',
  "ssh-dss AAAA",
  "",
]
shell = "/bin/sh"

[users."al ice"]
[users.bob]
groups = "eng"
principals = ["alice", "a,b"]
"#
    ));
    let problems = house.problems().replace(&key, "KEY");
    insta::assert_snapshot!(problems);
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    let house = House::new();
    house.users("[users.alice]\ngroups = [\"eng\"\n\n[users.bob]\ngroups = []\n");
    assert!(house.problems().starts_with("users.toml:"), "{}", house.problems());
    assert!(house.problems().contains("this is not valid TOML"));
    house.users("[users.alice]\n[users.alice]\n");
    assert!(house.problems().starts_with("users.toml:2"), "{}", house.problems());
}

#[test]
fn all_files_are_read_before_problems_are_told() {
    let mut house = House::new();
    house.users("nonsense = 1\n");
    house.sources.trusted_user_ca_keys = vec![house.shop.write("cas", "\n# fine\nssh-ed25519 AAAA\n")];
    house.sources.revoked_keys = vec![house.shop.write("list", "nonsense\n")];
    let origins: Vec<_> =
        house.load().expect_err("problems").into_iter().map(|p| (p.origin, p.line)).collect();
    assert_eq!(
        origins,
        [
            (house.shop.path("users.toml"), Some(1)),
            (house.shop.path("cas"), Some(3)),
            (house.shop.path("list"), Some(1)),
        ]
    );
    assert_eq!(house.sources.paths().count(), 3);
}

#[test]
fn a_missing_users_file_and_one_that_is_not_text_are_told() {
    let mut house = House::new();
    house.shop.write("users.toml", b"[users]\n\xff\n");
    assert_eq!(house.problems(), "users.toml:2: the users file is not UTF-8 text");
    house.sources.users_file = house.shop.path("missing.toml");
    assert!(house.problems().contains("the users file cannot be read"));
}

#[test]
fn the_example_file_loads() {
    let sources = IdentitySources {
        users_file: concat!(env!("CARGO_MANIFEST_DIR"), "/config/users.toml").into(),
        ..IdentitySources::default()
    };
    let directory = Directory::load(&sources).expect("the example");
    assert!(directory.users().any(|user| user.name.as_str() == "alice"));
}
