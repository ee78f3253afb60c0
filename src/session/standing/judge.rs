//! Seats → findings: which permits do not hold any more, and why. Nothing is done about it here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::{Services, sentences};
use super::Scope;
use super::claim::{Claimed, Role, Seat};
use crate::audit::{Event, Text};
use crate::auth::AuthFailure;
use crate::domain::{ActionKind, Destination, Ending, Identity, RecordMode, Target, TargetRef};
use crate::policy::{
    Again, ConnectPermit, ConnectQuestion, Limits, Permit, Question, Refusal, RefusalReason, RuleId,
};
use crate::target::{Gone, Presence, Resolution};

/// A permit that does not hold any more.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) seat: Arc<Seat>,
    why: Why,
    /// For the record: what permitted it, and what does not any more.
    pub(super) detail: String,
}

/// Why a permit does not hold.
#[derive(Debug)]
enum Why {
    /// The user, their key or its CA is gone or revoked.
    Withdrawn,
    /// Policy refuses, by this decision.
    Refused(Box<Event>),
    /// The machine is gone.
    Replaced,
    /// It has to be recorded from here on.
    Unrecorded,
}

impl Finding {
    fn new(seat: &Arc<Seat>, why: Why, because: &str) -> Self {
        let detail = match seat.claimed().rules() {
            [] => because.to_owned(),
            rules => format!("permitted by {}; {because}", names(rules)),
        };
        Self { seat: Arc::clone(seat), why, detail }
    }

    /// What tells one reason from another of the same session.
    pub(super) fn what(&self) -> String {
        match &self.why {
            Why::Withdrawn => "withdrawn".to_owned(),
            Why::Replaced => "replaced".to_owned(),
            Why::Unrecorded => "unrecorded".to_owned(),
            Why::Refused(event) => format!("{event:?}"),
        }
    }

    /// The line about it; none of a connection, whose own ending says why.
    pub(super) fn event(&self) -> Option<Event> {
        let kind = match self.seat.claimed() {
            Claimed::Work(permit) => permit.action().kind(),
            Claimed::Connect(_) => ActionKind::Connect,
            Claimed::Presence => return None,
        };
        let refused = |reason: &str| Event::ChannelRefused {
            requested: Text::from(kind.name()),
            reason: Text::from(reason),
        };
        Some(match &self.why {
            Why::Refused(event) => Event::clone(event),
            Why::Withdrawn => refused("access-withdrawn"),
            Why::Replaced => refused("target-replaced"),
            Why::Unrecorded => refused("not-recorded"),
        })
    }

    /// Its turn among those that end at once: the session before its channels, so that whoever sees a channel end knows
    /// whether its session does; the connection last, for what it carries would end as if the client had left.
    pub(super) fn turn(&self) -> (u8, u64) {
        let role = match self.seat.role() {
            Role::Session => 0,
            Role::Work | Role::Beside => 1,
            Role::Connection => 2,
        };
        (role, self.seat.number())
    }

    /// Ends what the permit was for.
    pub(super) fn give_order(&self) {
        let order = match &self.why {
            Why::Withdrawn => (Ending::PermissionEnded, sentences::WITHDRAWN),
            Why::Refused(_) => (Ending::PermissionEnded, sentences::PERMISSION_ENDED),
            Why::Replaced => (Ending::TargetReplaced, sentences::TARGET_REPLACED),
            Why::Unrecorded => (Ending::PermissionEnded, sentences::TO_BE_RECORDED),
        };
        self.seat.note_detail(&self.detail);
        self.seat.give_order(order);
    }
}

fn names(rules: &[RuleId]) -> String {
    rules.iter().map(|rule| rule.0.as_str()).collect::<Vec<_>>().join(", ")
}

/// Asks about those of the seats that are concerned, as everything is now. A session's own permit that does not hold is
/// no finding while another of its permits does.
pub(super) fn findings(services: &Services, seats: &[Arc<Seat>], scope: Scope) -> Vec<Finding> {
    let policy = services.policy.current();
    let now = services.clock.now();
    let mut judge = Judge {
        services,
        now,
        again: policy.again(now),
        identities: HashMap::new(),
        machines: HashMap::new(),
        answers: HashMap::new(),
        unsure: false,
    };
    let mut found = Vec::new();
    for seat in seats.iter().filter(|seat| !seat.has_order() && scope.concerns(seat)) {
        found.extend(judge.look_at(seat));
    }
    let fallen: HashSet<u64> = found.iter().map(|finding| finding.seat.number()).collect();
    let goes_on = |seat: &&Arc<Seat>| {
        seat.role() == Role::Work && !seat.has_order() && !fallen.contains(&seat.number())
    };
    let carried: HashSet<_> = seats.iter().filter(goes_on).map(|seat| seat.whole()).collect();
    found.retain(|finding| {
        let stays = finding.seat.role() == Role::Session && carried.contains(&finding.seat.whole());
        if stays {
            // Whether it stays the only one is to be looked at again.
            finding.seat.set_due(true);
        }
        !stays
    });
    found
}

/// Everything as it is at one instant, each part of it looked at once.
struct Judge<'a> {
    services: &'a Services,
    now: Timestamp,
    again: Again<'a>,
    /// By the place of the guest in memory: seats keep theirs alive.
    identities: HashMap<usize, Result<Arc<Identity>, AuthFailure>>,
    /// By the place in memory of the machine that was decided about, and when.
    machines: HashMap<(usize, Timestamp), Presence>,
    /// Of a session's questions: the same one is often asked by several seats.
    answers: HashMap<(usize, usize, String), Answered>,
    /// Whether no copy was new enough for the machine of the seat that is looked at.
    unsure: bool,
}

/// Whether a question has a good answer, and what is known then.
#[derive(Debug, Clone)]
struct Answered {
    decision: Result<Limits, Refused>,
    depends_on_time: bool,
}

#[derive(Debug, Clone)]
struct Refused {
    event: Event,
    because: String,
}

impl Judge<'_> {
    fn look_at(&mut self, seat: &Arc<Seat>) -> Option<Finding> {
        let identity = match self.identity(seat) {
            Ok(identity) => identity,
            Err(why) => {
                let because = format!("access was withdrawn since: {why}");
                return Some(Finding::new(seat, Why::Withdrawn, &because));
            }
        };
        self.unsure = false;
        let answered = match seat.claimed() {
            Claimed::Work(permit) => self.work(&identity, permit),
            Claimed::Connect(permit) => self.connect(&identity, permit),
            Claimed::Presence => {
                seat.set_due(false);
                return None;
            }
        };
        seat.set_unsure(self.unsure);
        let answered = match answered {
            Ok(answered) => answered,
            Err(gone) => return Some(Finding::new(seat, Why::Replaced, &gone.to_string())),
        };
        seat.set_due(answered.depends_on_time);
        match answered.decision {
            Ok(limits) => {
                seat.tighten(&limits);
                let wanted = self.services.recorders.mode(&limits) == RecordMode::Required;
                (wanted && seat.recorded() == Some(RecordMode::Off))
                    .then(|| Finding::new(seat, Why::Unrecorded, "it has to be recorded since, and is not"))
            }
            Err(Refused { event, because }) => {
                Some(Finding::new(seat, Why::Refused(Box::new(event)), &because))
            }
        }
    }

    fn identity(&mut self, seat: &Seat) -> Result<Arc<Identity>, AuthFailure> {
        let guest = seat.guest();
        let place = Arc::as_ptr(guest).addr();
        self.identities.entry(place).or_insert_with(|| guest.as_of_now(self.services)).clone()
    }

    /// The machine as it is known to be now.
    fn machine(&mut self, known: &Arc<Target>, since: Timestamp) -> Result<Arc<Target>, Gone> {
        let presence = self
            .machines
            .entry((Arc::as_ptr(known).addr(), since))
            .or_insert_with(|| self.services.inventory.presence(known, since));
        self.unsure |= *presence == Presence::Unsure;
        match presence {
            Presence::Here(target) => Ok(Arc::clone(target)),
            Presence::Unsure => Ok(Arc::clone(known)),
            Presence::Gone(gone) => Err(gone.clone()),
        }
    }

    fn work(&mut self, identity: &Arc<Identity>, permit: &Permit) -> Result<Answered, Gone> {
        let target = self.machine(permit.target(), permit.decided_at())?;
        let question = format!("{:?} {:?}", permit.login(), permit.action());
        let key = (Arc::as_ptr(identity).addr(), Arc::as_ptr(&target).addr(), question);
        if let Some(answered) = self.answers.get(&key) {
            return Ok(answered.clone());
        }
        let (login, action) = (permit.login(), permit.action());
        let answer = self.again.decide(identity, &target, login, action);
        let question = Question { identity, target: &target, login, action, now: self.now };
        let answered = Answered {
            decision: answer.decision.map(|permit| *permit.limits()).map_err(|refusal| Refused {
                event: Event::refused(&question, &refusal),
                because: because(&refusal),
            }),
            depends_on_time: answer.depends_on_time,
        };
        self.answers.insert(key, answered.clone());
        Ok(answered)
    }

    fn connect(&mut self, identity: &Arc<Identity>, permit: &ConnectPermit) -> Result<Answered, Gone> {
        let mut together = Answered { decision: Ok(*permit.limits()), depends_on_time: false };
        for destination in self.destinations(permit)? {
            let answer = self.again.decide_connect(identity, &destination);
            together.depends_on_time |= answer.depends_on_time;
            let question = ConnectQuestion { identity, destination: &destination, now: self.now };
            match (answer.decision, &mut together.decision) {
                (Ok(permit), Ok(limits)) => *limits = limits.and(permit.limits()),
                (Err(refusal), decision @ Ok(_)) => {
                    let event = Event::connect_refused(&question, &refusal);
                    *decision = Err(Refused { event, because: because(&refusal) });
                }
                (Ok(_) | Err(_), Err(_)) => {}
            }
        }
        Ok(together)
    }

    /// The place as it is now; an address that was nobody's may have become some instance's.
    fn destinations(&mut self, permit: &ConnectPermit) -> Result<Vec<Destination>, Gone> {
        let place = permit.destination();
        let at = |instance: Option<Arc<Target>>| Destination { instance, ..place.clone() };
        if let Some(instance) = &place.instance {
            let instance = self.machine(instance, permit.decided_at())?;
            // An address that is not the first of its machine may be another's since.
            if instance.addresses().any(|address| address == place.address.to_canonical()) {
                return Ok(vec![at(Some(instance))]);
            }
        }
        let owners = match TargetRef::parse(&place.address.to_string()) {
            Ok(address) => self.services.inventory.known(&address),
            Err(_) => Resolution::Unknown,
        };
        Ok(match owners {
            Resolution::Found(owner) => vec![at(Some(owner))],
            Resolution::Ambiguous(owners) => owners.into_iter().map(|owner| at(Some(owner))).collect(),
            Resolution::Unknown | Resolution::Unavailable => vec![at(None)],
        })
    }
}

/// Why policy refuses, for the record.
fn because(refusal: &Refusal) -> String {
    match refusal.reason {
        RefusalReason::NoRulePermits => "no rule permits it any more".to_owned(),
        RefusalReason::Forbidden => format!("forbidden by {}", names(&refusal.rules)),
        RefusalReason::EvaluationFailed => "a rule fails".to_owned(),
    }
}
