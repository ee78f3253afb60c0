//! `doctor`: would a session to an instance come about, and if not, why?
//!
//! AWS's facts of both machines and of the network between, as a checklist, and the bastion's own try of the port beside
//! them: AWS's answers alone never prove that packets arrive. What always holds: nothing is asked of AWS or of the
//! machine before policy has permitted to `diagnose` it and that is on record, and nothing is answered before what came of it
//! is, too. What is not theirs reads like what is not there.
//!
//! What is not here: the checks (`diagnose`), gathering facts (`aws`), the bastion's own health (`drawbridge doctor` without
//! an instance).

mod below;
mod json;
mod tell;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use below::cause_told;

use super::Desk;
use super::answer::{Answer, Verdict as AnswerVerdict};
use super::args::{DoctorArgs, senseless};
use super::explain::best_login;
use super::find::find;
use super::text::shown;
use crate::audit::Event;
use crate::diagnose::{Diagnosis, Facts, Surveyor, Symptom, Verdict, diagnose_login, diagnose_reached};
use crate::domain::{Action, FailureClass, Login, Target};
use crate::policy::{Permit, Question};
use crate::upstream::{self, Connector, UpstreamError, probe_for_operator};

/// The most time that AWS is given for a whole checklist.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most time that a machine is given to take a connection, and as much again to exchange keys.
const PROBE: Duration = Duration::from_secs(2);
/// The state of an instance whose port is worth trying.
const RUNNING: &str = "running";
/// How much longer than it was told to a survey may take.
const GRACE: Duration = Duration::from_millis(500);

/// What it takes to say why an instance cannot be reached.
#[derive(Debug, Clone)]
pub struct Clinic {
    /// Gathers the facts.
    pub surveyor: Arc<dyn Surveyor>,
    /// Tries the port.
    pub probe: Probe,
    /// How long AWS is given for one line beside another answer.
    pub patience: Duration,
    /// Where permits and diagnoses are put on record.
    pub ledger: Arc<dyn Ledger>,
}

/// How the port of an instance is tried.
#[derive(Debug, Clone)]
pub enum Probe {
    /// By the daemon's connector, with the permit.
    With(Connector),
    /// On the command line of the bastion's own machine.
    AsOperator(upstream::Settings),
    /// It is not.
    Not,
}

/// Puts events on record.
pub trait Ledger: Send + Sync + std::fmt::Debug {
    /// Whether the event is durable; what it is about must not happen otherwise.
    fn record<'a>(&'a self, event: Event) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}

/// Nothing is on record: what whoever runs drawbridge asks on its own command line.
#[derive(Debug, Clone, Copy)]
pub struct OffTheRecord;

impl Ledger for OffTheRecord {
    fn record<'a>(&'a self, _: Event) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(true))
    }
}

/// What was found out about one instance.
#[derive(Debug)]
struct Examined {
    target: Arc<Target>,
    login: Option<Login>,
    /// What came of trying the port; nothing where it was not tried.
    tried: Option<Result<(), UpstreamError>>,
    diagnosis: Diagnosis,
    took: Duration,
}

impl Examined {
    fn class(&self) -> Option<FailureClass> {
        self.tried.as_ref()?.as_ref().err().map(UpstreamError::class)
    }

    fn is_sick(&self) -> bool {
        self.class().is_some() || self.diagnosis.checks.iter().any(|check| check.verdict == Verdict::Broken)
    }

    fn answer(&self, json: bool) -> Answer {
        let text = if json { json::json(self) } else { tell::checklist(self) };
        let verdict = if self.is_sick() { AnswerVerdict::No } else { AnswerVerdict::Yes };
        Answer { verdict, ..Answer::text(text) }
    }
}

/// `doctor`, as policy lets them ask.
pub(super) async fn answer(desk: &Desk, args: &DoctorArgs) -> Answer {
    let found = find(&desk.inventory, &desk.policy, &desk.identity, &args.target, desk.now).await;
    let target = match found.target(&args.target) {
        Ok(target) => target,
        Err(sentence) => return Answer::no(&sentence),
    };
    let Some(clinic) = &desk.clinic else { return Answer::no(NOT_HERE) };
    let Some(login) = args.login.clone().or_else(|| best_login(desk, &target, &Action::Diagnose)) else {
        return senseless("policy names no login for you there; say which one with --login.");
    };
    match permit(desk, clinic, &target, &login).await {
        Asked::May(permit) => clinic
            .see(&permit)
            .await
            .map_or_else(|| Answer::no(UNRECORDED), |examined| examined.answer(args.json)),
        Asked::MayNot => Answer::no(&format!(
            "policy does not let you ask why {} cannot be reached as \"{login}\"; ask whoever manages your access if \
             you need to.",
            shown(target.display_name())
        )),
        Asked::Unrecorded => Answer::no(UNRECORDED),
    }
}

/// The checklist of an instance for whoever runs drawbridge, who may see everything.
pub async fn doctor_for_operator(
    clinic: &Clinic,
    target: &Arc<Target>,
    login: Option<Login>,
    json: bool,
) -> Answer {
    clinic.examine(target, login, None).await.answer(json)
}

/// One line for somebody who may do something there: would the packets arrive? Nothing for those who may not ask.
pub(super) async fn line_about(desk: &Desk, target: &Arc<Target>, login: &Login) -> Option<String> {
    let clinic = desk.clinic.as_ref().filter(|clinic| !clinic.patience.is_zero())?;
    let permit = decide(desk, target, login).ok()?;
    if !clinic.ledger.record(Event::permitted(&permit)).await {
        return None;
    }
    let begun = Instant::now();
    let facts = clinic.survey(target, clinic.patience).await?;
    let diagnosis = diagnose_login(&facts, None, Some(login));
    let diagnosed = Event::diagnosed(&permit, None, &diagnosis, begun.elapsed());
    clinic.ledger.record(diagnosed).await.then(|| tell::line(&diagnosis, target))
}

/// The same line for whoever runs drawbridge; nothing where AWS is not to be asked.
pub async fn packets_for_operator(clinic: &Clinic, target: &Arc<Target>, login: &Login) -> Option<String> {
    if clinic.patience.is_zero() {
        return None;
    }
    let facts = clinic.survey(target, clinic.patience).await?;
    Some(tell::line(&diagnose_login(&facts, None, Some(login)), target))
}

const NOT_HERE: &str =
    "why an instance cannot be reached cannot be asked here; ask your drawbridge operator.";
const UNRECORDED: &str = "drawbridge cannot write its audit trail and therefore looks at nothing; please tell your drawbridge operator.";

enum Asked {
    May(Permit),
    MayNot,
    Unrecorded,
}

fn decide(desk: &Desk, target: &Arc<Target>, login: &Login) -> Result<Permit, Box<Event>> {
    let action = &Action::Diagnose;
    let question = Question { identity: &desk.identity, target, login, action, now: desk.now };
    desk.policy.decide(&question).map_err(|refusal| Box::new(Event::refused(&question, &refusal)))
}

/// Decides, and puts the decision on record.
async fn permit(desk: &Desk, clinic: &Clinic, target: &Arc<Target>, login: &Login) -> Asked {
    let (asked, event) = match decide(desk, target, login) {
        Ok(permit) => {
            let event = Event::permitted(&permit);
            (Asked::May(permit), event)
        }
        Err(refused) => (Asked::MayNot, *refused),
    };
    if clinic.ledger.record(event).await { asked } else { Asked::Unrecorded }
}

impl Clinic {
    /// Examines the permit's target; nothing where that cannot be put on record.
    async fn see(&self, permit: &Permit) -> Option<Examined> {
        let examined = self.examine(permit.target(), Some(permit.login().clone()), Some(permit)).await;
        let event = Event::diagnosed(permit, examined.class(), &examined.diagnosis, examined.took);
        self.ledger.record(event).await.then_some(examined)
    }

    async fn examine(&self, target: &Arc<Target>, login: Option<Login>, permit: Option<&Permit>) -> Examined {
        let begun = Instant::now();
        let (facts, tried) = tokio::join!(self.survey(target, PATIENCE), self.probe(target, permit));
        let facts = facts.unwrap_or_else(|| tell::nothing_known(target));
        // It may have been stopped since the inventory was read; that nothing answered says nothing then.
        let runs = facts.instance.get().is_none_or(|instance| instance.state == RUNNING);
        let tried = tried.filter(|_| runs);
        let class = tried.as_ref().and_then(|tried| tried.as_ref().err()).map(UpstreamError::class);
        let symptom = class.map(|class| Symptom { class, login: login.clone() });
        let diagnosis = match tried {
            Some(Ok(())) => diagnose_reached(&facts, login.as_ref()),
            Some(Err(_)) | None => diagnose_login(&facts, symptom.as_ref(), login.as_ref()),
        };
        Examined { target: Arc::clone(target), login, tried, diagnosis, took: begun.elapsed() }
    }

    async fn probe(&self, target: &Target, permit: Option<&Permit>) -> Option<Result<(), UpstreamError>> {
        if target.state != RUNNING {
            return None;
        }
        match (&self.probe, permit) {
            (Probe::With(connector), Some(permit)) => Some(connector.probe(permit, PROBE).await),
            (Probe::AsOperator(settings), _) => Some(probe_for_operator(target, settings, PROBE).await),
            (Probe::With(_), None) | (Probe::Not, _) => None,
        }
    }

    /// The facts, where they come in time.
    async fn survey(&self, target: &Arc<Target>, patience: Duration) -> Option<Facts> {
        let survey = self.surveyor.survey(target, patience);
        tokio::time::timeout(patience + GRACE, survey).await.ok()
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
