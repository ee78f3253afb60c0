//! Targets and a source made by hand.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::source::{Place, Source, SourceError, SourceErrorKind};
use crate::domain::{InstanceId, Target, TargetRef};
use crate::tasks::BoxFuture;

/// A running instance named `name`; `number` makes its id and its address `10.0.0.number`.
pub(crate) fn target(name: &str, number: u8) -> Target {
    Target {
        id: InstanceId::parse(&format!("i-0000000000000{number:04x}")).expect("an id"),
        name: Some(name.to_owned()),
        account: "123456789012".to_owned(),
        account_alias: "prod".to_owned(),
        region: "eu-west-1".to_owned(),
        availability_zone: "eu-west-1a".to_owned(),
        vpc: "vpc-1".to_owned(),
        subnet: "subnet-1".to_owned(),
        image: "ami-1".to_owned(),
        image_name: Some("al2023-ami-2023".to_owned()),
        platform: "Linux/UNIX".to_owned(),
        private_ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)),
        other_ips: Vec::new(),
        private_dns: Some(format!("ip-10-0-0-{number}.eu-west-1.compute.internal")),
        launch_time: None,
        port: 22,
        state: "running".to_owned(),
        tags: BTreeMap::new(),
    }
}

pub(crate) fn place(account_alias: &str, region: &str) -> Place {
    Place { account_alias: account_alias.to_owned(), region: region.to_owned() }
}

/// What a fake source answers.
pub(crate) type Answer = Result<Vec<Target>, SourceErrorKind>;

/// A source that answers what it was told, counts how often it was asked, and can be held shut.
#[derive(Debug)]
pub(crate) struct FakeSource {
    place: Place,
    lists: Mutex<VecDeque<Answer>>,
    lookup: Mutex<Answer>,
    gate: Semaphore,
    pub(crate) list_calls: AtomicUsize,
    pub(crate) lookup_calls: AtomicUsize,
}

impl FakeSource {
    /// A source whose lists are answered in turn, the last one again and again.
    pub(crate) fn new(place: Place, lists: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            place,
            lists: Mutex::new(lists.into_iter().collect()),
            lookup: Mutex::new(Ok(Vec::new())),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            list_calls: AtomicUsize::new(0),
            lookup_calls: AtomicUsize::new(0),
        }
    }

    pub(crate) fn answer_lookups(&self, answer: Answer) {
        *self.lookup.lock().expect("not poisoned") = answer;
    }

    /// No look-up is answered until [`Self::open`].
    pub(crate) fn shut(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn open(&self) {
        self.gate.add_permits(1_000);
    }

    pub(crate) fn lookups(&self) -> usize {
        self.lookup_calls.load(Ordering::SeqCst)
    }
}

fn failed(kind: SourceErrorKind) -> SourceError {
    SourceError::new(kind, "the fake source was told to fail")
}

impl Source for FakeSource {
    fn place(&self) -> &Place {
        &self.place
    }

    fn list(&self, _at_most: usize) -> BoxFuture<'_, Result<Vec<Target>, SourceError>> {
        self.list_calls.fetch_add(1, Ordering::SeqCst);
        let mut lists = self.lists.lock().expect("not poisoned");
        let last = lists.len() <= 1;
        let answer = if last { lists.front().cloned() } else { lists.pop_front() };
        Box::pin(async move { answer.unwrap_or(Ok(Vec::new())).map_err(failed) })
    }

    fn lookup<'a>(&'a self, _wanted: &'a TargetRef) -> BoxFuture<'a, Result<Vec<Target>, SourceError>> {
        self.lookup_calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let _open = self.gate.acquire().await;
            self.lookup.lock().expect("not poisoned").clone().map_err(failed)
        })
    }
}
