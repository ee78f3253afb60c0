//! How a session came about: who, from where, proved how, allowed by which rule, on which machine.

use super::super::line::Line;
use super::super::when::friendly;

/// What is known before the first thing happens. Each is a sentence or empty; the latest word counts.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    id: String,
    day: String,
    client: String,
    proof: String,
    asked: String,
    session: String,
    allowed: String,
    key: String,
    upstream: String,
}

impl Beginning {
    pub(super) fn learn(&mut self, line: &Line) {
        match line.event() {
            "client-identified" => self.client = line.text("client_version").unwrap_or_default(),
            "authentication-succeeded" => self.proof = proof(line),
            "target-requested" => self.asked = line.text("typed").unwrap_or_default(),
            "decision" if line.raw("outcome") == "permit" => self.allowed = allowed(line),
            "key-pushed" => self.key = pushed(line),
            "upstream-connected" => self.upstream = connected(line),
            "session-started" => {
                self.id = line.text("session").unwrap_or_default();
                self.day = line.day_and_time().0;
                self.session = self.started(line);
            }
            _ => {}
        }
    }

    pub(super) fn day(&self) -> &str {
        &self.day
    }

    fn started(&self, line: &Line) -> String {
        let (day, time) = line.day_and_time();
        let user = line.text("user").unwrap_or_default();
        let address = line.text("client_addr").unwrap_or_default();
        let port = line.number("client_port").map(|port| format!(" port {port}")).unwrap_or_default();
        let client = if self.client.is_empty() { String::new() } else { format!(" with {}", self.client) };
        let typed = if self.asked.is_empty() { String::new() } else { format!(" for \"{}\"", self.asked) };
        let way = match line.raw("way") {
            "jump" => "by jump (ssh -J)",
            "direct" => "directly",
            "console" => "from the console",
            "pass-through" => "by jump, passed through",
            "connect" => "through the bastion alone",
            _ => "",
        };
        let login = line.text("login").unwrap_or_default();
        let seen = if line.raw("content") == "not-seen" {
            "What was said in it is encrypted between the client and the target: the bastion did not see it.\n"
        } else {
            ""
        };
        format!(
            "{user} came from {address}{port}{client} on {day} at {time} UTC.\n{proof}They asked{typed} {way} and \
             became {login} on {target}.\n{seen}",
            proof = self.proof,
            target = target(line),
        )
    }

    /// The sentences, in the order in which things came about.
    pub(super) fn told(&self) -> String {
        let Self { id, session, allowed, key, upstream, .. } = self;
        format!("{id}\n\n{session}{allowed}{key}{upstream}")
    }
}

fn proof(line: &Line) -> String {
    let key = format!(
        "{} {}",
        line.text("algorithm").unwrap_or_default(),
        line.text("fingerprint").unwrap_or_default()
    );
    let groups = line.texts("groups");
    let groups = if groups.is_empty() { "no group".to_owned() } else { groups.join(", ") };
    if line.has("certificate") {
        let key_id = line.text("certificate.key_id").unwrap_or_default();
        let serial = line.text("certificate.serial").unwrap_or_default();
        let ca = line.text("certificate.ca").unwrap_or_default();
        return format!(
            "They proved it with the certificate \"{key_id}\", serial {serial}, signed by the CA {ca}, for the key \
             {key}; groups: {groups}.\n"
        );
    }
    format!("They proved it with the key {key}; groups: {groups}.\n")
}

/// `web-1 (i-0…, account 1…, eu-west-1, 10.0.1.20)`.
pub(super) fn target(line: &Line) -> String {
    let id = line.text("target.id").unwrap_or_default();
    let name = line.text("target.name").unwrap_or_else(|| id.clone());
    let part = |path: &str| line.text(path).unwrap_or_default();
    format!(
        "{name} ({id}, account {}, {}, {})",
        part("target.account"),
        part("target.region"),
        part("target.private_ip")
    )
}

fn allowed(line: &Line) -> String {
    let rules = line.texts("rules");
    let rules = match rules.as_slice() {
        [one] => format!("the rule {one}"),
        _ => format!("the rules {}", rules.join(", ")),
    };
    let mut limits = Vec::new();
    let time = |path: &str| line.number(path).map(std::time::Duration::from_millis).map(friendly);
    limits.extend(time("limits.max_session_ms").map(|most| format!("for {most} at most")));
    limits.extend(time("limits.idle_ms").map(|most| format!("idle for {most} at most")));
    limits.extend(line.text("limits.record").map(|mode| format!("recording {}", mode.replace('-', " "))));
    let on = |path: &str, words: &str| (line.flag(path) == Some(true)).then(|| words.to_owned());
    limits.extend(on("limits.keyboard", "the keyboard recorded too"));
    limits.extend(on("limits.tell_watched", "told when watched"));
    let limits = if limits.is_empty() { String::new() } else { format!(": {}", limits.join(", ")) };
    format!("Allowed by {rules}{limits}.\n")
}

fn pushed(line: &Line) -> String {
    format!(
        "EC2 Instance Connect took the one-session key {} (RequestId {}, as in CloudTrail).\n",
        line.text("key_fingerprint").unwrap_or_default(),
        line.text("request_id").unwrap_or_else(|| "unknown".to_owned()),
    )
}

/// What had vouched for a pin when it was set.
fn pinned_how(line: &Line) -> &'static str {
    match line.raw("pin_vouched_by") {
        "first-use" => " at first use",
        "operator" => " by an operator",
        "tag" => ", as its tag named it",
        "console" => ", as its console output named it",
        "ca" => ", once vouched for by a host certificate",
        _ => "",
    }
}

fn replaced(line: &Line) -> String {
    let replaced = line.text("replaced_fingerprint");
    replaced.map(|before| format!(", in place of the pinned {before}")).unwrap_or_default()
}

fn connected(line: &Line) -> String {
    let vouched = match line.raw("vouched_by") {
        "ca" => "was vouched for by a host certificate".to_owned() + &replaced(line),
        "pinned" => format!("is the one pinned to this instance{}", pinned_how(line)),
        "tag" => "is the one that a tag of the instance names, and is pinned since".to_owned(),
        "console" => "is the one in the instance's console output, and is pinned since".to_owned(),
        "tofu-first-use" => "was the first one seen of this instance, and is pinned since".to_owned(),
        _ => "was accepted".to_owned(),
    };
    format!(
        "The target answered at {} ({}); its host key {} {vouched}.\n",
        line.text("target_address").unwrap_or_default(),
        line.text("target_version").unwrap_or_default(),
        line.text("host_key_fingerprint").unwrap_or_default(),
    )
}
