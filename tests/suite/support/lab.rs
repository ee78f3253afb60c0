//! One daemon, its instances and its AWS account.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Client, Way};
use super::daemon::{Daemon, Start};
use super::files::{ConfigText, UserEntry, new_key, users_toml};
use super::process::wait_for;
use super::supervisor::{Supervisor, open_to_all};

/// The policy of a lab that says nothing else: whoever is known may do everything.
const EVERYTHING: &str = r#"@id("everything")
permit(principal, action, resource);
"#;

/// What stands behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A real sshd.
    Sshd,
    /// An instance that EC2 says is stopped.
    Stopped,
    /// Something that accepts TCP and says nothing.
    Silent,
    /// An address where nothing listens.
    Closed,
}

#[derive(Debug)]
struct Wanted {
    name: String,
    kind: Kind,
    tags: BTreeMap<String, String>,
    sshd: String,
}

/// One instance of the lab.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) ip: String,
    pub(crate) dns: String,
    pub(crate) port: u16,
    sshd: Option<Mutex<Sshd>>,
    _silent: Option<TcpListener>,
}

#[derive(Debug)]
struct Sshd {
    pid: u64,
    log: PathBuf,
    calls: PathBuf,
    host_key: String,
}

impl Instance {
    fn sshd<T>(&self, look: impl FnOnce(&mut Sshd) -> T) -> T {
        let sshd = self.sshd.as_ref().expect("this instance has an sshd");
        look(&mut sshd.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// What its sshd logged.
    pub(crate) fn log(&self) -> String {
        self.sshd(|sshd| std::fs::read_to_string(&sshd.log).unwrap_or_default())
    }

    /// The runs of its AuthorizedKeysCommand: `login fingerprint` each.
    pub(crate) fn agent_runs(&self) -> Vec<String> {
        let runs = self.sshd(|sshd| std::fs::read_to_string(&sshd.calls).unwrap_or_default());
        runs.lines().map(str::to_owned).collect()
    }

    /// The processes of the sessions on it.
    pub(crate) fn processes(&self) -> Vec<u64> {
        Supervisor::get().descendants(self.sshd(|sshd| sshd.pid))
    }

    /// The sshd ends with all its sessions, as when an instance is stopped.
    pub(crate) fn crash(&self) {
        self.sshd(|sshd| Supervisor::get().end(sshd.pid));
    }

    /// The sshd comes back with another host key, as when an instance is rebuilt.
    pub(crate) fn come_back_with_another_host_key(&self) {
        let request = json!({"do": "sshd", "instance": self.id, "ip": self.ip, "port": self.port});
        self.sshd(|sshd| *sshd = Sshd::from(&Supervisor::get().ask(&request)));
    }

    /// Its host key's fingerprint.
    pub(crate) fn host_fingerprint(&self) -> String {
        self.sshd(|sshd| super::files::fingerprint(&sshd.host_key))
    }
}

/// What a lab shall have.
#[derive(Debug)]
pub(crate) struct Builder {
    instances: Vec<Wanted>,
    users: Vec<UserEntry>,
    policy: String,
    config: ConfigText,
    files: Vec<(String, Vec<u8>)>,
    through_a_role: bool,
}

impl Builder {
    fn add(mut self, name: &str, kind: Kind) -> Self {
        let tags = BTreeMap::from([("Name".to_owned(), name.to_owned())]);
        self.instances.push(Wanted { name: name.to_owned(), kind, tags, sshd: String::new() });
        self
    }

    /// An instance with a real sshd.
    pub(crate) fn instance(self, name: &str) -> Self {
        self.add(name, Kind::Sshd)
    }

    /// An instance that EC2 says is stopped.
    pub(crate) fn stopped(self, name: &str) -> Self {
        self.add(name, Kind::Stopped)
    }

    /// An instance that accepts TCP and says nothing.
    pub(crate) fn silent(self, name: &str) -> Self {
        self.add(name, Kind::Silent)
    }

    /// An instance on which nothing listens.
    pub(crate) fn closed(self, name: &str) -> Self {
        self.add(name, Kind::Closed)
    }

    /// A tag of the instance named last.
    pub(crate) fn tag(mut self, key: &str, value: &str) -> Self {
        self.last().tags.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A line of `sshd_config` for the instance named last; it comes before the lab's own.
    pub(crate) fn sshd(mut self, line: &str) -> Self {
        let last = self.last();
        last.sshd = format!("{}{line}\n", last.sshd);
        self
    }

    fn last(&mut self) -> &mut Wanted {
        self.instances.last_mut().expect("name an instance first")
    }

    /// A user with a key of their own, in those groups. The lab always has `alice`.
    pub(crate) fn user(mut self, name: &str, groups: &[&str]) -> Self {
        self.users.push(UserEntry {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            keys: Vec::new(),
            principals: Vec::new(),
        });
        self
    }

    /// A user of the file with exactly these lines and principals, and no key of the lab's making.
    pub(crate) fn user_entry(mut self, entry: UserEntry) -> Self {
        self.users.push(entry);
        self
    }

    /// The whole policy.
    pub(crate) fn policy(mut self, text: &str) -> Self {
        text.clone_into(&mut self.policy);
        self
    }

    /// A key of the config file, its value in TOML.
    pub(crate) fn config(mut self, section: &str, key: &str, value: &str) -> Self {
        self.config.set(section, key, value);
        self
    }

    /// The instances belong to another account than the daemon's credentials, which may assume a
    /// role there.
    pub(crate) fn through_a_role(mut self) -> Self {
        self.through_a_role = true;
        self
    }

    /// A further file beside the config.
    pub(crate) fn file(mut self, name: &str, contents: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), contents));
        self
    }

    /// Starts everything and waits until the daemon answers.
    #[track_caller]
    pub(crate) fn start(self) -> Lab {
        let lab = self.prepare();
        lab.serve()
    }

    /// Everything but the daemon.
    #[track_caller]
    pub(crate) fn prepare(mut self) -> Prepared {
        let supervisor = Supervisor::get();
        let folder = supervisor.new_folder();
        let dir = folder.path();
        let account = supervisor.aws("account", json!({}));
        let number = account["account"].as_str().expect("a number").to_owned();
        let instances = self.instances.iter().map(|want| (want.name.clone(), want.start(&number))).collect();
        for user in &mut self.users {
            if user.keys.is_empty() && user.principals.is_empty() {
                user.keys.push(new_key(&dir.join(format!("key_{}", user.name))));
            }
        }
        let port = supervisor.free_port("127.0.0.1");
        let mut config = standard_config(dir, port);
        let mut credentials = account.clone();
        if self.through_a_role {
            let role = supervisor.aws("role", json!({"account": number}));
            let arn = role["arn"].as_str().expect("text");
            let accounts = format!(
                "[{{ alias = \"other\", regions = [\"eu-west-1\"], role_arn = {arn:?}, \
                 external_id = \"of-the-lab\", session_name = \"drawbridge-lab\" }}]"
            );
            config.set("inventory", "accounts", &accounts);
            credentials = supervisor.aws("account", json!({}));
        }
        config.extend(self.config);
        write(dir, "drawbridge.toml", config.text().as_bytes());
        write(dir, "users.toml", users_toml(&self.users).as_bytes());
        write(dir, "policy.cedar", self.policy.as_bytes());
        for (name, contents) in &self.files {
            write(dir, name, contents);
        }
        let scratch = dir.join("scratch");
        std::fs::create_dir(&scratch).expect("our own folder");
        open_to_all(&scratch);
        Prepared { folder, account, credentials, instances, port }
    }
}

impl Wanted {
    fn start(&self, account: &str) -> Instance {
        let supervisor = Supervisor::get();
        let ip = next_address();
        let silent =
            (self.kind == Kind::Silent).then(|| TcpListener::bind((ip.as_str(), 0)).expect("a free port"));
        let port = match &silent {
            Some(listener) => listener.local_addr().expect("bound").port(),
            None => supervisor.free_port(&ip),
        };
        let mut tags = self.tags.clone();
        tags.entry("drawbridge:port".to_owned()).or_insert_with(|| port.to_string());
        let state = if self.kind == Kind::Stopped { "stopped" } else { "running" };
        let made =
            supervisor.aws("instance", json!({"account": account, "ip": ip, "tags": tags, "state": state}));
        let id = made["id"].as_str().expect("an id").to_owned();
        let sshd = (self.kind == Kind::Sshd).then(|| {
            let request = json!({"do": "sshd", "instance": id, "ip": ip, "port": port, "extra": self.sshd});
            Mutex::new(Sshd::from(&supervisor.ask(&request)))
        });
        let dns = made["dns"].as_str().expect("a name").to_owned();
        Instance { id, ip, dns, port, sshd, _silent: silent }
    }
}

impl From<&Value> for Sshd {
    fn from(answer: &Value) -> Self {
        let path = |key: &str| PathBuf::from(answer[key].as_str().expect("a path"));
        Self {
            pid: answer["pid"].as_u64().expect("a process id"),
            log: path("log"),
            calls: path("calls"),
            host_key: answer["host_key"].as_str().expect("a key").to_owned(),
        }
    }
}

/// An address of 127.0.0.0/16 that no other instance of this test process has.
fn next_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(256);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    if low == 0 || low == 255 { next_address() } else { format!("127.0.{high}.{low}") }
}

fn write(dir: &Path, name: &str, contents: &[u8]) {
    std::fs::write(dir.join(name), contents).expect("our own folder");
}

fn standard_config(dir: &Path, port: u16) -> ConfigText {
    let mut config = ConfigText::default();
    config.set("server", "listen", &format!("[\"127.0.0.1:{port}\"]"));
    config.set("data", "dir", &format!("{:?}", dir.join("data")));
    config.set("identity", "users", "\"users.toml\"");
    config.set("policy", "files", "[\"policy.cedar\"]");
    config.set("inventory", "accounts", "[{ alias = \"lab\", regions = [\"eu-west-1\"] }]");
    config.set("audit", "sync", "false");
    config.set("log", "level", "\"info,drawbridge=debug\"");
    config
}

/// A lab whose daemon has not been started.
#[derive(Debug)]
pub(crate) struct Prepared {
    folder: TempDir,
    /// The account of the instances.
    account: Value,
    /// The account that the daemon's own credentials belong to.
    credentials: Value,
    instances: BTreeMap<String, Instance>,
    port: u16,
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

    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub(crate) fn serve(self) -> Lab {
        let daemon = Daemon::start(&Start {
            argv: vec!["serve".into(), "--config".into(), self.config_file().display().to_string()],
            env: self.environment(),
            log: self.dir().join("daemon.log"),
            port: self.port,
        });
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
        let builder = Builder {
            instances: Vec::new(),
            users: Vec::new(),
            policy: EVERYTHING.to_owned(),
            config: ConfigText::default(),
            files: Vec::new(),
            through_a_role: false,
        };
        builder.user("alice", &["eng"])
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
                if instance.sshd.is_some() {
                    eprintln!("── sshd of {name} ──\n{}", instance.log());
                }
            }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.sshd.is_some() {
            self.crash();
        }
    }
}
