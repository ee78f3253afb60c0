//! The instances of a lab: EC2's word for them, and what stands behind it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::supervisor::Supervisor;

/// What stands behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A real sshd.
    Sshd,
    /// An instance that EC2 says is stopped.
    Stopped,
    /// Something that accepts TCP and says nothing.
    Silent,
    /// An address where nothing listens.
    Closed,
    /// Something that accepts TCP, says this and closes.
    Says(&'static str),
    /// A port at which packets are dropped.
    Dropping,
}

/// An instance that a test asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) tags: BTreeMap<String, String>,
    /// Lines of `sshd_config` that come before the lab's own.
    pub(super) sshd: String,
    /// Its private address, where it is to have a certain one.
    pub(super) ip: Option<String>,
    /// How many seconds ahead its clock is.
    pub(super) clock_ahead: u32,
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
    _greeter: Option<Greeter>,
}

#[derive(Debug)]
struct Sshd {
    pid: u64,
    log: PathBuf,
    calls: PathBuf,
    host_key: String,
}

impl Instance {
    /// Whether there is an sshd.
    pub(super) fn has_sshd(&self) -> bool {
        self.sshd.is_some()
    }

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

    /// The sshd comes back with another host key and a certificate for it by `ca`; what `ssh-keygen -s CA -h` is
    /// given besides.
    pub(crate) fn come_back_certified(&self, ca: &Path, options: &[&str]) {
        let certified = json!({"ca": ca, "options": options});
        let request = json!({"do": "sshd", "instance": self.id, "ip": self.ip, "port": self.port, "certified": certified});
        self.sshd(|sshd| *sshd = Sshd::from(&Supervisor::get().ask(&request)));
    }

    /// The sshd comes back with another host key, and with further lines of `sshd_config`.
    pub(crate) fn come_back_with(&self, lines: &str) {
        let request =
            json!({"do": "sshd", "instance": self.id, "ip": self.ip, "port": self.port, "extra": lines});
        self.sshd(|sshd| *sshd = Sshd::from(&Supervisor::get().ask(&request)));
    }

    /// What stands on its console from here on.
    pub(crate) fn writes_on_its_console(&self, text: &str) {
        Supervisor::get().aws("console", json!({"instance": self.id, "text": text}));
    }

    /// How often its console was asked for.
    pub(crate) fn reads_of_console(&self) -> u64 {
        Supervisor::get().aws("reads_of_console", json!({"instance": self.id})).as_u64().expect("a number")
    }

    /// Its public host key, as a `.pub` file has it.
    pub(crate) fn host_key(&self) -> String {
        self.sshd(|sshd| sshd.host_key.clone())
    }

    /// Its host key's fingerprint.
    pub(crate) fn host_fingerprint(&self) -> String {
        self.sshd(|sshd| super::files::fingerprint(&sshd.host_key))
    }
}

impl Wanted {
    /// Makes the instance in that account.
    pub(super) fn start(&self, account: &str) -> Instance {
        let supervisor = Supervisor::get();
        let ip = self.ip.clone().unwrap_or_else(next_address);
        let silent =
            (self.kind == Kind::Silent).then(|| TcpListener::bind((ip.as_str(), 0)).expect("a free port"));
        let greeter = match self.kind {
            Kind::Says(text) => Some(Greeter::start(&ip, text)),
            Kind::Sshd | Kind::Stopped | Kind::Silent | Kind::Closed | Kind::Dropping => None,
        };
        let port = match (&silent, &greeter) {
            (Some(listener), _) => listener.local_addr().expect("bound").port(),
            (None, Some(greeter)) => greeter.address.port(),
            (None, None) if self.kind == Kind::Dropping => {
                let port = supervisor.ask(&json!({"do": "stuffed", "ip": ip}));
                port.as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port")
            }
            (None, None) if self.ip.is_some() => 22,
            (None, None) => supervisor.free_port(&ip),
        };
        let mut tags = self.tags.clone();
        tags.entry("drawbridge:port".to_owned()).or_insert_with(|| port.to_string());
        let state = if self.kind == Kind::Stopped { "stopped" } else { "running" };
        let made =
            supervisor.aws("instance", json!({"account": account, "ip": ip, "tags": tags, "state": state}));
        let id = made["id"].as_str().expect("an id").to_owned();
        let sshd = (self.kind == Kind::Sshd).then(|| {
            let ahead = self.clock_ahead;
            let request = json!({
                "do": "sshd", "instance": id, "ip": ip, "port": port, "extra": self.sshd, "ahead": ahead
            });
            Mutex::new(Sshd::from(&supervisor.ask(&request)))
        });
        let dns = made["dns"].as_str().expect("a name").to_owned();
        Instance { id, ip, dns, port, sshd, _silent: silent, _greeter: greeter }
    }
}

/// Takes connections, says a text on each and closes it.
#[derive(Debug)]
struct Greeter {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Greeter {
    fn start(ip: &str, text: &'static str) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::spawn(move || greet(stream, text));
            }
        });
        Self { address, over }
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

/// Whoever is left may be gone already; what was said is read before the end comes, because the rest is read here.
fn greet(mut stream: TcpStream, text: &str) {
    if text.is_empty() {
        return;
    }
    drop(stream.write_all(text.as_bytes()));
    drop(stream.shutdown(std::net::Shutdown::Write));
    drop(stream.read_to_end(&mut Vec::new()));
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
pub(crate) fn next_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(256);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    if low == 0 || low == 255 { next_address() } else { format!("127.0.{high}.{low}") }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.sshd.is_some() {
            self.crash();
        }
    }
}
