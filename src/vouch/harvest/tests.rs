//! A harvest over instances, consoles and pins made by hand, in time that stands still unless it is waited for.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::*;
use crate::clock::HandSetClock;
use crate::domain::{Fingerprint, HostKeyVoucher};
use crate::signature::keygen::{KeyFiles, Workshop};
use crate::target::Source;
use crate::target::testing::{FakeSource, place as a_place, target};
use crate::tasks::BoxFuture;
use crate::vouch::{ConsoleCopy, PinnedKey};

const START: &str = "2026-11-22T10:00:00Z";

/// Consoles that say one thing after the other, the last one again and again. Latest copies only.
#[derive(Debug, Default)]
struct Consoles {
    says: StdMutex<HashMap<String, VecDeque<Result<String, ConsoleFault>>>>,
    reads: StdMutex<Vec<String>>,
    /// Whether nobody may read any.
    denied: AtomicBool,
}

impl Consoles {
    fn say(&self, id: &str, texts: impl IntoIterator<Item = Result<String, ConsoleFault>>) {
        self.says.lock().expect("sound").insert(id.to_owned(), texts.into_iter().collect());
    }

    fn reads(&self) -> usize {
        self.reads.lock().expect("sound").len()
    }
}

impl ConsoleReader for Consoles {
    fn read<'a>(
        &'a self,
        target: &'a Target,
        copy: ConsoleCopy,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ConsoleFault>> {
        if copy == ConsoleCopy::Kept {
            return Box::pin(std::future::ready(Ok(None)));
        }
        self.reads.lock().expect("sound").push(target.id.to_string());
        if self.denied.load(Ordering::SeqCst) {
            let denied = ConsoleFault::Denied { action: "ec2:GetConsoleOutput", text: "no".to_owned() };
            return Box::pin(std::future::ready(Err(denied)));
        }
        let mut says = self.says.lock().expect("sound");
        let texts = says.entry(target.id.to_string()).or_default();
        let text = if texts.len() > 1 { texts.pop_front() } else { texts.front().cloned() };
        let answer = text.unwrap_or(Ok(String::new())).map(|text| Some(text.into_bytes()));
        Box::pin(std::future::ready(answer))
    }
}

#[derive(Debug, Default)]
struct Board(StdMutex<HashMap<String, PinnedKey>>);

impl Board {
    fn blob(&self, id: &str) -> Option<Vec<u8>> {
        self.0.lock().expect("sound").get(id).map(|pin| pin.key_blob.clone())
    }

    fn len(&self) -> usize {
        self.0.lock().expect("sound").len()
    }
}

impl PinBoard for Board {
    fn pin<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Option<PinnedKey>, PinError>> {
        let pin = self.0.lock().expect("sound").get(target.id.as_str()).cloned();
        Box::pin(std::future::ready(Ok(pin)))
    }

    fn remember<'a>(
        &'a self,
        target: &'a Target,
        key_blob: &'a [u8],
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        let pin = PinnedKey {
            key_type: "ssh-ed25519".to_owned(),
            key_blob: key_blob.to_vec(),
            fingerprint: Fingerprint::of_blob(key_blob),
            vouched_by,
            pinned_at: now,
            launch_time: target.launch_time,
            image: None,
        };
        let mut pins = self.0.lock().expect("sound");
        let held = pins.entry(target.id.to_string()).or_insert(pin).clone();
        Box::pin(std::future::ready(Ok(held)))
    }

    fn replace<'a>(
        &'a self,
        target: &'a Target,
        _: &'a PinnedKey,
        key_blob: &'a [u8],
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        self.remember(target, key_blob, vouched_by, now)
    }

    fn seen<'a>(&'a self, _: &'a Target, _: Timestamp) -> BoxFuture<'a, Result<(), PinError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What was put on record: the ids.
#[derive(Debug, Default)]
struct OnRecord(StdMutex<Vec<String>>);

impl PinLedger for OnRecord {
    fn pinned<'a>(&'a self, target: &'a Target, pin: &'a PinnedKey) -> BoxFuture<'a, ()> {
        assert_eq!(pin.vouched_by, PinVoucher::Console);
        self.0.lock().expect("sound").push(target.id.to_string());
        Box::pin(std::future::ready(()))
    }
}

struct Field {
    ledger: Arc<OnRecord>,
    consoles: Arc<Consoles>,
    pins: Arc<Board>,
    inventory: Inventory,
    clock: Arc<HandSetClock>,
    stop: CancellationToken,
    running: Option<tokio::task::JoinHandle<()>>,
}

impl Field {
    /// Lists of instances, of which the first was refreshed.
    async fn of(lists: Vec<Vec<Target>>) -> Self {
        let source = FakeSource::new(a_place("prod", "eu-west-1"), lists.into_iter().map(Ok));
        let clock = HandSetClock::at(START);
        let sources = vec![Arc::new(source) as Arc<dyn Source>];
        let settings = crate::target::Settings::default();
        let inventory = Inventory::new(sources, settings, Arc::clone(&clock) as SharedClock);
        inventory.first_refresh().await;
        let (ledger, consoles, pins) = (Arc::default(), Arc::default(), Arc::default());
        Self { ledger, consoles, pins, inventory, clock, stop: CancellationToken::new(), running: None }
    }

    fn harvest(&mut self) {
        let harvest = Harvest {
            inventory: self.inventory.clone(),
            chain: Chain { order: HostKeyVoucher::ALL.to_vec(), tag: "key".to_owned(), ..Chain::default() },
            consoles: Arc::clone(&self.consoles) as _,
            pins: Arc::clone(&self.pins) as _,
            ledger: Arc::clone(&self.ledger) as _,
            clock: Arc::clone(&self.clock) as _,
            settings: HarvestSettings::default(),
        };
        self.running = Some(tokio::spawn(harvest.run(self.stop.clone())));
    }

    /// Lets so much time pass, for the clock too.
    async fn wait(&self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.clock.advance(Duration::from_secs(1));
        }
    }
}

fn id(number: u8) -> String {
    target("x", number).id.to_string()
}

fn young(number: u8) -> Target {
    Target { launch_time: Some(START.parse().expect("a time")), ..target("new", number) }
}

fn console(key: &KeyFiles) -> Result<String, ConsoleFault> {
    Ok(format!("-----BEGIN SSH HOST KEY KEYS-----\n{}\n-----END SSH HOST KEY KEYS-----\n", key.line))
}

fn silent() -> Result<String, ConsoleFault> {
    Ok("booting\n".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_is_looked_after_until_its_keys_are_there() {
    let key = Workshop::new().ed25519("web");
    let mut field = Field::of(vec![vec![young(1)]]).await;
    field.consoles.say(&id(1), [silent(), silent(), console(&key)]);
    field.harvest();
    field.wait(10).await;
    assert_eq!((field.consoles.reads(), field.pins.len()), (1, 0));
    field.wait(60).await;
    assert_eq!(field.pins.blob(&id(1)), Some(key.blob));
    let reads = field.consoles.reads();
    field.wait(600).await;
    assert_eq!(field.consoles.reads(), reads, "what is pinned is left alone");
    assert_eq!(*field.ledger.0.lock().expect("sound"), [id(1)], "on record, once");
    field.stop.cancel();
    field.running.expect("it runs").await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_old_instance_is_looked_after_once_and_a_silent_young_one_not_for_ever() {
    let mut field = Field::of(vec![vec![target("old", 1), young(2)]]).await;
    field.harvest();
    field.wait(2 * 60 * 60).await;
    let reads = field.consoles.reads.lock().expect("sound").clone();
    let of = |number| reads.iter().filter(|read| **read == id(number)).count();
    assert_eq!(of(1), 1);
    assert!((5..=usize::try_from(LOOKS_MAX).expect("small")).contains(&of(2)), "{}", of(2));
}

#[tokio::test(start_paused = true)]
async fn instances_that_come_later_are_found_and_those_that_are_gone_are_let_go() {
    let key = Workshop::new().ed25519("web");
    let stopped = Target { state: "stopped".to_owned(), ..young(3) };
    let windows = Target { platform: "Windows".to_owned(), ..young(4) };
    let tagged = Target { tags: [("key".to_owned(), "x".to_owned())].into(), ..young(5) };
    let first = vec![young(1), stopped, windows, tagged];
    let mut field = Field::of(vec![first, vec![young(2)]]).await;
    field.consoles.say(&id(2), [console(&key)]);
    field.harvest();
    field.wait(5).await;
    assert_eq!(*field.consoles.reads.lock().expect("sound"), [id(1)]);
    field.inventory.first_refresh().await;
    field.wait(300).await;
    assert_eq!(field.pins.blob(&id(2)), Some(key.blob));
    assert_eq!(*field.consoles.reads.lock().expect("sound"), [id(1), id(2)], "the first one is gone");
}

#[tokio::test(start_paused = true)]
async fn a_place_in_which_consoles_may_not_be_read_is_left_alone_for_a_while() {
    let key = Workshop::new().ed25519("web");
    let mut field = Field::of(vec![(1..=20).map(young).collect()]).await;
    for number in 1..=20 {
        field.consoles.say(&id(number), [console(&key)]);
    }
    field.consoles.denied.store(true, Ordering::SeqCst);
    field.harvest();
    field.wait(300).await;
    let reads = field.consoles.reads();
    assert!((1..=HarvestSettings::default().at_once).contains(&reads), "{reads}");
    field.consoles.denied.store(false, Ordering::SeqCst);
    field.wait(400).await;
    assert_eq!(field.pins.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn faults_are_tried_again_contradictions_are_not() {
    let workshop = Workshop::new();
    let (key, other) = (workshop.ed25519("web"), workshop.ed25519("other"));
    let mut field = Field::of(vec![vec![target("old", 1), young(2)]]).await;
    field.consoles.say(&id(1), [Err(ConsoleFault::Throttled("slow".to_owned())), console(&key)]);
    let both = format!("{}{}", console(&key).expect("text"), console(&other).expect("text"));
    field.consoles.say(&id(2), [Ok(both)]);
    field.harvest();
    field.wait(600).await;
    assert_eq!(field.pins.blob(&id(1)), Some(key.blob));
    assert_eq!(field.pins.blob(&id(2)), None);
    assert_eq!(field.consoles.reads(), 3);
}
