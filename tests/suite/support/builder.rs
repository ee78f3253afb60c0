//! What a lab shall have, and the files that follow from it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::files::{ConfigText, UserEntry, new_key, users_toml};
use super::instance::{Kind, Wanted};
use super::lab::{Lab, Prepared};
use super::postgres::Postgres;
use super::supervisor::{Supervisor, open_to_all};

/// The policy of a lab that says nothing else: whoever is known may do everything.
const EVERYTHING: &str = r#"@id("everything")
permit(principal, action, resource);
"#;

/// What a lab shall have.
#[derive(Debug)]
pub(crate) struct Builder {
    instances: Vec<Wanted>,
    users: Vec<UserEntry>,
    policy: String,
    config: ConfigText,
    files: Vec<(String, Vec<u8>)>,
    through_a_role: bool,
    on_sqlite: bool,
}

impl Builder {
    /// `alice`, who may do everything, and no instance yet.
    pub(super) fn new() -> Self {
        let empty = Self {
            instances: Vec::new(),
            users: Vec::new(),
            policy: EVERYTHING.to_owned(),
            config: ConfigText::default(),
            files: Vec::new(),
            through_a_role: false,
            on_sqlite: false,
        };
        empty.user("alice", &["eng"])
    }

    fn add(mut self, name: &str, kind: Kind) -> Self {
        let tags = BTreeMap::from([("Name".to_owned(), name.to_owned())]);
        self.instances.push(Wanted {
            name: name.to_owned(),
            kind,
            tags,
            sshd: String::new(),
            ip: None,
            clock_ahead: 0,
        });
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

    /// An instance that takes TCP connections, says this and closes; with nothing to say, at once.
    pub(crate) fn says(self, name: &str, text: &'static str) -> Self {
        self.add(name, Kind::Says(text))
    }

    /// An instance to whose port packets get lost.
    pub(crate) fn dropping(self, name: &str) -> Self {
        self.add(name, Kind::Dropping)
    }

    /// How many seconds ahead the clock of the instance named last is.
    pub(crate) fn clock_ahead(mut self, seconds: u32) -> Self {
        self.last().clock_ahead = seconds;
        self
    }

    /// The private address of the instance named last.
    pub(crate) fn at(mut self, ip: &str) -> Self {
        self.last().ip = Some(ip.to_owned());
        self
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

    /// The store is an SQLite file, whatever `STORE` says.
    pub(crate) fn on_sqlite(mut self) -> Self {
        self.on_sqlite = true;
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
        // `STORE=postgres cargo test --test suite` runs everything on PostgreSQL, a database for each lab.
        if !self.on_sqlite && std::env::var("STORE").is_ok_and(|store| store == "postgres") {
            config.set("store", "url", &format!("{:?}", Postgres::of_all().new_database()));
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
