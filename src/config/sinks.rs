//! `[[audit.sinks]]`: further places that the audit trail is copied to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::Value;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::disk::Expect;
use super::origin::Complaint;
use super::reader::Section;
use super::value::{quoted, text};

const SECOND: Duration = Duration::from_secs(1);
/// The shortest message that every receiver has to take (RFC 5424 §6.1).
const MESSAGE_BYTES_LEAST: usize = 480;
/// The largest UDP datagram over IPv4 (RFC 768, RFC 791).
const UDP_BYTES_MAX: usize = 65_507;
/// No line of ours is longer.
const STREAM_BYTES_MAX: usize = 1 << 20;
/// unix(7): the length of `sun_path`.
const UNIX_PATH_MAX: usize = 108;

/// One sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// What it is called: in the log, in metrics and in the name of its position file. No two are alike.
    pub name: String,
    /// The most bytes that may wait for it; beyond, its oldest lines are given up. Written as `spool_max_mib`.
    pub spool_max: u64,
    /// What kind it is.
    pub kind: SinkKind,
}

impl SinkConfig {
    /// What may wait where nothing else is written.
    pub const SPOOL_MAX_DEFAULT: u64 = 1 << 30;
}

/// What kind of sink it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// A file with the lines as they are.
    File(PathBuf),
    /// Standard output, with the lines as they are.
    Stdout,
    /// A file of OCSF events.
    Ocsf(PathBuf),
    /// A syslog receiver (RFC 5424).
    Syslog(SyslogConfig),
    /// An OpenTelemetry receiver (OTLP/HTTP).
    Otlp(OtlpConfig),
}

/// A syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Where it is.
    pub to: SyslogAddress,
    /// The facility's number (RFC 5424 §6.2.1).
    pub facility: u8,
    /// The application's name in each message.
    pub app_name: String,
    /// The longest message, in bytes; what is longer is abridged.
    pub message_bytes_max: usize,
    /// CAs that may vouch for the receiver; none for those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate, where the receiver asks for one.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// Where a syslog receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A socket on this machine, of datagrams or of a stream.
    Unix(PathBuf),
    /// UDP (RFC 5426).
    Udp(String, u16),
    /// TCP, each message with its length (RFC 6587 §3.4.1).
    Tcp(String, u16),
    /// TLS (RFC 5425).
    Tls(String, u16),
}

/// An OpenTelemetry receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Where logs are posted to.
    pub url: String,
    /// HTTP headers of each request.
    pub headers: Vec<(String, String)>,
    /// HTTP headers whose values are the first lines of files.
    pub secret_headers: Vec<(String, PathBuf)>,
    /// CAs that may vouch for the receiver; none for those of the system.
    pub ca: Option<PathBuf>,
    /// The most time for one request.
    pub timeout: Duration,
}

/// The kinds' names, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Stdout,
    Ocsf,
    Syslog,
    Otlp,
}

const KINDS: [Kind; 5] = [Kind::File, Kind::Stdout, Kind::Ocsf, Kind::Syslog, Kind::Otlp];

/// RFC 5424 §6.2.1, by the names that syslog.conf(5) uses.
const FACILITIES: [(&str, u8); 13] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("audit", 13),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Reads every `[[audit.sinks]]`.
pub(super) fn read(section: &mut Section<'_>, data_dir: &Path) -> Vec<SinkConfig> {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    section.tables("sinks", "audit.sinks", |section| {
        let Some(sink) = read_one(section, data_dir) else { return };
        if sinks.iter().any(|other| other.name == sink.name) {
            let complaint = Complaint::new(format!("two sinks are called {}", quoted(&sink.name)));
            section.complain(complaint.hint("give each sink a name of its own"));
        }
        sinks.push(sink);
    });
    sinks
}

fn read_one(section: &mut Section<'_>, data_dir: &Path) -> Option<SinkConfig> {
    section.require("name", "\"siem\"");
    section.require("kind", "\"syslog\"");
    let name = section.parse("name", name);
    let kind = section.parse("kind", kind);
    let spool_max_mib: u64 =
        section.integer("spool_max_mib", SinkConfig::SPOOL_MAX_DEFAULT >> 20, 1..=1_048_576);
    let kind = kind.and_then(|kind| kind.read(section, data_dir));
    section.is_sound().then_some(SinkConfig { name: name?, spool_max: spool_max_mib << 20, kind: kind? })
}

fn kind(value: &Value) -> Result<Kind, Complaint> {
    let word = text(value)?;
    KINDS.into_iter().find(|kind| kind.name() == word).ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|kind| format!("\"{}\"", kind.name())).collect();
        Complaint::new(format!("{} is not a kind of sink", quoted(word)))
            .hint(format!("write {}", names.join(" or ")))
    })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdout => "stdout",
            Self::Ocsf => "ocsf",
            Self::Syslog => "syslog",
            Self::Otlp => "otlp",
        }
    }

    /// The keys that sinks of this kind have beyond those of all.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::File | Self::Ocsf => &["path"],
            Self::Stdout => &[],
            Self::Syslog => &["to", "facility", "app_name", "message_bytes_max", "ca", "certificate", "key"],
            Self::Otlp => &["url", "headers", "secret_headers", "timeout", "ca"],
        }
    }

    fn read(self, section: &mut Section<'_>, data_dir: &Path) -> Option<SinkKind> {
        for key in KINDS.iter().flat_map(|kind| kind.keys()).filter(|key| !self.keys().contains(key)) {
            section.parse::<()>(key, |_| {
                let told = format!("a sink of the kind \"{}\" has no such key", self.name());
                Err(Complaint::new(told).hint("remove it, or choose another kind"))
            });
        }
        match self {
            Self::File => file_path(section, data_dir).map(SinkKind::File),
            Self::Stdout => Some(SinkKind::Stdout),
            Self::Ocsf => file_path(section, data_dir).map(SinkKind::Ocsf),
            Self::Syslog => SyslogConfig::read(section).map(SinkKind::Syslog),
            Self::Otlp => OtlpConfig::read(section).map(SinkKind::Otlp),
        }
    }
}

fn file_path(section: &mut Section<'_>, data_dir: &Path) -> Option<PathBuf> {
    section.require("path", "\"/var/log/drawbridge/ocsf.jsonl\"");
    section.has("path").then(|| section.state_path("path", "sink", data_dir, Expect::AppendableFile))
}

impl SyslogConfig {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        section.require("to", "\"tls://logs.example.com:6514\"");
        let to = section.parse("to", syslog_address);
        let udp = matches!(to, Some(SyslogAddress::Udp(..)));
        let (usual, most) = if udp { (2048, UDP_BYTES_MAX) } else { (8192, STREAM_BYTES_MAX) };
        let config = Self {
            facility: section.choice("facility", 10, &FACILITIES),
            app_name: section.parse("app_name", app_name).unwrap_or_else(|| "drawbridge".to_owned()),
            message_bytes_max: section.integer("message_bytes_max", usual, MESSAGE_BYTES_LEAST..=most),
            ca: section.optional_path("ca", Expect::ReadableFile),
            certificate: section.optional_path("certificate", Expect::ReadableFile),
            key: section.optional_path("key", Expect::PrivateKey),
            to: to?,
        };
        config.complain_about_tls(section);
        Some(config)
    }

    fn complain_about_tls(&self, section: &mut Section<'_>) {
        let speaks_tls = matches!(self.to, SyslogAddress::Tls(..));
        let has_tls = self.ca.is_some() || self.certificate.is_some() || self.key.is_some();
        if has_tls && !speaks_tls {
            let complaint = Complaint::new("`ca`, `certificate` and `key` are for tls:// only");
            section.complain(complaint.hint("remove them, or write to = \"tls://HOST:6514\""));
        }
        if self.certificate.is_some() != self.key.is_some() {
            let complaint = Complaint::new("`certificate` and `key` belong together, and one is missing");
            section.complain(complaint.hint("write both, or neither where the receiver asks for none"));
        }
    }
}

impl OtlpConfig {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        section.require("url", "\"https://collector.example.com:4318/v1/logs\"");
        let url = section.parse("url", otlp_url);
        let headers = section.texts("headers", header);
        let secret_headers = section.paths_by_name("secret_headers", header_name, Expect::ReadableFile);
        let config = Self {
            headers,
            secret_headers,
            ca: section.optional_path("ca", Expect::ReadableFile),
            timeout: section.duration("timeout", 10 * SECOND, SECOND..=25 * SECOND),
            url: url?,
        };
        Some(config)
    }
}

fn header(name: &str, value: &str) -> Result<(), Complaint> {
    header_name(name)?;
    HeaderValue::from_str(value).map(drop).map_err(|_| {
        Complaint::new(format!(
            "the value of the header {} has characters that cannot stand in one",
            quoted(name)
        ))
        .hint("write printable ASCII")
    })
}

fn header_name(name: &str) -> Result<(), Complaint> {
    HeaderName::from_bytes(name.as_bytes()).map(drop).map_err(|_| {
        Complaint::new(format!("{} is not the name of an HTTP header", quoted(name)))
            .hint("write a name such as \"Authorization\"")
    })
}

fn otlp_url(value: &Value) -> Result<String, Complaint> {
    let text = text(value)?;
    let complaint = || {
        Complaint::new(format!("{} is not a URL to post logs to", quoted(text)))
            .hint("its form is https://HOST:4318/v1/logs")
    };
    let url = Url::parse(text).map_err(|_| complaint())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain || text.contains(":///") {
        return Err(complaint());
    }
    if url.path() == "/" {
        return Err(complaint().hint("the path is missing; receivers usually have /v1/logs"));
    }
    Ok(text.to_owned())
}

/// `unix:///dev/log`, `udp://HOST[:514]`, `tcp://HOST[:601]`, `tls://HOST[:6514]`.
fn syslog_address(value: &Value) -> Result<SyslogAddress, Complaint> {
    let text = text(value)?;
    let complaint = || {
        Complaint::new(format!("{} is not the address of a syslog receiver", quoted(text)))
            .hint("its form is tls://HOST:6514, tcp://HOST:601, udp://HOST:514 or unix:///dev/log")
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(complaint)?;
    if scheme == "unix" {
        let sound = rest.starts_with('/') && rest.len() < UNIX_PATH_MAX;
        return if sound { Ok(SyslogAddress::Unix(PathBuf::from(rest))) } else { Err(complaint()) };
    }
    // The ports that IANA lists: RFC 5426 §3.3, RFC 6587 and RFC 5425 §4.1.
    let (port, make): (u16, fn(String, u16) -> SyslogAddress) = match scheme {
        "udp" => (514, SyslogAddress::Udp),
        "tcp" => (601, SyslogAddress::Tcp),
        "tls" => (6514, SyslogAddress::Tls),
        _other => return Err(complaint()),
    };
    // Read as http, so that hosts are checked as in any URL and a port of our own is told apart.
    let url = Url::parse(&format!("http://{rest}")).map_err(|_| complaint())?;
    let plain =
        url.path() == "/" && !rest.ends_with('/') && url.query().is_none() && url.fragment().is_none();
    let nobody = url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|_| plain && nobody).ok_or_else(complaint)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let written = if rest.ends_with(":80") { Some(80) } else { url.port() };
    match written.unwrap_or(port) {
        0 => Err(complaint()),
        port => Ok(make(host, port)),
    }
}

/// RFC 5424 §6.2.5: 1 to 48 printable ASCII characters.
fn app_name(value: &Value) -> Result<String, Complaint> {
    const LENGTH_MAX: usize = 48;
    let text = text(value)?;
    if text.len() <= LENGTH_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} cannot be an application's name", quoted(text)))
        .hint(format!("write at most {LENGTH_MAX} printable ASCII characters without spaces")))
}

fn name(value: &Value) -> Result<String, Complaint> {
    const LENGTH_MAX: usize = 32;
    let text = text(value)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && text.len() <= LENGTH_MAX && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} cannot be the name of a sink", quoted(text))).hint(format!(
        "write at most {LENGTH_MAX} lower-case letters, digits and '-', beginning with a letter"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::new(None, text)
    }

    #[test]
    fn addresses_of_syslog_receivers() {
        let read = |text: &str| syslog_address(&value(text)).ok();
        let host = |host: &str| host.to_owned();
        for (text, address) in [
            ("unix:///dev/log", SyslogAddress::Unix(PathBuf::from("/dev/log"))),
            ("udp://10.0.0.1", SyslogAddress::Udp(host("10.0.0.1"), 514)),
            ("udp://[::1]:5140", SyslogAddress::Udp(host("::1"), 5140)),
            ("tcp://logs.example.com:80", SyslogAddress::Tcp(host("logs.example.com"), 80)),
            ("tls://logs.example.com", SyslogAddress::Tls(host("logs.example.com"), 6514)),
        ] {
            assert_eq!(read(text), Some(address), "{text}");
        }
        for bad in [
            "logs.example.com:514",
            "udp://",
            "udp://:514",
            "udp://a:b",
            "udp://a:0",
            "tcp://a/b",
            "tcp://a/",
            "tcp://u@a",
            "tls://a:99999",
            "http://a",
            "unix://dev/log",
            "unix://",
            "tcp://a b",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn urls_to_post_logs_to() {
        let read = |text: &str| otlp_url(&value(text)).is_ok();
        assert!(read("https://collector:4318/v1/logs"));
        assert!(read("http://[::1]:4318/otlp/v1/logs?tenant=7"));
        for bad in [
            "collector:4318",
            "https://collector:4318",
            "ftp://a/b",
            "https://u:p@a/v1/logs",
            "https:///v1/logs",
        ] {
            assert!(!read(bad), "{bad}");
        }
    }

    #[test]
    fn names_can_stand_in_file_names() {
        assert!(name(&value("siem-2")).is_ok());
        for bad in ["", "..", "a/b", "A", "2a", "a.b", "-a", &"a".repeat(33)] {
            assert!(name(&value(bad)).is_err(), "{bad}");
        }
    }
}
