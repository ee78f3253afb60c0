//! One daemon, its instances and its AWS account.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::builder::Builder;
use super::client::{Client, Way};
use super::daemon::{Daemon, Start};
use super::instance::Instance;
use super::process::{Finished, wait_for};
use super::supervisor::Supervisor;

/// A lab whose daemon has not been started.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(super) folder: TempDir,
    /// The account of the instances.
    pub(super) account: Value,
    /// The account that the daemon's own credentials belong to.
    pub(super) credentials: Value,
    pub(super) instances: BTreeMap<String, Instance>,
    pub(super) port: u16,
}

impl Prepared {
    /// The config file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("drawbridge.toml")
    }

    /// The folder of all files.
    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// One of the instances.
    pub(crate) fn instance(&self, name: &str) -> &Instance {
        &self.instances[name]
    }

    /// The environment that gives the daemon its AWS.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let text = |key: &str| self.credentials[key].as_str().expect("text").to_owned();
        BTreeMap::from([
            ("AWS_ACCESS_KEY_ID".to_owned(), text("access_key_id")),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), text("secret_access_key")),
            ("AWS_REGION".to_owned(), text("region")),
            ("AWS_ENDPOINT_URL".to_owned(), Supervisor::get().aws_url.clone()),
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ])
    }

    pub(crate) fn how_to_serve(&self) -> Start {
        Start {
            argv: vec!["serve".into(), "--config".into(), self.config_file().display().to_string()],
            env: self.environment(),
            log: self.dir().join("daemon.log"),
            port: self.port,
        }
    }

    /// A tag of an instance, which is listed with it from the next refresh on.
    pub(crate) fn tag(&self, instance: &Instance, name: &str, value: &str) {
        let account = &self.account["account"];
        let tag = json!({"account": account, "instance": instance.id, "tags": {name: value}});
        Supervisor::get().aws("tag", tag);
    }

    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub(crate) fn serve(self) -> Lab {
        self.serve_by(&[])
    }

    /// The same by a program that becomes the daemon, given by its words.
    #[track_caller]
    pub(crate) fn serve_by(self, words: &[&str]) -> Lab {
        let daemon = Daemon::spawn_by(words, &self.how_to_serve()).greeting(self.port);
        let lab = Lab { prepared: self, daemon };
        lab.write_known_hosts();
        lab
    }
}

/// A running daemon with its instances.
#[derive(Debug)]
pub(crate) struct Lab {
    prepared: Prepared,
    pub(crate) daemon: Daemon,
}

impl Lab {
    /// A lab with `alice`, who may do everything, and no instance yet.
    pub(crate) fn with() -> Builder {
        Builder::new()
    }

    /// Starts the daemon anew, after its end.
    #[track_caller]
    pub(crate) fn serve_again(&mut self) {
        self.daemon = Daemon::start(&self.prepared.how_to_serve());
    }

    /// Asks on a node's command line, with the lab's config, and waits for the answer.
    pub(crate) fn ask(&self, words: &[&str]) -> Finished {
        let config = self.config_file().display().to_string();
        let mut args = words.to_vec();
        args.extend(["--config", &config]);
        let environment = self.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        super::run_drawbridge(&args, &environment)
    }

    fn write_known_hosts(&self) {
        let out =
            super::run_drawbridge(&["host-ca", "--config", &self.config_file().display().to_string()], &[]);
        let out = out.ended_with(0);
        std::fs::write(self.dir().join("known_hosts"), &out.stdout).expect("our own folder");
    }

    /// The config file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.prepared.config_file()
    }

    /// The environment that gives the daemon its AWS.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        self.prepared.environment()
    }

    /// The folder of all files.
    pub(crate) fn dir(&self) -> &Path {
        self.prepared.dir()
    }

    /// A folder that sessions on the instances may write to.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir().join("scratch")
    }

    /// The port of the daemon.
    pub(crate) fn port(&self) -> u16 {
        self.prepared.port
    }

    /// One of the instances.
    pub(crate) fn instance(&self, name: &str) -> &Instance {
        &self.prepared.instances[name]
    }

    /// The number of the account that the instances belong to.
    pub(crate) fn account(&self) -> String {
        self.prepared.account["account"].as_str().expect("a number").to_owned()
    }

    /// A key that the lab made for a user.
    pub(crate) fn key(&self, user: &str) -> PathBuf {
        self.dir().join(format!("key_{user}"))
    }

    /// A client: alice, to that target.
    pub(crate) fn client(&self, way: Way, target: &str) -> Client<'_> {
        Client::new(self, way, target)
    }

    /// The audit trail so far.
    #[track_caller]
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir().join("data/audit.jsonl")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("every audit line is JSON")).collect()
    }

    /// Waits for an event of that name which satisfies a condition, and answers it.
    #[track_caller]
    pub(crate) fn audited(&self, name: &str, that: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        wait_for(&format!("the audit event {name:?}"), Duration::from_secs(10), || {
            found = self.audit().into_iter().find(|event| event["event"] == name && that(event));
            found.is_some()
        });
        found.expect("it was found")
    }

    /// Switches a fault of an AWS service on (`throttle`, `error`, `stall`, `garbage`, `deny`) or off.
    pub(crate) fn fault(&self, service: &str, mode: Option<&str>) {
        let account = &self.prepared.account["account"];
        Supervisor::get().aws("fault", json!({"account": account, "service": service, "mode": mode}));
    }

    /// The keys that Instance Connect took.
    pub(crate) fn pushes(&self) -> Vec<Value> {
        let account = &self.prepared.account["account"];
        Supervisor::get().aws("pushes", json!({"account": account})).as_array().expect("a list").clone()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("── the daemon's log ──\n{}", self.daemon.log_tail());
            for (name, instance) in &self.prepared.instances {
                if instance.has_sshd() {
                    eprintln!("── sshd of {name} ──\n{}", instance.log());
                }
            }
        }
    }
}
