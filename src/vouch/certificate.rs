//! Host certificates (OpenSSH PROTOCOL.certkeys): whether one vouches for the machine that is meant.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use data_encoding::BASE64;
use jiff::Timestamp;
use thiserror::Error;

use crate::domain::Target;
use crate::problem::Problem;
use crate::signature::{Certificate, CertificateType, PublicKey};

/// The largest file of CAs, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The CAs whose host certificates are believed. Cheap to clone; clones are of the same, whatever takes their place.
#[derive(Debug, Clone, Default)]
pub struct HostCas {
    /// Public keys in wire form.
    keys: Arc<ArcSwap<Vec<Vec<u8>>>>,
}

impl HostCas {
    /// Reads files of CA keys, one a line as a `.pub` file has it, or as a line of `known_hosts` that begins with
    /// `@cert-authority *`.
    ///
    /// # Errors
    /// Every problem in them.
    pub fn load(files: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        for file in files {
            match read_file(file) {
                Ok(text) => read_lines(file, &text, &mut keys, &mut problems),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self { keys: Arc::new(ArcSwap::from_pointee(keys)) })
        } else {
            Err(problems)
        }
    }

    /// Believes those from here on, and no others.
    pub fn replace_with(&self, others: &Self) {
        self.keys.store(others.keys.load_full());
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.load().is_empty()
    }

    fn has(&self, ca_blob: &[u8]) -> bool {
        self.keys.load().iter().any(|key| key == ca_blob)
    }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(Problem::new(path, format!("the file of host CAs cannot be read: {error}")));
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(Problem::new(
            path,
            format!("the file of host CAs is larger than {FILE_BYTES_MAX} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|_| Problem::new(path, "the file of host CAs is not UTF-8 text"))
}

fn read_lines(path: &Path, text: &str, keys: &mut Vec<Vec<u8>>, problems: &mut Vec<Problem>) {
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match ca_in(line) {
            Some(key) => keys.push(key),
            None => problems.push(
                Problem::new(path, "this is not the public key of a CA")
                    .at_line(number)
                    .with_hint("write one key a line, as ssh-keygen wrote it: ssh-ed25519 AAAA…"),
            ),
        }
    }
}

fn ca_in(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split_whitespace().peekable();
    if words.next_if_eq(&"@cert-authority").is_some() && words.next() != Some("*") {
        // Which hosts a CA is for is not looked at; to take it for all of them would be more than was meant.
        return None;
    }
    let (named, encoded) = (words.next()?, words.next()?);
    let blob = BASE64.decode(encoded.as_bytes()).ok()?;
    let kind = PublicKey::parse(&blob).ok()?.kind();
    (kind.name() == named).then_some(blob)
}

/// Why a certificate of a trusted CA does not vouch for the machine. Goes on after "its host certificate".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateDoubt {
    /// The CA did not sign it.
    #[error("bears a signature that is not its CA's")]
    Signature,
    /// It is a user's.
    #[error("is not one for hosts")]
    NotAHosts,
    /// Its time has not come.
    #[error("is not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// It names nobody.
    #[error("names no machine")]
    NoNames,
    /// It names others.
    #[error("is for another machine")]
    OtherMachine,
    /// It wants something enforced; there is nothing of that kind for hosts.
    #[error("has a critical option that drawbridge does not know")]
    CriticalOption,
}

/// Whether a certificate vouches for the key in it as that machine's. Nothing where it is no certificate, or one of a
/// CA that nobody trusts here.
pub(super) fn check_certificate(
    cas: &HostCas,
    blob: &[u8],
    target: &Target,
    now: Timestamp,
) -> Option<Result<(), CertificateDoubt>> {
    let certificate = Certificate::parse(blob).ok().filter(|certificate| cas.has(certificate.ca_blob))?;
    Some(check(&certificate, target, now))
}

fn check(certificate: &Certificate<'_>, target: &Target, now: Timestamp) -> Result<(), CertificateDoubt> {
    certificate.verify_signature().map_err(|_| CertificateDoubt::Signature)?;
    if certificate.certificate_type != Some(CertificateType::Host) {
        return Err(CertificateDoubt::NotAHosts);
    }
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    if now < certificate.valid_after {
        return Err(CertificateDoubt::NotYetValid);
    }
    if now >= certificate.valid_before {
        return Err(CertificateDoubt::Expired);
    }
    if !certificate.critical_options.is_empty() {
        return Err(CertificateDoubt::CriticalOption);
    }
    // OpenSSH once took a certificate without names for one that is good for every host.
    if certificate.principals.is_empty() {
        return Err(CertificateDoubt::NoNames);
    }
    if certificate.principals.iter().any(|name| names(name, target)) {
        Ok(())
    } else {
        Err(CertificateDoubt::OtherMachine)
    }
}

/// Whether a principal is a name of that machine: its id, its private address, its private DNS name or its `Name`
/// tag. A pattern is a plain name here.
fn names(principal: &str, target: &Target) -> bool {
    let same = |name: &str| principal.eq_ignore_ascii_case(name);
    let address = principal.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let dns = target.private_dns.as_deref().map(|dns| dns.trim_end_matches('.'));
    principal == target.id.as_str()
        || address == Some(target.private_ip.to_canonical())
        || dns.is_some_and(same)
        || target.name.as_deref().is_some_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::keygen::{KeyFiles, Workshop};
    use crate::target::testing::target;

    struct Shop {
        workshop: Workshop,
        ca: KeyFiles,
        host: KeyFiles,
        cas: HostCas,
    }

    impl Shop {
        fn new() -> Self {
            let workshop = Workshop::new();
            let (ca, host) = (workshop.ed25519("ca"), workshop.ed25519("host"));
            let file = workshop.write("cas", format!("# ours\n\n{}\n", ca.line));
            let cas = HostCas::load(&[file]).expect("a CA");
            Self { workshop, ca, host, cas }
        }

        fn judged(&self, options: &[&str]) -> Option<Result<(), CertificateDoubt>> {
            let blob = self.workshop.certify(&self.ca, &self.host, options);
            let now = "2026-06-01T00:00:00Z".parse().expect("a time");
            check_certificate(&self.cas, &blob, &target("web-1", 1), now)
        }
    }

    #[test]
    fn a_host_certificate_vouches_for_the_machine_that_it_names() {
        let shop = Shop::new();
        for name in [
            "i-00000000000000001",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "ip-10-0-0-1.eu-west-1.compute.internal",
            "Web-1",
            "other,web-1",
        ] {
            assert_eq!(shop.judged(&["-h", "-I", "x", "-n", name]), Some(Ok(())), "{name}");
        }
        for (options, doubt) in [
            (&["-h", "-I", "x", "-n", "web-2,10.0.0.2,*,web-?"][..], CertificateDoubt::OtherMachine),
            (&["-h", "-I", "x"], CertificateDoubt::NoNames),
            (&["-I", "x", "-n", "web-1"], CertificateDoubt::NotAHosts),
            (&["-h", "-I", "x", "-n", "web-1", "-V", "20260102:20260103"], CertificateDoubt::Expired),
            (&["-h", "-I", "x", "-n", "web-1", "-V", "20270102:20270103"], CertificateDoubt::NotYetValid),
            (&["-h", "-I", "x", "-n", "web-1", "-O", "critical:x@y=z"], CertificateDoubt::CriticalOption),
        ] {
            assert_eq!(shop.judged(options), Some(Err(doubt)), "{options:?}");
        }
    }

    #[test]
    fn certificates_of_others_and_plain_keys_say_nothing_and_forged_ones_are_found_out() {
        let shop = Shop::new();
        let stranger = shop.workshop.ed25519("stranger");
        let names = ["-h", "-I", "x", "-n", "web-1"];
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        let judged = |blob: &[u8]| check_certificate(&shop.cas, blob, &target("web-1", 1), now);
        assert_eq!(judged(&shop.workshop.certify(&stranger, &shop.host, &names)), None);
        assert_eq!(judged(&shop.host.blob), None);
        let mut forged = shop.workshop.certify(&shop.ca, &shop.host, &names);
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert_eq!(judged(&forged), Some(Err(CertificateDoubt::Signature)));
        let other = shop.workshop.ed25519("other");
        let whole = shop.workshop.certify(&shop.ca, &shop.host, &names);
        let swapped: Vec<u8> = {
            let at = whole.windows(32).position(|part| part == &shop.host.blob[19..]).expect("the key");
            [&whole[..at], &other.blob[19..], &whole[at + 32..]].concat()
        };
        assert_eq!(judged(&swapped), Some(Err(CertificateDoubt::Signature)));
    }

    #[test]
    fn files_of_cas_are_read_whole_or_not_at_all() {
        let workshop = Workshop::new();
        let (one, two) = (workshop.ed25519("one"), workshop.key("two", "ecdsa", "256"));
        let load = |text: String| HostCas::load(&[workshop.write("cas", text)]);
        let cas = load(format!("{}\n@cert-authority * {}\n", one.line, two.line)).expect("CAs");
        assert!(cas.has(&one.blob) && cas.has(&two.blob) && !cas.is_empty());
        let weak = workshop.key("weak", "rsa", "1024").line;
        let bad =
            [format!("@cert-authority *.example.com {}", one.line), weak, "ssh-ed25519 AAAA".to_owned()];
        for line in bad {
            let problems = load(format!("{}\n{line}\n", one.line)).expect_err("a bad line");
            assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [Some(2)], "{line}");
        }
        assert_eq!(HostCas::load(&[workshop.path("absent")]).expect_err("no file").len(), 1);
    }

    #[test]
    fn a_new_version_of_the_cas_is_what_everybody_who_has_them_believes() {
        let workshop = Workshop::new();
        let (one, two) = (workshop.ed25519("one"), workshop.ed25519("two"));
        let load = |key: &KeyFiles| HostCas::load(&[workshop.write("cas", key.line.clone())]).expect("a CA");
        let (cas, held) = (load(&one), HostCas::default());
        let elsewhere = held.clone();
        held.replace_with(&cas);
        assert!(elsewhere.has(&one.blob) && !elsewhere.is_empty());
        held.replace_with(&load(&two));
        assert!(elsewhere.has(&two.blob) && !elsewhere.has(&one.blob));
    }
}
