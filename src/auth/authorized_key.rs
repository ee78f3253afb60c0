//! One `authorized_keys` line: options, key, comment (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
//!
//! An option is enforced or it is an error; none is passed over.

use data_encoding::BASE64;
use jiff::Timestamp;

use super::address::AddressPatterns;
use super::options::{KeyOption, parse_expiry, split_options};
use crate::domain::Fingerprint;
use crate::signature::{KeyKind, PublicKey, RSA_BITS_MIN, SignatureError};

/// What is wrong with a line: a sentence that goes on after "the key", and a way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineProblem {
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

impl LineProblem {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// What a line demands beyond the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Restrictions {
    /// `from=`.
    pub(crate) from: Option<AddressPatterns>,
    /// `expiry-time=`: the last instant at which the key is good.
    pub(crate) expiry: Option<Timestamp>,
    /// `no-touch-required`.
    pub(crate) no_touch_required: bool,
    /// `verify-required`.
    pub(crate) verify_required: bool,
}

/// What the line's key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// It lets its owner in.
    Login,
    /// It signs certificates for this user (`cert-authority`), naming one of the principals, or
    /// without them the user's name or an alias.
    CertAuthority { principals: Option<Vec<String>> },
}

/// A line that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorizedKey {
    /// The key in wire form.
    pub(crate) key_blob: Vec<u8>,
    pub(crate) kind: KeyKind,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) role: Role,
    pub(crate) restrictions: Restrictions,
}

impl AuthorizedKey {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Result<Self, Vec<LineProblem>> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Err(vec![LineProblem::new("is missing: the entry is empty or a comment")]);
        }
        let (options, key_text) = if starts_with_key_type(line) {
            (Vec::new(), line)
        } else {
            split_options(line).map_err(|message| vec![LineProblem::new(message)])?
        };
        let key = parse_key(key_text).map_err(|problem| vec![problem])?;
        let settings = Settings::read(&options, key.kind)?;
        Ok(Self { role: settings.role(), restrictions: settings.restrictions, ..key })
    }
}

/// Key types begin like this and options never do.
fn starts_with_key_type(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix)) && !word.contains(['=', ','])
}

/// Reads `type base64 comment`, with no restrictions.
pub(crate) fn parse_key(text: &str) -> Result<AuthorizedKey, LineProblem> {
    let mut words = text.split_whitespace();
    let named = words.next().ok_or_else(|| cut_short("there are options and no key"))?;
    check_type(named)?;
    let encoded = words.next().ok_or_else(|| cut_short("its type is not followed by the key"))?;
    let key_blob = BASE64.decode(encoded.as_bytes()).map_err(|_| cut_short("its base64 is not whole"))?;
    let key = PublicKey::parse(&key_blob).map_err(|error| explain(error, named))?;
    if key.kind().name() != named {
        return Err(LineProblem::new(format!("says it is {named} and holds {}", key.kind().name())));
    }
    Ok(AuthorizedKey {
        kind: key.kind(),
        fingerprint: Fingerprint::of_blob(&key_blob),
        role: Role::Login,
        restrictions: Restrictions::default(),
        key_blob,
    })
}

fn check_type(named: &str) -> Result<(), LineProblem> {
    if KeyKind::from_name(named).is_some() {
        return Ok(());
    }
    if KeyKind::from_certificate_name(named).is_some() {
        return Err(LineProblem::new("is a certificate, and a line has a key")
            .with_hint("list the CA in `trusted_user_ca_keys`, or its key here with `cert-authority`"));
    }
    let named: String = named.chars().take(64).collect();
    Err(LineProblem::new(format!("is of the type {named:?}, which is not supported"))
        .with_hint("use ssh-ed25519, ecdsa-sha2-nistp256/384/521, ssh-rsa or an sk- key"))
}

fn cut_short(how: &str) -> LineProblem {
    LineProblem::new(format!("is cut short or damaged: {how}"))
        .with_hint("paste the whole line of the .pub file")
}

fn explain(error: SignatureError, named: &str) -> LineProblem {
    match error {
        SignatureError::WeakKey { bits } => {
            LineProblem::new(format!("is RSA with {bits} bits; at least {RSA_BITS_MIN} are needed"))
                .with_hint("make a new one with `ssh-keygen -t ed25519`")
        }
        SignatureError::MalformedKey
        | SignatureError::MalformedSignature
        | SignatureError::BadSignature
        | SignatureError::WrongAlgorithm => cut_short("the bytes are not those of such a key"),
        SignatureError::UnsupportedKey | SignatureError::UnsupportedAlgorithm => {
            LineProblem::new(format!("is {named} with parameters that are not supported"))
        }
    }
}

/// The options of a line, understood.
#[derive(Debug, Default)]
struct Settings {
    restrictions: Restrictions,
    cert_authority: bool,
    principals: Option<Vec<String>>,
}

impl Settings {
    fn read(options: &[KeyOption], kind: KeyKind) -> Result<Self, Vec<LineProblem>> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        for (at, option) in options.iter().enumerate() {
            if options.iter().take(at).any(|earlier| earlier.name == option.name) {
                problems.push(LineProblem::new(format!("has the option `{}` twice", option.name)));
            }
            if let Err(problem) = settings.apply(option) {
                problems.push(problem);
            }
        }
        settings.check_sense(kind, &mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn apply(&mut self, option: &KeyOption) -> Result<(), LineProblem> {
        match (option.name.as_str(), option.value.as_deref()) {
            ("from", Some(list)) => {
                let patterns = AddressPatterns::parse(list)
                    .map_err(|message| LineProblem::new(format!("has a `from` that {message}")))?;
                self.restrictions.from = Some(patterns);
            }
            ("expiry-time", Some(time)) => {
                let expiry = parse_expiry(time).ok_or_else(|| {
                    LineProblem::new(format!("has the expiry-time {time:?}, which is no time"))
                        .with_hint("write YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS; all are UTC")
                })?;
                self.restrictions.expiry = Some(expiry);
            }
            ("principals", Some(list)) => {
                let principals: Vec<String> = list.split(',').map(str::to_owned).collect();
                if principals.iter().any(String::is_empty) {
                    return Err(LineProblem::new("has `principals` with an empty name in it"));
                }
                self.principals = Some(principals);
            }
            ("no-touch-required", None) => self.restrictions.no_touch_required = true,
            ("verify-required", None) => self.restrictions.verify_required = true,
            ("cert-authority", None) => self.cert_authority = true,
            (name, value) => return Err(refuse_option(name, value.is_some())),
        }
        Ok(())
    }

    /// Options that would do nothing where they stand are mistakes.
    fn check_sense(&self, kind: KeyKind, problems: &mut Vec<LineProblem>) {
        if self.principals.is_some() && !self.cert_authority {
            problems.push(LineProblem::new("has `principals` without `cert-authority`"));
        }
        let about_touch = self.restrictions.no_touch_required || self.restrictions.verify_required;
        if about_touch && !self.cert_authority && !kind.is_security_key() {
            problems.push(LineProblem::new(
                "has `no-touch-required` or `verify-required` and is no security key (sk-…)",
            ));
        }
    }

    fn role(&self) -> Role {
        if self.cert_authority {
            Role::CertAuthority { principals: self.principals.clone() }
        } else {
            Role::Login
        }
    }
}

/// Options that OpenSSH has and drawbridge leaves to policy.
const OPENSSH_OPTIONS: [&str; 16] = [
    "agent-forwarding",
    "command",
    "environment",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-user-rc",
    "no-x11-forwarding",
    "permitlisten",
    "permitopen",
    "port-forwarding",
    "pty",
    "restrict",
    "tunnel",
    "user-rc",
    "x11-forwarding",
];

fn refuse_option(name: &str, has_value: bool) -> LineProblem {
    match name {
        "from" | "expiry-time" | "principals" => {
            LineProblem::new(format!("has the option `{name}` without a value in double quotes"))
        }
        "no-touch-required" | "verify-required" | "cert-authority" if has_value => {
            LineProblem::new(format!("has the option `{name}` with a value, and it takes none"))
        }
        _ if OPENSSH_OPTIONS.contains(&name) => {
            LineProblem::new(format!("has the option `{name}`, which is not supported here"))
                .with_hint("what a user may do is for the policy to say; remove the option")
        }
        other => {
            let name: String = other.chars().take(64).collect();
            LineProblem::new(format!("has the unknown option {name:?}"))
                .with_hint("options are from, expiry-time, no-touch-required, verify-required, cert-authority and principals")
        }
    }
}
