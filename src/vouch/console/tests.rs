//! Consoles as they are found: prefixed, wrapped, torn, repeated, cut off, and full of noise.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::signature::keygen::{KeyFiles, Workshop};

const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";

/// The keys of one machine, and another machine's Ed25519 key.
struct Keys {
    ed25519: KeyFiles,
    ecdsa: KeyFiles,
    rsa: KeyFiles,
    other: KeyFiles,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let workshop = Workshop::new();
    Keys {
        ed25519: workshop.ed25519("ed25519"),
        ecdsa: workshop.key("ecdsa", "ecdsa", "256"),
        rsa: workshop.key("rsa", "rsa", "2048"),
        other: workshop.ed25519("other"),
    }
});

fn machine() -> [&'static KeyFiles; 3] {
    [&KEYS.ed25519, &KEYS.ecdsa, &KEYS.rsa]
}

fn block(keys: &[&KeyFiles]) -> String {
    let lines: String = keys.iter().map(|key| format!("{}\r\n", key.line)).collect();
    format!("{BEGIN}\r\n{lines}{END}\r\n")
}

fn fingerprints(keys: &[(&KeyFiles, &str, &str)]) -> String {
    let prefix = "<14>Nov 22 10:00:00 ip-10-0-0-1 cloud-init: ";
    let line = |text: String| format!("{prefix}{text}\r\n");
    let lines: String = keys
        .iter()
        .map(|(key, bits, kind)| {
            line(format!("{bits} {} root@ip-10-0-0-1 ({kind})", Fingerprint::of_blob(&key.blob)))
        })
        .collect();
    let mark = |word: &str| line(format!("-----{word} SSH HOST KEY FINGERPRINTS-----"));
    format!("{}{lines}{}", mark("BEGIN"), mark("END"))
}

fn read(text: &str) -> Result<Option<KnownKeys>, ConsoleError> {
    read_console(text.as_bytes())
}

fn found(text: &str) -> Vec<KnownKey> {
    read(text).expect("no contradiction").map(|known| known.all().to_vec()).unwrap_or_default()
}

fn whole(keys: &[&KeyFiles]) -> Vec<KnownKey> {
    keys.iter()
        .map(|key| {
            let kind = PublicKey::parse(&key.blob).expect("a key").kind();
            KnownKey::whole(kind, key.blob.clone())
        })
        .collect()
}

#[test]
fn the_block_of_a_first_boot_is_read() {
    let text =
        format!("[    0.000000] Linux version 6.1\r\ncloud-init: hello\r\n{}login: ", block(&machine()));
    assert_eq!(found(&text), whole(&machine()));
}

#[test]
fn prefixes_colours_and_other_peoples_lines_do_no_harm() {
    let [ed25519, ecdsa, rsa] = machine();
    let text = format!(
        "\u{1b}[32m[  OK  ]\u{1b}[0m Started sshd\r\n[   22.100000] cloud-init[800]: {BEGIN}\r\n\
         [   22.200000] cloud-init[800]: {}\r\n[   22.300000] random: crng init done\r\n\
         <14>Nov 22 10:00:00 ip-10-0-0-1 ec2: {}\r\n\u{1b}[0m{}\u{1b}[0m\r\n\u{1b}]0;title\u{7}{END}\r\n",
        ed25519.line, ecdsa.line, rsa.line
    );
    assert_eq!(found(&text), whole(&machine()));
}

#[test]
fn lines_that_were_wrapped_or_torn_apart_are_put_together() {
    let line = &KEYS.rsa.line;
    let wrapped: Vec<&str> =
        line.as_bytes().chunks(80).map(|piece| std::str::from_utf8(piece).expect("ASCII")).collect();
    assert!(wrapped.len() > 4);
    let text = format!("{BEGIN}\r\n{}\r\n{END}\r\n", wrapped.join("\r\n"));
    assert_eq!(found(&text), whole(&[&KEYS.rsa]));
    let (half, rest) = line.split_at(line.len() / 2);
    let torn = format!("{BEGIN}\n{half}[   22.123456] random: crng init done\n{rest}\n{END}\n");
    assert_eq!(found(&torn), whole(&[&KEYS.rsa]));
    let lost = format!("{BEGIN}\n{half}\n{}\n{END}\n", KEYS.ed25519.line);
    assert_eq!(found(&lost), whole(&[&KEYS.ed25519]), "a key that is cut short is passed over");
}

#[test]
fn keys_go_before_fingerprints_and_fingerprints_do_where_there_are_no_keys() {
    let printed = fingerprints(&[
        (&KEYS.ecdsa, "256", "ECDSA"),
        (&KEYS.ed25519, "256", "ED25519"),
        (&KEYS.rsa, "2048", "RSA"),
    ]);
    let both = found(&format!("{printed}{}", block(&machine())));
    assert_eq!(both, whole(&machine()));
    let bare: Vec<KnownKey> = whole(&[&KEYS.ecdsa, &KEYS.ed25519, &KEYS.rsa])
        .into_iter()
        .map(|key| KnownKey { blob: None, ..key })
        .collect();
    assert_eq!(found(&printed), bare);
    let some = found(&format!("{printed}{}", block(&[&KEYS.ed25519])));
    assert_eq!(some.iter().filter(|key| key.blob.is_some()).count(), 1);
    assert_eq!(some.len(), 3, "kinds that only have a fingerprint are known by that");
}

#[test]
fn blocks_that_contradict_each_other_vouch_for_nothing() {
    let refused = Err(ConsoleError::Contradiction("ssh-ed25519"));
    assert_eq!(read(&format!("{}{}", block(&machine()), block(&[&KEYS.other]))), refused);
    assert_eq!(read(&block(&[&KEYS.ed25519, &KEYS.other])), refused);
    let printed = fingerprints(&[(&KEYS.other, "256", "ED25519")]);
    assert_eq!(read(&format!("{printed}{}", block(&machine()))), refused);
    assert_eq!(found(&format!("{}{}", block(&machine()), block(&machine()))), whole(&machine()));
    assert_eq!(found(&format!("{}{}", block(&[&KEYS.rsa]), block(&machine()))), whole(&[&KEYS.rsa]));
}

#[test]
fn half_a_block_counts_for_nothing() {
    let half = |key: &KeyFiles| format!("{BEGIN}\r\n{}\r\n", key.line);
    assert_eq!(read(&half(&KEYS.ed25519)), Ok(None));
    assert_eq!(read(&format!("{}\r\n{END}\r\n", KEYS.ed25519.line)), Ok(None));
    let text = format!("{}{}", half(&KEYS.other), block(&machine()));
    assert_eq!(found(&text), whole(&machine()), "the first complete block counts");
    let crossed = format!("{BEGIN}\n{}\n-----END SSH HOST KEY FINGERPRINTS-----\n", KEYS.ed25519.line);
    assert_eq!(read(&crossed), Ok(None));
}

#[test]
fn weak_foreign_and_mislabelled_keys_are_passed_over() {
    let workshop = Workshop::new();
    let weak = workshop.key("weak", "rsa", "1024");
    let encoded = KEYS.ecdsa.line.split(' ').nth(1).expect("base64");
    let text = format!(
        "{BEGIN}\nssh-dss AAAAB3NzaC1kc3MAAACBAK\n{}\nssh-ed25519 {encoded} x\n{}\n{END}\n",
        weak.line, KEYS.ecdsa.line
    );
    assert_eq!(found(&text), whole(&[&KEYS.ecdsa]));
    assert_eq!(read(&format!("{BEGIN}\n{}\n{END}\n", weak.line)), Ok(None));
}

/// The bad input of a hostile or unlucky machine: as much as EC2 keeps, and two blocks of which each lacks a half.
#[test]
fn sixty_four_kilobytes_of_noise_with_two_half_blocks_vouch_for_nothing() {
    let mut console = format!("{BEGIN}\r\n{}\r\n", KEYS.ed25519.line).into_bytes();
    let mut state = 1_u32;
    while console.len() < 2 * TEXT_BYTES_MAX {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        console.extend_from_slice(&state.to_le_bytes());
    }
    let second = format!("\r\n{BEGIN}\r\n{}\r\n", KEYS.other.line).into_bytes();
    let middle = TEXT_BYTES_MAX / 2;
    console.splice(middle..middle + second.len(), second);
    console.extend_from_slice(format!("\r\n{END}\r\n").as_bytes());
    assert_eq!(read_console(&console), Ok(None));
}

/// A line of noise, as it comes from kernels, boot scripts and broken serial lines.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,120}",
        "\\[ {0,4}[0-9]{1,4}\\.[0-9]{6}\\] [ -~]{0,60}",
        "\u{1b}\\[[0-9;]{0,5}[a-zA-Z][ -~]{0,20}",
        "[A-Za-z0-9+/]{0,90}",
        "-----(BEGIN|END) SSH HOST KEY (KEYS|FINGERPRINTS)-----",
        "\\PC{0,40}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(console in proptest::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert_eq!(read_console(&console), Ok(None));
    }

    /// Whatever is between and around the lines, what is found is the machine's own, or nothing.
    #[test]
    fn noise_never_makes_another_key(
        around in proptest::collection::vec(noise(), 0..12),
        between in proptest::collection::vec(noise(), 4),
        cut in 0_usize..600,
    ) {
        let [ed25519, ecdsa, rsa] = machine();
        let [a, b, c, d] = &between[..] else { unreachable!("four") };
        let (half, rest) = rsa.line.split_at(cut.min(rsa.line.len()));
        let text = format!(
            "{}\n{BEGIN}\n{a}\n{}\n{b}\n{}\n{c}\n{half}\n{d}\n{rest}\n{END}\n{}",
            around.join("\r\n"), ed25519.line, ecdsa.line, around.join("\n")
        );
        let own = whole(&machine());
        for key in found(&text) {
            prop_assert!(own.contains(&key), "{key:?}");
        }
    }

    /// Lines between the keys that could be no part of one leave them as they are.
    #[test]
    fn kernel_messages_between_the_lines_hide_nothing(
        messages in proptest::collection::vec("\\[ {0,4}[0-9]{1,4}\\.[0-9]{6}\\] [ -,.-~]{0,60}", 3),
    ) {
        let lines: String =
            machine().iter().zip(&messages).map(|(key, noise)| format!("{}\r\n{noise}\r\n", key.line)).collect();
        prop_assert_eq!(found(&format!("{BEGIN}\r\n{lines}{END}\r\n")), whole(&machine()));
    }
}
