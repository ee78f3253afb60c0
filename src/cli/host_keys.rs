//! `drawbridge host-keys`: sees, forgets and sets the pinned host keys, beside a running daemon or
//! without one. The daemon asks for the pin at each connection, so what is done here holds from the
//! next one on.

mod key_text;

use std::fs::File;
use std::io::{self, Read, Write};

use jiff::Timestamp;
use serde::Serialize;

use self::key_text::HostKeyText;
use super::args::{ForgetArgs, HostKeysCommand, KeySource, PinArgs};
use super::{CliError, Exit};
use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreConfig};
use crate::domain::{HostKeyVoucher, PinVoucher};
use crate::store::{Circumstances, Forgotten, MachineId, NewPin, Pin, Store, StoreError};

/// Keys of one machine are some kilobytes at most.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

fn failed(text: impl Into<String>) -> CliError {
    CliError::Failed(text.into())
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        // A damaged row is named by what stands in it.
        let text = match &error {
            StoreError::Row { .. } => shown(&error.to_string()),
            StoreError::Open { .. }
            | StoreError::Damaged { .. }
            | StoreError::Url(_)
            | StoreError::Connect { .. }
            | StoreError::Encoding { .. }
            | StoreError::Newer { .. }
            | StoreError::Migrate { .. }
            | StoreError::Query(_)
            | StoreError::Unreachable
            | StoreError::TooSlow
            | StoreError::Unreadable { .. }
            | StoreError::Gap { .. }
            | StoreError::OtherChain { .. }
            | StoreError::JournalBehind { .. }
            | StoreError::Line { .. }
            | StoreError::Journal(_) => error.to_string(),
        };
        failed(format!("The host key pins cannot be used: {text}."))
    }
}

/// Does what was asked, on the config's database.
pub(super) async fn run(
    config: &Config,
    command: &HostKeysCommand,
    out: &mut impl Write,
) -> Result<Exit, CliError> {
    let (store, done) = match command {
        HostKeysCommand::List { json, .. } => {
            let store = existing(config).await?;
            let done = list(&store, *json, out).await;
            (store, done)
        }
        HostKeysCommand::Forget(args) => {
            let store = existing(config).await?;
            let done = forget(&store, config, args, out).await;
            (store, done)
        }
        HostKeysCommand::Pin(args) => {
            let key = given_key(&args.key)?;
            let store = app::store(config).await?;
            let done = pin(&store, config, args, &key, SystemClock.now(), out).await;
            (store, done)
        }
    };
    store.close().await;
    done
}

/// The database, or an empty one where none was made yet: only what writes makes it.
async fn existing(config: &Config) -> Result<Store, CliError> {
    match &config.store {
        StoreConfig::Sqlite(file) if !file.try_exists().unwrap_or(true) => Ok(Store::in_memory().await?),
        StoreConfig::Sqlite(_) | StoreConfig::Postgres(_) => Ok(app::store(config).await?),
    }
}

async fn list(store: &Store, json: bool, out: &mut impl Write) -> Result<Exit, CliError> {
    let (mut sound, mut damaged) = (Vec::new(), Vec::new());
    for pin in store.pins().await? {
        match pin {
            Ok(pin) => sound.push(pin),
            Err(error) => damaged.push(error),
        }
    }
    if json {
        write_json(&sound, out)?
    } else {
        write_table(&sound, damaged.is_empty(), out)?
    }
    match damaged.into_iter().next() {
        None => Ok(Exit::Done),
        Some(error) => Err(error.into()),
    }
}

/// One pin in the answer to `list --json`.
#[derive(Serialize)]
struct Shown {
    instance_id: String,
    account: String,
    region: String,
    key_type: String,
    fingerprint: String,
    /// As a `.pub` file has it, so that it can be given to `pin`.
    public_key: String,
    vouched_by: &'static str,
    pinned_at: String,
    /// When the instance had last been started then.
    launch_time: Option<String>,
    /// Its image then.
    image: Option<String>,
}

impl From<&Pin> for Shown {
    fn from(pin: &Pin) -> Self {
        let key_type = shown(&pin.key_type);
        let encoded = data_encoding::BASE64.encode(&pin.key_blob);
        Self {
            instance_id: pin.machine.instance.to_string(),
            account: shown(&pin.machine.account),
            region: shown(&pin.machine.region),
            fingerprint: pin.fingerprint.to_string(),
            public_key: format!("{key_type} {encoded}"),
            vouched_by: pin.vouched_by.name(),
            pinned_at: format!("{:.3}", pin.first_seen),
            launch_time: pin.circumstances.launch_time.map(|time| format!("{time:.3}")),
            image: pin.circumstances.image.as_deref().map(shown),
            key_type,
        }
    }
}

fn write_json(pins: &[Pin], out: &mut impl Write) -> Result<(), CliError> {
    let shown: Vec<Shown> = pins.iter().map(Shown::from).collect();
    serde_json::to_writer_pretty(&mut *out, &shown).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn write_table(pins: &[Pin], complete: bool, out: &mut impl Write) -> io::Result<()> {
    if pins.is_empty() && complete {
        return writeln!(out, "No host key is pinned.");
    }
    let mut rows = vec![["INSTANCE", "ACCOUNT", "REGION", "PINNED", "BY", "KEY"].map(str::to_owned)];
    rows.extend(pins.iter().map(|pin| {
        [
            pin.machine.instance.to_string(),
            shown(&pin.machine.account),
            shown(&pin.machine.region),
            format!("{:.0}", pin.first_seen),
            pin.vouched_by.name().to_owned(),
            key_of(pin),
        ]
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &rows {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

async fn forget(
    store: &Store,
    config: &Config,
    args: &ForgetArgs,
    out: &mut impl Write,
) -> Result<Exit, CliError> {
    let machine = the_one(store, args).await?;
    let name = name_of(&machine);
    match store.forget(&machine).await? {
        Forgotten::Nothing => return Err(nothing_pinned(args)),
        Forgotten::Damaged => {
            writeln!(out, "Forgot the damaged pin of {name}; which key it was cannot be read.")?;
        }
        Forgotten::Pin(pin) => {
            writeln!(out, "Forgot the host key of {name}: {}, {}.", key_of(&pin), origin(&pin))?;
        }
    }
    writeln!(out, "{}", what_comes_next(&config.upstream.host_keys))?;
    Ok(Exit::Done)
}

/// What becomes of a machine without a pin.
fn what_comes_next(chain: &[HostKeyVoucher]) -> String {
    let vouchers: Vec<&str> = chain
        .iter()
        .filter_map(|voucher| match voucher {
            HostKeyVoucher::Ca => Some("a host certificate"),
            HostKeyVoucher::Tag => Some("its tag"),
            HostKeyVoucher::Console => Some("its console output"),
            HostKeyVoucher::Pins | HostKeyVoucher::Tofu => None,
        })
        .collect();
    let vouchers = vouchers.join(", ");
    match (vouchers.is_empty(), chain.contains(&HostKeyVoucher::Tofu)) {
        (true, true) => "The next key that the machine shows will be pinned.".to_owned(),
        (true, false) => "It cannot be reached until `drawbridge host-keys pin` pins a key.".to_owned(),
        (false, true) => format!(
            "The next key that the machine shows will be pinned, unless one of these knows better: {vouchers}."
        ),
        (false, false) => format!(
            "It cannot be reached until `drawbridge host-keys pin` pins a key, or one of these vouches for it: {vouchers}."
        ),
    }
}

/// The machine that is meant, or which ones may be.
async fn the_one(store: &Store, args: &ForgetArgs) -> Result<MachineId, CliError> {
    let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    let mut machines = store.pinned_machines(&args.instance).await?;
    machines.retain(|machine| fits(&args.account, &machine.account) && fits(&args.region, &machine.region));
    match machines.as_slice() {
        [] => Err(nothing_pinned(args)),
        [machine] => Ok(machine.clone()),
        several => {
            let places: Vec<String> =
                several.iter().map(|machine| format!("\n  {}", place(machine))).collect();
            Err(failed(format!(
                "{} is pinned in several places; say which one is to be forgotten:{}",
                args.instance,
                places.concat()
            )))
        }
    }
}

fn nothing_pinned(args: &ForgetArgs) -> CliError {
    let account = args.account.as_ref().map(|account| format!(" in account {account}"));
    let region = args.region.as_ref().map(|region| format!(" in {region}"));
    failed(format!(
        "No host key is pinned for {}{}{}; `drawbridge host-keys list` shows which are.",
        args.instance,
        region.unwrap_or_default(),
        account.unwrap_or_default()
    ))
}

async fn pin(
    store: &Store,
    config: &Config,
    args: &PinArgs,
    key: &HostKeyText,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<Exit, CliError> {
    let machine = MachineId {
        account: args.account.clone(),
        region: args.region.clone(),
        instance: args.instance.clone(),
    };
    let before = store.pin(&machine).await?;
    let new = NewPin {
        key_type: key.kind.name(),
        key_blob: &key.blob,
        vouched_by: PinVoucher::Operator,
        circumstances: &Circumstances::default(),
    };
    let held = store.remember(&machine, &new, now).await?;
    if held.key_blob != key.blob {
        return Err(another_is_pinned(&held, key));
    }
    let (name, shown_key) = (name_of(&machine), key_of(&held));
    match before.map(|pin| pin.vouched_by) {
        None => writeln!(out, "Pinned the host key of {name}: {shown_key}.")?,
        Some(PinVoucher::Operator) => writeln!(out, "{shown_key} is already the pinned host key of {name}.")?,
        Some(voucher @ (PinVoucher::FirstUse | PinVoucher::Tag | PinVoucher::Console | PinVoucher::Ca)) => {
            if !store.vouch(&machine, &key.blob).await? {
                return Err(failed(format!("The pin of {name} was changed meanwhile; try again.")));
            }
            let how = voucher.phrase();
            writeln!(out, "{shown_key} was pinned to {name} {how}; now you have vouched for it.")?;
        }
    }
    if key.left_out > 0 {
        let (count, kind) = (key.left_out + 1, key.kind.name());
        writeln!(out, "Of the {count} keys given, {kind} was taken: a machine has one pin.")?;
    }
    if !config.inventory.accounts.iter().any(|account| account.regions.contains(&machine.region)) {
        let region = &machine.region;
        writeln!(out, "Note: no account of the configuration has the region {region}; check its spelling.")?;
    }
    Ok(Exit::Done)
}

fn another_is_pinned(held: &Pin, key: &HostKeyText) -> CliError {
    failed(format!(
        "{} has another host key pinned: {}, {}. The one given is {} {}. If the machine's key was replaced \
         on purpose, forget the old one first:\n  drawbridge host-keys forget {} {}",
        name_of(&held.machine),
        key_of(held),
        origin(held),
        key.kind.name(),
        key.fingerprint(),
        held.machine.instance,
        place(&held.machine)
    ))
}

fn given_key(source: &KeySource) -> Result<HostKeyText, CliError> {
    let (name, text) = match (&source.key, &source.key_file) {
        (Some(line), _) => ("The text after --key".to_owned(), line.clone()),
        (None, Some(path)) => {
            let unreadable = |error| failed(format!("{} cannot be read: {error}.", path.display()));
            let file = File::open(path).map_err(unreadable)?;
            let mut bytes = Vec::new();
            file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
            if u64::try_from(bytes.len()).is_ok_and(|length| length > KEY_FILE_BYTES_MAX) {
                return Err(failed(format!("{} is too large for the keys of one machine.", path.display())));
            }
            (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
        }
        (None, None) => return Err(CliError::Usage("Give the key with --key or --key-file.".to_owned())),
    };
    key_text::read(&text).map_err(|error| failed(format!("{name} {error}.")))
}

fn key_of(pin: &Pin) -> String {
    format!("{} {}", shown(&pin.key_type), pin.fingerprint)
}

fn origin(pin: &Pin) -> String {
    format!("pinned {} on {:.0}", pin.vouched_by.phrase(), pin.first_seen)
}

fn name_of(machine: &MachineId) -> String {
    shown(&machine.to_string())
}

/// The arguments that name the place.
fn place(machine: &MachineId) -> String {
    format!("--account {} --region {}", shown(&machine.account), shown(&machine.region))
}

/// Text out of the database, bounded and unable to steer a terminal. All that belongs there is plain ASCII.
fn shown(text: &str) -> String {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    text.chars()
        .take(200)
        .map(|c| if plain(c) { c.to_string() } else { c.escape_default().to_string() })
        .collect()
}

#[cfg(test)]
mod tests;
