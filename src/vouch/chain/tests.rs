//! Chains of vouchers over one machine, `web-1`, and what they make of the keys that it shows.

use super::*;
use crate::domain::PinVoucher;
use crate::signature::keygen::{KeyFiles, Workshop};
use crate::target::testing::target;
use crate::vouch::{ConsoleError, ConsoleFault, KnownKey};

const TAG: &str = "drawbridge:host-key";

/// A machine, its key and another one, and what is known of it.
struct Case {
    workshop: Workshop,
    own: KeyFiles,
    other: KeyFiles,
    chain: Chain,
    target: Target,
    pin: Option<PinnedKey>,
    console: Option<Result<Option<KnownKeys>, Unread>>,
}

impl Case {
    fn new(words: &str) -> Self {
        let workshop = Workshop::new();
        let voucher = |word: &str| HostKeyVoucher::ALL.into_iter().find(|v| v.word() == word).expect(word);
        let order = words.split_whitespace().map(voucher).collect();
        let ca = workshop.ed25519("ca");
        let cas = HostCas::load(&[workshop.write("cas", format!("{}\n", ca.line))]).expect("a CA");
        Self {
            own: workshop.ed25519("own"),
            other: workshop.ed25519("other"),
            chain: Chain { order, tag: TAG.to_owned(), cas },
            target: target("web-1", 1),
            pin: None,
            console: None,
            workshop,
        }
    }

    fn all() -> Self {
        Self::new("ca pins tag console tofu")
    }

    fn pinned(mut self, key: impl FnOnce(&Self) -> Vec<u8>) -> Self {
        let blob = key(&self);
        self.pin = Some(PinnedKey {
            key_type: "ssh-ed25519".to_owned(),
            fingerprint: Fingerprint::of_blob(&blob),
            key_blob: blob,
            vouched_by: PinVoucher::FirstUse,
            pinned_at: now(),
            launch_time: None,
            image: None,
        });
        self
    }

    fn tagged(mut self, value: impl FnOnce(&Self) -> String) -> Self {
        let value = value(&self);
        self.target.tags.insert(TAG.to_owned(), value);
        self
    }

    fn console(mut self, key: impl FnOnce(&Self) -> Vec<u8>) -> Self {
        let known = vec![KnownKey::whole(KeyKind::Ed25519, key(&self))];
        self.console = Some(Ok(KnownKeys::of(known).expect("no contradiction")));
        self
    }

    fn judged(&self, shown: &[u8]) -> Result<Vouched, Doubt> {
        let shown = ShownKey::read(shown).expect("a key");
        self.chain.judge(&Evidence {
            target: &self.target,
            shown: &shown,
            pin: self.pin.as_ref(),
            console: self.console.as_ref(),
            now: now(),
        })
    }

    /// What becomes of the machine's own key.
    fn own(&self) -> Result<Vouched, Doubt> {
        self.judged(&self.own.blob)
    }

    fn certified(&self, options: &[&str]) -> Vec<u8> {
        let ca = KeyFiles { path: self.workshop.path("ca"), line: String::new(), blob: Vec::new() };
        self.workshop.certify(&ca, &self.own, options)
    }
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().expect("a time")
}

fn own(case: &Case) -> Vec<u8> {
    case.own.blob.clone()
}

fn other(case: &Case) -> Vec<u8> {
    case.other.blob.clone()
}

fn fingerprint_of_own(case: &Case) -> String {
    Fingerprint::of_blob(&case.own.blob).to_string()
}

fn fingerprint_of_other(case: &Case) -> String {
    Fingerprint::of_blob(&case.other.blob).to_string()
}

/// Who knows another key, as a word.
fn contradicted(judged: &Result<Vouched, Doubt>) -> &'static str {
    match judged {
        Err(Doubt::Changed { by: Contradicts::Pin(_), .. }) => "pin",
        Err(Doubt::Changed { by: Contradicts::Tag(_), .. }) => "tag",
        Err(Doubt::Changed { by: Contradicts::Console, .. }) => "console",
        Err(Doubt::OtherKind { .. }) => "other kind",
        Err(Doubt::Unvouched(_)) => "nobody",
        Ok(_) => "believed",
    }
}

const NAMES: [&str; 5] = ["-h", "-I", "x", "-n", "web-1"];

#[test]
fn the_first_who_knows_the_machine_vouches() {
    assert_eq!(Case::all().own(), Ok(Vouched::FirstUse));
    assert_eq!(Case::all().console(own).own(), Ok(Vouched::Console));
    assert_eq!(Case::all().console(own).tagged(fingerprint_of_own).own(), Ok(Vouched::Tag));
    assert_eq!(Case::all().tagged(fingerprint_of_own).pinned(own).own(), Ok(Vouched::Pinned));
    let case = Case::all().pinned(own);
    assert_eq!(case.judged(&case.certified(&NAMES)), Ok(Vouched::Ca));
    let console_first = Case::new("console tag").console(own).tagged(fingerprint_of_other);
    assert_eq!(console_first.own(), Ok(Vouched::Console));
}

#[test]
fn the_first_who_knows_another_key_refuses() {
    assert_eq!(contradicted(&Case::all().console(other).own()), "console");
    assert_eq!(contradicted(&Case::all().console(own).tagged(fingerprint_of_other).own()), "tag");
    assert_eq!(contradicted(&Case::all().console(own).tagged(fingerprint_of_own).pinned(other).own()), "pin");
    let believed = Case::all().console(other).tagged(fingerprint_of_other).pinned(own);
    assert_eq!(believed.own(), Ok(Vouched::Pinned), "whoever is asked later has no say");
}

#[test]
fn a_pin_binds_whatever_the_chain_is_unless_a_certificate_came_before() {
    for words in ["tofu", "console", "tag console tofu", "ca", "console pins"] {
        let case = Case::new(words).console(own).tagged(fingerprint_of_own).pinned(other);
        assert_eq!(contradicted(&case.own()), "pin", "{words}");
    }
    for (words, verdict) in [("ca pins", "believed"), ("ca", "believed"), ("pins ca", "pin"), ("pins", "pin")]
    {
        let case = Case::new(words).pinned(other);
        assert_eq!(contradicted(&case.judged(&case.certified(&NAMES))), verdict, "{words}");
    }
    assert_eq!(Case::new("tofu").pinned(own).own(), Ok(Vouched::Pinned));
    assert_eq!(contradicted(&Case::new("console").pinned(own).own()), "nobody", "a pin alone does not vouch");
}

#[test]
fn where_first_use_is_not_trusted_silence_refuses_and_says_why() {
    let case = Case::new("ca pins tag console");
    let Err(Doubt::Unvouched(why)) = case.own() else { panic!("believed") };
    assert_eq!(
        why.to_string(),
        "no key is pinned; there is no tag drawbridge:host-key; its console output has no host keys"
    );
    let mut denied = Case::new("console");
    let fault = ConsoleFault::Denied { action: "ec2:GetConsoleOutput", text: "no".to_owned() };
    denied.console = Some(Err(Unread::Fault(fault.clone())));
    let Err(Doubt::Unvouched(why)) = denied.own() else { panic!("believed") };
    assert_eq!(why.to_string(), "the console output cannot be read: ec2:GetConsoleOutput is denied: no");
    let mut fallen_back = Case::all();
    fallen_back.console = Some(Err(Unread::Fault(fault)));
    assert_eq!(fallen_back.own(), Ok(Vouched::FirstUse));
}

#[test]
fn what_contradicts_itself_or_cannot_be_read_refuses_even_where_first_use_is_trusted() {
    let mut case = Case::all();
    case.console = Some(Err(Unread::Contents(ConsoleError::Contradiction("ssh-ed25519"))));
    assert_eq!(contradicted(&case.own()), "nobody");
    assert_eq!(contradicted(&Case::all().tagged(|_| "yes".to_owned()).console(own).own()), "nobody");
    assert_eq!(Case::new("console tofu").tagged(|_| "yes".to_owned()).own(), Ok(Vouched::FirstUse));
}

#[test]
fn a_certificate_that_does_not_hold_leaves_it_to_those_who_know_the_key() {
    let expired = ["-h", "-I", "x", "-n", "web-1", "-V", "20200101:20200102"];
    let case = Case::all();
    assert_eq!(contradicted(&case.judged(&case.certified(&expired))), "nobody", "no first use");
    for case in [Case::all().pinned(own), Case::all().tagged(fingerprint_of_own), Case::all().console(own)] {
        assert_eq!(contradicted(&case.judged(&case.certified(&expired))), "believed");
    }
}

#[test]
fn a_key_of_a_kind_that_nobody_knows_is_asked_for_again() {
    let workshop = Workshop::new();
    let curve = workshop.key("curve", "ecdsa", "256");
    let case = Case::all().console(own);
    let judged = case.judged(&curve.blob);
    assert!(matches!(judged, Err(Doubt::OtherKind { kind: KeyKind::Ed25519, .. })), "{judged:?}");
    let tagged = Case::all().tagged(|case| format!("ssh-ed25519 {}", fingerprint_of_own(case)));
    assert_eq!(contradicted(&tagged.judged(&curve.blob)), "other kind");
    assert_eq!(tagged.chain.known_type(&tagged.target, None).as_deref(), Some("ssh-ed25519"));
}

#[test]
fn the_console_is_only_asked_where_it_may_have_a_say() {
    let asks = |case: &Case| case.chain.asks_the_console(&case.target, case.pin.is_some());
    assert!(asks(&Case::all()));
    assert!(!asks(&Case::all().pinned(own)));
    assert!(!asks(&Case::all().tagged(fingerprint_of_own)));
    assert!(!asks(&Case::new("ca pins tag tofu")));
    assert!(asks(&Case::new("console pins").pinned(own)));
    assert!(!Case::new("pins").chain.asks_for_certificates());
    assert!(Case::all().chain.asks_for_certificates());
    assert!(!Chain { cas: HostCas::default(), ..Case::all().chain }.asks_for_certificates());
}
