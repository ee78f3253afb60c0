use std::path::PathBuf;

use clap::Parser;
use serde_json::Value;

use crate::cli::{Arguments, Exit};
use crate::domain::PinVoucher;
use crate::domain::{Fingerprint, InstanceId};
use crate::signature::keygen::{KeyFiles, Workshop};
use crate::store::{Circumstances, MachineId, NewPin, Pin, Store};

const ID: &str = "i-0123456789abcdef0";
const HERE: [&str; 4] = ["--account", "123456789012", "--region", "eu-west-1"];

/// A configuration with a data directory, and the tool that makes keys.
struct Desk {
    workshop: Workshop,
    config: PathBuf,
}

impl Desk {
    fn new(more_config: &str) -> Self {
        let workshop = Workshop::new();
        workshop.write("users.toml", "");
        workshop.write("policy.cedar", "permit(principal, action, resource);");
        let text = format!(
            "[data]\ndir = \"data\"\n[identity]\nusers = \"users.toml\"\n[policy]\nfiles = [\"policy.cedar\"]\n\
             [[inventory.accounts]]\nalias = \"main\"\nregions = [\"eu-west-1\", \"us-east-1\"]\n{more_config}"
        );
        let config = workshop.write("drawbridge.toml", text);
        Self { workshop, config }
    }

    fn database(&self) -> PathBuf {
        self.workshop.path("data/drawbridge.db")
    }

    /// The exit, what was answered and what was complained about.
    fn run(&self, tail: &[&str]) -> (Exit, String, String) {
        let config = self.config.display().to_string();
        let head = ["drawbridge", "host-keys"];
        let arguments = head.iter().chain(tail).copied().chain(["--config", &config]);
        let arguments = Arguments::try_parse_from(arguments).expect("arguments that clap accepts");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = crate::cli::run(arguments, &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (exit, text(out), text(err))
    }

    /// What was answered by a command that did what was asked.
    #[track_caller]
    fn done(&self, tail: &[&str]) -> String {
        let (exit, out, err) = self.run(tail);
        assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{out}");
        out
    }

    /// What was complained about by a command that did not.
    #[track_caller]
    fn failed(&self, tail: &[&str]) -> String {
        let (exit, out, err) = self.run(tail);
        assert_eq!((exit, out.as_str()), (Exit::Failed, ""), "{err}");
        err
    }

    fn pin(&self, key: &str) -> String {
        self.done(&pin_of(key))
    }

    /// Looks at the database as the daemon does, with a connection of its own.
    fn with_store<T>(&self, look: impl AsyncFnOnce(Store) -> T) -> T {
        std::fs::create_dir_all(self.workshop.path("data")).expect("our own directory");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async { look(Store::open(&self.database()).await.expect("it opens")).await })
    }

    fn held(&self, region: &str) -> Option<Pin> {
        self.with_store(async |store| store.pin(&machine(region)).await.expect("an answer"))
    }

    /// What a daemon does that meets a machine for the first time.
    fn first_use(&self, region: &str, key_type: &str, blob: &[u8]) {
        self.with_store(async |store| {
            let now = jiff::Timestamp::from_second(1_767_323_045).expect("a time");
            let machine = machine(region);
            let (vouched_by, circumstances) = (PinVoucher::FirstUse, &Circumstances::default());
            let new = NewPin { key_type, key_blob: blob, vouched_by, circumstances };
            let pinned = store.remember(&machine, &new, now).await;
            pinned.expect("remembered");
        });
    }

    fn key(&self) -> KeyFiles {
        self.workshop.ed25519("host")
    }
}

fn machine(region: &str) -> MachineId {
    let instance = InstanceId::parse(ID).expect("an instance id");
    MachineId { account: "123456789012".to_owned(), region: region.to_owned(), instance }
}

fn pin_of(key: &str) -> Vec<&str> {
    [&["pin", ID][..], &HERE, &["--key", key]].concat()
}

fn pin_from(file: &str) -> Vec<&str> {
    [&["pin", ID][..], &HERE, &["--key-file", file]].concat()
}

#[test]
fn what_is_pinned_is_listed_and_what_is_forgotten_is_gone() {
    let desk = Desk::new("");
    let key = desk.key();
    let fingerprint = Fingerprint::of_blob(&key.blob).to_string();
    assert_eq!(
        desk.pin(&key.line),
        format!(
            "Pinned the host key of {ID} in eu-west-1 of account 123456789012: ssh-ed25519 {fingerprint}.\n"
        )
    );
    let pin = desk.held("eu-west-1").expect("a pin");
    assert_eq!((pin.key_blob, pin.vouched_by), (key.blob, PinVoucher::Operator));
    let listed = desk.done(&["list"]);
    let row: Vec<&str> = listed.lines().nth(1).expect("a row").split_whitespace().collect();
    assert!(listed.starts_with("INSTANCE ") && listed.lines().count() == 2, "{listed}");
    assert_eq!(row[..3], [ID, "123456789012", "eu-west-1"]);
    assert_eq!(row[4..], ["operator", "ssh-ed25519", &fingerprint]);
    let forgot = desk.done(&["forget", ID]);
    assert!(forgot.contains(&format!("ssh-ed25519 {fingerprint}, pinned by an operator on")), "{forgot}");
    assert_eq!(desk.held("eu-west-1"), None);
    assert_eq!(desk.done(&["list"]), "No host key is pinned.\n");
}

#[test]
fn looking_makes_no_database() {
    let desk = Desk::new("");
    assert_eq!(desk.done(&["list"]), "No host key is pinned.\n");
    assert_eq!(desk.done(&["list", "--json"]), "[]\n");
    assert!(desk.failed(&["forget", ID]).contains("No host key is pinned for i-0123456789abcdef0;"));
    assert!(desk.failed(&pin_of("ssh-ed25519 AAAA")).contains("cut short or damaged"));
    assert!(!desk.workshop.path("data").exists());
}

#[test]
fn the_answer_in_json_has_all_that_pin_needs() {
    let desk = Desk::new("");
    let key = desk.key();
    desk.first_use("us-east-1", "ssh-ed25519", &key.blob);
    let listed: Value = serde_json::from_str(&desk.done(&["list", "--json"])).expect("JSON");
    let expected = serde_json::json!([{
        "instance_id": ID,
        "account": "123456789012",
        "region": "us-east-1",
        "key_type": "ssh-ed25519",
        "fingerprint": Fingerprint::of_blob(&key.blob),
        "public_key": key.line.trim_end_matches(" host"),
        "vouched_by": "first-use",
        "pinned_at": "2026-01-02T03:04:05.000Z",
        "launch_time": null,
        "image": null,
    }]);
    assert_eq!(listed, expected);
    desk.pin(listed[0]["public_key"].as_str().expect("text"));
    assert_eq!(desk.held("eu-west-1").expect("a pin").key_blob, key.blob);
}

#[test]
fn an_id_in_several_places_is_not_guessed() {
    let desk = Desk::new("");
    let key = desk.key();
    for region in ["eu-west-1", "us-east-1"] {
        desk.first_use(region, "ssh-ed25519", &key.blob);
    }
    let asked = desk.failed(&["forget", ID]);
    for region in ["eu-west-1", "us-east-1"] {
        assert!(asked.contains(&format!("\n  --account 123456789012 --region {region}")), "{asked}");
    }
    assert!(desk.failed(&["forget", ID, "--region", "eu-west-3"]).contains("is pinned for"));
    let forgot = desk.done(&["forget", ID, "--region", "us-east-1"]);
    assert!(forgot.contains("in us-east-1 of account 123456789012"), "{forgot}");
    assert!(desk.held("eu-west-1").is_some() && desk.held("us-east-1").is_none());
    assert!(desk.failed(&["forget", ID, "--account", "999999999999"]).contains("in account 999999999999"));
    desk.done(&["forget", ID]);
}

#[test]
fn another_key_than_the_pinned_one_is_refused_with_the_way_out() {
    let desk = Desk::new("");
    let key = desk.key();
    desk.first_use("eu-west-1", "ssh-ed25519", b"the old key");
    let refused = desk.failed(&pin_of(&key.line));
    for wanted in [
        Fingerprint::of_blob(b"the old key").as_str(),
        Fingerprint::of_blob(&key.blob).as_str(),
        "pinned at first use on 2026-01-02T03:04:05Z",
        "drawbridge host-keys forget i-0123456789abcdef0 --account 123456789012 --region eu-west-1",
    ] {
        assert!(refused.contains(wanted), "{wanted:?} is not in {refused}");
    }
    assert_eq!(desk.held("eu-west-1").expect("a pin").key_blob, b"the old key");
    desk.done(&["forget", ID]);
    desk.pin(&key.line);
    assert_eq!(desk.held("eu-west-1").expect("a pin").key_blob, key.blob);
}

#[test]
fn pinning_what_was_seen_first_vouches_for_it() {
    let desk = Desk::new("");
    let key = desk.key();
    desk.first_use("eu-west-1", "ssh-ed25519", &key.blob);
    assert!(desk.pin(&key.line).contains("now you have vouched for it"));
    assert_eq!(desk.held("eu-west-1").expect("a pin").vouched_by, PinVoucher::Operator);
    assert!(desk.pin(&key.line).contains("is already the pinned host key"));
}

#[test]
fn keys_come_from_files_and_weak_ones_are_refused() {
    let desk = Desk::new("");
    let (key, weak) = (desk.key(), desk.workshop.key("weak", "rsa", "1024"));
    let rsa = desk.workshop.key("rsa", "rsa", "2048");
    let scan = format!("# 10.0.1.17:22 SSH-2.0-x\n10.0.1.17 {}\n10.0.1.17 {}\n", rsa.line, key.line);
    let scan = desk.workshop.write("scan", scan).display().to_string();
    let weak = format!("{}.pub", weak.path.display());
    let large = desk.workshop.write("large", vec![b'#'; 70_000]).display().to_string();
    for (file, why) in [
        (weak.as_str(), "the RSA key has 1024 bits; at least 2048 are needed"),
        ("/nonexistent/key.pub", "/nonexistent/key.pub cannot be read: No such file"),
        (&large, "is too large"),
    ] {
        let refused = desk.failed(&pin_from(file));
        assert!(refused.contains(why), "{refused}");
    }
    let pinned = desk.done(&pin_from(&scan));
    assert!(pinned.contains("Of the 2 keys given, ssh-ed25519 was taken"), "{pinned}");
    assert_eq!(desk.held("eu-west-1").expect("a pin").key_blob, key.blob);
}

#[test]
fn what_follows_depends_on_whom_first_use_convinces() {
    let desk = Desk::new("");
    desk.first_use("eu-west-1", "ssh-ed25519", b"key");
    let forgot = desk.done(&["forget", ID]);
    assert!(
        forgot.contains("will be pinned, unless one of these knows better: a host certificate,"),
        "{forgot}"
    );
    let desk = Desk::new("[upstream]\nhost_keys = [\"pins\", \"tofu\"]\n");
    desk.first_use("eu-west-1", "ssh-ed25519", b"key");
    assert!(desk.done(&["forget", ID]).contains("The next key that the machine shows will be pinned."));
    let desk = Desk::new("[upstream]\nhost_keys = [\"pins\"]\n");
    desk.first_use("eu-west-1", "ssh-ed25519", b"key");
    assert!(
        desk.done(&["forget", ID]).contains("cannot be reached until `drawbridge host-keys pin` pins a key.")
    );
    let desk = Desk::new("[upstream]\nhost_keys = [\"pins\", \"console\"]\n");
    desk.first_use("eu-west-1", "ssh-ed25519", b"key");
    assert!(desk.done(&["forget", ID]).contains("or one of these vouches for it: its console output."));
}

#[test]
fn a_region_that_no_account_has_is_pointed_out() {
    let desk = Desk::new("");
    let key = desk.key();
    let args = ["pin", ID, "--account", "123456789012", "--region", "eu-west-3", "--key", &key.line];
    assert!(desk.done(&args).contains("no account of the configuration has the region eu-west-3"));
}

#[test]
fn what_is_in_the_database_cannot_steer_a_terminal() {
    let desk = Desk::new("");
    let evil = "\u{1b}[2Jeu\u{9b}31m\u{202e}";
    desk.first_use(evil, "ssh-\u{7f}\u{1b}]0;x\u{7}", b"one");
    desk.first_use("eu-west-1", "ssh-ed25519", b"two");
    let answers =
        [desk.done(&["list"]), desk.done(&["list", "--json"]), desk.failed(&["forget", ID])].concat();
    let plain = |c: char| c == '\n' || c == ' ' || c == '…' || c.is_ascii_graphic();
    assert!(answers.chars().all(plain), "{answers:?}");
    assert!(answers.contains("\\u{1b}[2Jeu"), "{answers}");
}

#[test]
fn a_damaged_pin_is_told_beside_the_sound_ones_and_can_be_forgotten() {
    let desk = Desk::new("");
    desk.first_use("eu-west-1", "ssh-ed25519", b"sound");
    desk.first_use("us-east-1", "ssh-ed25519", b"damaged");
    let sql = "UPDATE host_key_pins SET fingerprint = 'SHA256:x' WHERE region = 'us-east-1'";
    desk.with_store(async |store| store.tamper(sql).await);
    let (exit, out, err) = desk.run(&["list"]);
    assert_eq!(exit, Exit::Failed);
    assert!(out.contains(Fingerprint::of_blob(b"sound").as_str()) && out.lines().count() == 2, "{out}");
    assert!(err.contains("us-east-1") && err.contains("drawbridge host-keys forget"), "{err}");
    let forgot = desk.done(&["forget", ID, "--region", "us-east-1"]);
    assert!(forgot.contains("Forgot the damaged pin"), "{forgot}");
    desk.done(&["list"]);
}

#[test]
fn a_daemon_that_has_the_database_open_sees_it_at_once() {
    let desk = Desk::new("");
    let key = desk.key();
    // The runtime is the commands' own, so this one must not be running meanwhile.
    let daemon = tokio::runtime::Runtime::new().expect("a runtime");
    std::fs::create_dir_all(desk.workshop.path("data")).expect("our own directory");
    let store = daemon.block_on(Store::open(&desk.database())).expect("it opens");
    let here = machine("eu-west-1");
    let seen = || daemon.block_on(store.pin(&here)).expect("an answer").map(|pin| pin.key_blob);
    desk.pin(&key.line);
    assert_eq!(seen(), Some(key.blob));
    desk.done(&["forget", ID]);
    assert_eq!(seen(), None);
}
