use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::ssh::Offer;

/// Everything but the look at the disk.
fn read_text(text: &str, variables: &[(&str, &str)], set: &[&str]) -> Result<Config, Vec<String>> {
    let flags = Overrides { listen: Vec::new(), set: set.iter().map(|one| (*one).to_owned()).collect() };
    let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let layers = [Layer::from_toml(text), Layer::from_variables(variables), Layer::from_flags(&flags)];
    let Reading { config, complaints, .. } = Config::read(layers, Path::new("/etc/drawbridge"));
    if complaints.is_empty() {
        return Ok(config);
    }
    let problems = into_problems(complaints, Some(Path::new("d.toml")));
    Err(problems.iter().map(ToString::to_string).collect())
}

fn problems_of(text: &str) -> String {
    read_text(text, &[], &[]).expect_err("problems").join("\n")
}

fn defaults() -> Config {
    read_text("", &[], &[]).expect("the defaults are sound")
}

const REFERENCE: &str = include_str!("../../config/reference.toml");

/// The reference file with its commented examples switched on.
fn reference_with_examples() -> String {
    let switched_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    REFERENCE.lines().map(switched_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_file_says_what_the_defaults_are() {
    assert_eq!(read_text(REFERENCE, &[], &[]), Ok(defaults()));
}

#[test]
fn the_reference_file_has_every_key_and_its_examples_are_sound() {
    let text = reference_with_examples();
    let config = read_text(&text, &[], &[]).expect("examples that are sound");
    assert_eq!((config.inventory.accounts.len(), config.audit.sinks.len()), (1, 3));
    let layers = [Layer::from_toml(&text), Layer::default(), Layer::default()];
    let tree = layers::merge(layers).expect("layers");
    let mut reader = Reader::new(tree, PathBuf::from("/"));
    Config::from_reader(&mut reader);
    let parsed: toml::Table = text.parse().expect("TOML");
    for (section, keys) in &reader.known {
        let (outer, inner) = section.split_once('.').map_or((*section, None), |(a, b)| (a, Some(b)));
        let tables = match inner {
            Some(inner) => parsed[outer][inner].as_array().expect("tables").clone(),
            None => vec![parsed[outer].clone()],
        };
        for key in keys {
            let written = tables.iter().any(|table| table.get(key).is_some());
            assert!(written, "{section}.{key} is not in reference.toml");
        }
    }
}

#[test]
fn every_file_in_the_config_folder_loads() {
    let folder = tempfile::tempdir().expect("a directory");
    for needed in ["users.toml", "policy.cedar"] {
        fs::write(folder.path().join(needed), "").expect("a file");
    }
    let flags = Overrides { listen: vec![], set: vec![format!("data.dir={}", folder.path().display())] };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for name in ["reference.toml", "minimal.toml"] {
        let copy = folder.path().join(name);
        fs::copy(shipped.join(name), &copy).expect("a copy");
        let loaded = Config::load(Some(&copy), std::iter::empty(), &flags);
        assert!(loaded.is_ok(), "{name}: {loaded:?}");
    }
}

#[test]
fn several_mistakes_in_one_file_are_all_listed_with_their_lines() {
    let text = r#"listen = ["0.0.0.0:22"]

[server]
listen = [
    "0.0.0.0:2222",
    "bastion:22",
    "0.0.0.0:2222",
]
login_grace = "30"
handshake_timeout = 10
connections_max = 0
keepalive_intervall = "5s"
port = 2022

[upstraem]
port = 22

[upstream]
host_keys = ["pins", "tofu", "console", "always", "pins"]
port = "22"

[[inventory.accounts]]
alias = "eu-west-1"
regions = ["eu-west-1a"]

[[inventory.accounts]]
regions = []
role_arn = "drawbridge"

[log]
level = "inof"
"#;
    let expected = r#"d.toml:1: the key `listen` stands in no section
    hint: put it below a line [metrics] or [server]
d.toml:6: `server.listen`: "bastion:22" is not an address and a port
    hint: write a numeric address and a port, such as "0.0.0.0:2222" or "[::]:2222"
d.toml:7: `server.listen`: 0.0.0.0:2222 is listed twice
    hint: remove one of the two
d.toml:9: `server.login_grace`: "30" is not a duration: a duration is a number and a unit: ms, s, m, h or d
    hint: write a number and a unit, such as "30s", "15m" or "8h"
d.toml:10: `server.handshake_timeout`: the number 10 stands where text is expected
    hint: write a duration in quotes, such as "30s", "15m" or "8h"
d.toml:11: `server.connections_max`: 0 is out of range
    hint: write a whole number from 1 to 1000000
d.toml:12: [server] has no key `keepalive_intervall`
    hint: did you mean `keepalive_interval`?
d.toml:13: [server] has no key `port`
    hint: `port` belongs to [upstream]
d.toml:15: there is no section [upstraem]
    hint: did you mean [upstream]?
d.toml:19: `upstream.host_keys`: "console" stands after "tofu"
    hint: "tofu" believes every first key, so nobody after it is ever asked; put it last
d.toml:19: `upstream.host_keys`: "always" vouches for no host key
    hint: write some of "ca", "pins", "tag", "console", "tofu", in the order in which they are to be asked
d.toml:19: `upstream.host_keys`: "pins" is listed twice
    hint: remove one of the two
d.toml:20: `upstream.port`: the text "22" stands where a whole number is expected
    hint: write digits only, without quotes or unit
d.toml:23: `inventory.accounts.alias`: "eu-west-1" reads like a region
    hint: choose an alias that cannot be mistaken for one
d.toml:24: `inventory.accounts.regions`: "eu-west-1a" is not a region
    hint: write the region's code, such as "eu-west-1"
d.toml:26: [[inventory.accounts]] has no `alias`
    hint: add a line such as alias = "production"
d.toml:27: `inventory.accounts.regions`: the list is too short
    hint: write at least 1, or leave it out for the default
d.toml:28: `inventory.accounts.role_arn`: "drawbridge" is not the ARN of a role: it does not begin with arn:aws:iam::
    hint: its form is arn:aws:iam::123456789012:role/NAME
d.toml:31: `log.level`: "inof" is not a level
    hint: did you mean "info"? The levels are off, error, warn, info, debug, trace"#;
    assert_eq!(problems_of(text), expected);
}

#[test]
fn text_that_is_not_toml_is_shown_with_line_and_column() {
    let problems = problems_of("[server]\nlisten = [\"0.0.0.0:22\"]\nconnections_max == 5\n");
    assert!(problems.starts_with("d.toml:3:18: this is not TOML: "), "{problems}");
    let twice = problems_of("[upstream]\nport = 1\nport = 2\n");
    assert!(twice.starts_with("d.toml:3:1: this is not TOML: duplicate key"), "{twice}");
}

#[test]
fn mistakes_in_variables_and_flags_name_the_variable_and_the_flag() {
    let variables = [
        ("DRAWBRIDGE__SERVER__LISTN", "0.0.0.0:22"),
        ("DRAWBRIDGE__UPSTREAM__PORT", "ssh"),
        ("DRAWBRIDGE__SERVER", "x"),
        ("DRAWBRIDGE__LOGS__LEVEL", "info"),
        ("DRAWBRIDGE__AWS__ENDPOINT_URL", ""),
        ("PATH", "/bin"),
    ];
    let set = ["server.login_grace=1", "server.banana=1", "listen"];
    let problems = read_text("", &variables, &set).expect_err("problems").join("\n");
    let expected = r#"DRAWBRIDGE__AWS__ENDPOINT_URL: `aws.endpoint_url`: the value is empty
    hint: write a value, or leave it out for the default
DRAWBRIDGE__LOGS__LEVEL: there is no section [logs]
    hint: did you mean [log]?
DRAWBRIDGE__SERVER: the variable names no section and key
    hint: its form is DRAWBRIDGE__SECTION__KEY, for example DRAWBRIDGE__SERVER__LISTEN
DRAWBRIDGE__SERVER__LISTN: [server] has no key `listn`
    hint: did you mean `DRAWBRIDGE__SERVER__LISTEN`?
DRAWBRIDGE__UPSTREAM__PORT: `upstream.port`: the text "ssh" stands where a whole number is expected
    hint: write digits only, without quotes or unit
--set listen: the flag sets no key
    hint: its form is --set section.key=value, for example --set server.listen=0.0.0.0:2222
--set server.banana: [server] has no key `banana`
"#;
    assert!(problems.starts_with(expected), "{problems}");
    assert!(
        problems.contains("--set server.login_grace: `server.login_grace`: \"1\" is not a duration"),
        "{problems}"
    );
}

#[test]
fn a_variable_that_lacks_an_underscore_is_not_passed_over() {
    let variables = [
        ("DRAWBRIDGE_SERVER_LISTEN", "0.0.0.0:22"),
        ("DRAWBRIDGE_UPSTREAM__PORT", "22"),
        ("DRAWBRIDGE_PORT", "tcp://10.0.0.1:22"),
        ("DRAWBRIDGE_SERVICE_HOST", "10.0.0.1"),
        ("DRAWBRIDGE_DEMO_INSTANCE", "web-1"),
    ];
    let problems = read_text("", &variables, &[]).expect_err("problems").join("\n");
    let expected = "DRAWBRIDGE_SERVER_LISTEN: the variable sets nothing: two underscores part its words\n    \
        hint: did you mean `DRAWBRIDGE__SERVER__LISTEN`?\n\
        DRAWBRIDGE_UPSTREAM__PORT: the variable sets nothing: two underscores part its words\n    \
        hint: did you mean `DRAWBRIDGE__UPSTREAM__PORT`?";
    assert_eq!(problems, expected);
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let text = "[upstream]\nport = 1\nkeepalive_max = 1\n[server]\nkeepalive_max = 1\n";
    let variables = [("DRAWBRIDGE__UPSTREAM__PORT", "2"), ("DRAWBRIDGE__UPSTREAM__KEEPALIVE_MAX", "2")];
    let config = read_text(text, &variables, &["upstream.port=3"]).expect("sound");
    assert_eq!((config.upstream.port, config.upstream.keepalive_max, config.server.keepalive_max), (3, 2, 1));
}

#[test]
fn variables_and_flags_write_every_type() {
    let variables = [
        ("DRAWBRIDGE__SERVER__LISTEN", "0.0.0.0:22, [::]:22"),
        ("DRAWBRIDGE__AUDIT__SYNC", "false"),
        ("DRAWBRIDGE__SERVER__REKEY_AFTER", "15m"),
        ("DRAWBRIDGE__INVENTORY__ACCOUNTS", r#"[{ alias = "main", regions = ["eu-west-1"] }]"#),
    ];
    let set = [r#"policy.files=["/a.cedar", "/b.cedar"]"#, "identity.revoked_keys=[]", "upstream.port_tag=5"];
    let config = read_text("", &variables, &set).expect("sound");
    let listen: Vec<_> = config.server.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:22", "[::]:22"]);
    assert!(!config.audit.sync);
    assert_eq!(config.server.rekey_after, Duration::from_mins(15));
    assert_eq!(config.inventory.accounts[0].alias, "main");
    assert_eq!(config.policy.files, [Path::new("/a.cedar"), Path::new("/b.cedar")]);
    assert_eq!(config.upstream.port_tag, "5");
}

#[test]
fn algorithms_are_added_by_name_and_legacy_targets_by_id() {
    let variables = [
        ("DRAWBRIDGE__SERVER__ADDITIONAL_ALGORITHMS", "hmac-sha2-512, ecdh-sha2-nistp256"),
        ("DRAWBRIDGE__UPSTREAM__LEGACY_TARGETS", "i-0123456789abcdef0, i-0123456789abcdef1"),
    ];
    let config = read_text("", &variables, &[]).expect("sound");
    let added: Vec<_> = config.server.offer.additions().collect();
    assert_eq!(added, ["ecdh-sha2-nistp256", "hmac-sha2-512"]);
    let listed: Vec<_> = config.upstream.legacy_targets.iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["i-0123456789abcdef0", "i-0123456789abcdef1"]);
    assert!(defaults().upstream.legacy_targets.is_empty());
    let required = "[server]\npost_quantum = \"required\"\n";
    assert_eq!(
        read_text(required, &[], &[]).map(|config| config.server.offer),
        Ok(Offer::post_quantum_only())
    );
}

#[test]
fn algorithms_that_cannot_be_offered_are_problems() {
    let text = "[server]\npost_quantum = \"required\"\nadditional_algorithms = [\"ssh-rsa\", \"ecdh-sha2-nistp256\"]\n\
        [upstream]\nlegacy_targets = [\"i-0123456789abcdef0\", \"i-0123456789abcdef0\", \"web-1\"]\n";
    let expected = r#"d.toml:3: `server.additional_algorithms`: "ssh-rsa" is not an algorithm that can be added
    hint: the algorithms that can be added are "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "hmac-sha2-256", "hmac-sha2-512"
d.toml:3: `server.additional_algorithms`: "ecdh-sha2-nistp256" does not withstand a quantum computer, which `post_quantum` asks for
    hint: remove it, or set post_quantum = "preferred"
d.toml:5: `upstream.legacy_targets`: "i-0123456789abcdef0" is listed twice
    hint: remove one of the two
d.toml:5: `upstream.legacy_targets`: "web-1" is not an instance id
    hint: write an id such as "i-0123456789abcdef0"; names, tags and addresses can move to another machine"#;
    assert_eq!(problems_of(text), expected);
}

#[test]
fn relative_paths_start_at_the_files_folder_or_at_the_data_directory() {
    let text =
        "[data]\ndir = \"state\"\n[identity]\nrevoked_keys = [\"krl\", \"/abs\"]\n[audit]\nfile = \"a/b\"\n";
    let config = read_text(text, &[("DRAWBRIDGE__IDENTITY__USERS", "u.toml")], &[]).expect("sound");
    assert_eq!(config.data.dir, Path::new("/etc/drawbridge/state"));
    assert_eq!(config.identity.revoked_keys, [Path::new("/etc/drawbridge/krl"), Path::new("/abs")]);
    assert_eq!(config.audit.file, Path::new("/etc/drawbridge/state/a/b"));
    assert_eq!(config.server.host_key, Path::new("/etc/drawbridge/state/host_ed25519"));
    assert_eq!(config.policy.files, [Path::new("/etc/drawbridge/policy.cedar")]);
    assert_eq!(config.identity.users, std::env::current_dir().expect("a directory").join("u.toml"));
    assert!(problems_of("[data]\ndir = \"~/state\"\n").contains("which only shells know"));
}

#[test]
fn two_accounts_may_not_be_the_same() {
    let one = "[[inventory.accounts]]\nalias = \"a\"\nregions = [\"eu-west-1\"]\n";
    let problems = problems_of(&format!("{one}{one}"));
    let expected = "d.toml:4: two accounts have the alias \"a\"\n    hint: give each account an alias of its own\n\
        d.toml:4: \"a\" and \"a\" read the same account in eu-west-1, so every name there would be ambiguous\n    \
        hint: give one of them a role_arn in another account, or other regions";
    assert_eq!(problems, expected);
}

#[test]
fn a_region_is_listed_once() {
    let account = "[[inventory.accounts]]\nalias = \"a\"\nregions = [\"eu-west-1\", \"eu-west-1\"]\n";
    let expected = "d.toml:3: `inventory.accounts.regions`: \"eu-west-1\" is listed twice\n    \
        hint: remove one of the two";
    assert_eq!(problems_of(account), expected);
}

#[test]
fn files_that_drawbridge_writes_are_not_one_and_the_same() {
    let text = r#"[data]
dir = "/d"

[server]
host_ca_key = "host_ed25519"

[audit]
file = "drawbridge.db"
key = "keys/audit"

[[audit.sinks]]
name = "a"
kind = "file"
path = "/d/drawbridge.db-wal"

[[audit.sinks]]
name = "b"
kind = "ocsf"
path = "/d/host_ed25519"
"#;
    let expected = "d.toml:5: `server.host_key` and `server.host_ca_key` are one file, /d/host_ed25519\n    \
        hint: give each a file of its own\n\
        d.toml:8: `audit.file`: /d/drawbridge.db is drawbridge's database\n    hint: name another file\n\
        d.toml:14: `audit.sinks.path`: /d/drawbridge.db-wal is drawbridge's database\n    hint: name another file\n\
        d.toml:19: `server.host_key` and `audit.sinks.path` are one file, /d/host_ed25519\n    \
        hint: give each a file of its own\n\
        d.toml:19: `server.host_ca_key` and `audit.sinks.path` are one file, /d/host_ed25519\n    \
        hint: give each a file of its own";
    assert_eq!(problems_of(text), expected);
    let apart = "[audit]\nfile = \"a.jsonl\"\n[store]\nurl = \"postgres://a@b/c\"\n";
    assert!(read_text(apart, &[], &[]).is_ok());
}

#[test]
fn a_log_level_that_the_log_cannot_read_is_a_problem() {
    for level in ["loud", "drawbridge", "info,", "drawbridge=loud"] {
        let problems = problems_of(&format!("[log]\nlevel = \"{level}\"\n"));
        assert!(problems.starts_with("d.toml:2: `log.level`: "), "{level}: {problems}");
    }
    for level in ["info", "WARN", "off", "info,drawbridge::ssh=debug", "drawbridge[connection]=debug"] {
        assert!(read_text(&format!("[log]\nlevel = \"{level}\"\n"), &[], &[]).is_ok(), "{level}");
    }
}

#[test]
fn sections_written_as_something_else_are_problems() {
    let problems = problems_of("server = 5\nupstreams = 1\n[[log]]\nlevel = \"info\"\n");
    let expected = "d.toml:1: `server` is a section and not a key\n    hint: write a line [server] and its keys below it\n\
        d.toml:2: the key `upstreams` stands in no section\n    hint: the sections are ";
    assert!(problems.starts_with(expected), "{problems}");
    assert!(problems.contains("d.toml:3: `log` is a section and not a key"), "{problems}");
}

#[test]
fn the_disk_is_looked_at_and_left_alone() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("drawbridge.toml");
    fs::write(&file, "[data]\ndir = \"state\"\n\n[policy]\nfiles = [\"no.cedar\"]\n").expect("a file");
    fs::create_dir(folder.path().join("state")).expect("a directory");
    let key = folder.path().join("state/host_ed25519");
    fs::write(&key, "").expect("a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("permissions");
    let problems =
        Config::load(Some(&file), std::iter::empty(), &Overrides::default()).expect_err("problems");
    let lines: Vec<_> = problems.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let expected = [
        (
            None,
            format!(
                "`server.host_key`: {} is a private key that others may read (mode 0644)",
                at("state/host_ed25519")
            ),
        ),
        (
            None,
            format!(
                "`identity.users`: cannot read {}: No such file or directory (os error 2)",
                at("users.toml")
            ),
        ),
        (
            Some(5),
            format!("`policy.files`: cannot read {}: No such file or directory (os error 2)", at("no.cedar")),
        ),
    ];
    let expected: Vec<_> = expected.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(lines, expected);
    assert_eq!(fs::read_dir(folder.path().join("state")).expect("a directory").count(), 1);
}

#[test]
fn one_mistake_about_a_path_is_one_problem() {
    let folder = tempfile::tempdir().expect("a directory");
    for name in ["users.toml", "policy.cedar", "occupied"] {
        fs::write(folder.path().join(name), "").expect("a file");
    }
    let file = folder.path().join("drawbridge.toml");
    for (text, expected) in [
        ("[data]\ndir = \"occupied\"\n", "is not a directory"),
        ("[data]\ndir = \"~/state\"\n", "only shells know"),
        ("[data]\ndir = 5\n", "the number 5 stands where text is expected"),
        ("[data]\ndir = state\"\n", "this is not TOML"),
    ] {
        fs::write(&file, text).expect("a file");
        let problems =
            Config::load(Some(&file), std::iter::empty(), &Overrides::default()).expect_err("a problem");
        assert!(problems.iter().all(|problem| problem.line == Some(2)), "{text}: {problems:#?}");
        assert!(problems[0].message.contains(expected), "{text}: {problems:#?}");
    }
}

#[test]
fn files_that_cannot_be_a_config_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("drawbridge.toml");
    let message = || {
        let problems =
            Config::load(Some(&file), std::iter::empty(), &Overrides::default()).expect_err("problems");
        problems[0].to_string()
    };
    assert!(message().contains("the config file cannot be read: No such file or directory"));
    fs::write(&file, b"a = 1\n\xff").expect("a file");
    assert!(message().contains("drawbridge.toml:2: the config file is not UTF-8 text"));
    fs::write(&file, "#".repeat((1 << 20) + 1)).expect("a file");
    assert!(message().contains("larger than 1048576 bytes"));
}

#[test]
fn what_may_change_while_the_daemon_runs_is_what_is_watched() {
    let text = "[identity]\ntrusted_user_ca_keys = [\"/ca\"]\nrevoked_keys = [\"/krl\"]\n";
    let files = read_text(text, &[], &[]).expect("sound").reloadable_files();
    let expected = ["/etc/drawbridge/users.toml", "/etc/drawbridge/policy.cedar", "/ca", "/krl"];
    assert_eq!(files, expected.map(PathBuf::from));
}

#[test]
fn mistakes_in_sinks_are_all_listed() {
    let text = r#"[audit]

[[audit.sinks]]
name = "siem"
kind = "syslog"
to = "logs.example.com"
url = "https://a/v1/logs"

[[audit.sinks]]
name = "siem"
kind = "file"

[[audit.sinks]]
name = "b"
kind = "otlp"
url = "https://a/v1/logs"
headers = { "a b" = "c" }
secret_headers = { Authorization = 7 }

[[audit.sinks]]
kind = "kafka"

[[audit.sinks]]
name = "c"
kind = "syslog"
to = "udp://a"
message_bytes_max = 70000
ca = "ca.pem"
key = "key.pem"

[[audit.sinks]]
name = "d"
kind = "stdout"

[[audit.sinks]]
name = "d"
kind = "stdout"
"#;
    insta::assert_snapshot!(problems_of(text));
}

#[test]
fn sinks_have_the_defaults_of_their_kind() {
    let text = "[[audit.sinks]]\nname = \"a\"\nkind = \"syslog\"\nto = \"udp://h\"\n\
        [[audit.sinks]]\nname = \"b\"\nkind = \"ocsf\"\npath = \"ocsf.jsonl\"\n";
    let config = read_text(text, &[], &["data.dir=/data"]).expect("it is sound");
    let [syslog, ocsf] = config.audit.sinks.as_slice() else { panic!("two sinks") };
    assert_eq!(syslog.spool_max, 1 << 30);
    let SinkKind::Syslog(syslog) = &syslog.kind else { panic!("syslog") };
    assert_eq!(
        (syslog.facility, syslog.message_bytes_max, syslog.app_name.as_str()),
        (10, 2048, "drawbridge")
    );
    assert_eq!(ocsf.kind, SinkKind::Ocsf(PathBuf::from("/data/ocsf.jsonl")));
}
