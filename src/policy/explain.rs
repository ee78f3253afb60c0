//! Why a decision is what it is, for operators: `drawbridge policy explain`.

use std::fmt;
use std::net::IpAddr;

use cedar_policy::{Authorizer, Decision, PolicyId, PolicySet, Request};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::Policy;
use super::connect::ConnectQuestion;
use super::decide::Verdict;
use super::depth;
use super::facts::{FactsError, Scene};
use super::permit::{Limits, Question, RefusalReason};
use super::rule::Rule;
use crate::domain::{Action, ActionKind, Identity, InstanceId, Login, UserName};

/// The most rules shown as near misses.
const NEAR_MISSES_MAX: usize = 10;

/// A decision with its reasons. [`fmt::Display`] is the text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Who asked.
    pub user: UserName,
    /// The groups they are in.
    pub groups: Vec<String>,
    /// From where.
    pub client_addr: IpAddr,
    /// How they proved who they are: `publickey` or `certificate`.
    pub auth_method: &'static str,
    /// What was asked about.
    #[serde(flatten)]
    pub about: Explained,
    /// When.
    pub time: Timestamp,
    /// What was decided.
    pub outcome: Outcome,
    /// The rules that decided, in the policy's order.
    pub rules: Vec<Rule>,
    /// What Cedar said while evaluating.
    pub errors: Vec<String>,
    /// Where no rule permits: the permit rules about this user, and what keeps each from matching.
    pub near_misses: Vec<NearMiss>,
}

/// What was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Explained {
    /// Something on a machine.
    Action {
        /// The machine's name.
        target: String,
        /// The machine.
        target_id: InstanceId,
        /// As which OS user.
        login: Login,
        /// What they want to do.
        #[serde(flatten)]
        action: Action,
    },
    /// That the bastion connects somewhere.
    Connect {
        /// Always `connect`.
        action: ActionKind,
        /// The name of the machine that has the address, where it is an instance's.
        target: Option<String>,
        /// That machine.
        target_id: Option<InstanceId>,
        /// The host as the client named it.
        host: String,
        /// The address that is dialled.
        address: IpAddr,
        /// The port.
        port: u16,
    },
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is permitted.
    Permitted {
        /// Within these limits.
        limits: Limits,
    },
    /// It is refused.
    Refused {
        /// Why.
        reason: RefusalReason,
    },
}

/// A permit rule about the user that did not match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The rule.
    pub rule: Rule,
    /// What kept it from matching; never empty.
    pub misses: Vec<Miss>,
}

/// One thing that keeps a rule from matching.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "condition", rename_all = "kebab-case")]
pub enum Miss {
    /// The rule is about other actions.
    Action,
    /// The rule is about other machines.
    Target,
    /// This part of a `when` does not hold.
    When(String),
    /// This `unless` holds.
    Unless(String),
}

impl Policy {
    /// Decides like [`Policy::decide`], and says why. Makes no permit.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let about = Explained::Action {
            target: question.target.display_name().to_owned(),
            target_id: question.target.id.clone(),
            login: question.login.clone(),
            action: question.action.clone(),
        };
        let asked = || {
            let scene = Scene::new(&self.vocabulary, question.identity, question.target)?;
            let request = scene.request(question.login, question.action, question.now)?;
            Ok((scene, request))
        };
        self.explained(Explanation::unanswered(question.identity, question.now, about), asked())
    }

    /// Decides like [`Policy::decide_connect`], and says why. Makes no permit.
    #[must_use]
    pub fn explain_connect(&self, question: &ConnectQuestion<'_>) -> Explanation {
        let destination = question.destination;
        let about = Explained::Connect {
            action: ActionKind::Connect,
            target: destination.instance.as_deref().map(|target| target.display_name().to_owned()),
            target_id: destination.instance.as_deref().map(|target| target.id.clone()),
            host: destination.host.clone(),
            address: destination.address,
            port: destination.port,
        };
        let asked = || {
            let scene = Scene::of_destination(&self.vocabulary, question.identity, destination)?;
            let request = scene.connect_request(destination, question.now)?;
            Ok((scene, request))
        };
        self.explained(Explanation::unanswered(question.identity, question.now, about), asked())
    }

    fn explained(
        &self,
        mut explanation: Explanation,
        asked: Result<(Scene<'_>, Request), FactsError>,
    ) -> Explanation {
        match asked {
            Ok((scene, request)) => {
                explanation.take(self.ask(&scene, &request));
                if explanation.outcome == (Outcome::Refused { reason: RefusalReason::NoRulePermits }) {
                    let near_misses = || self.near_misses(&scene, &request);
                    explanation.near_misses = depth::with_room(self.levels, near_misses);
                }
            }
            Err(error) => explanation.errors = vec![error.to_string()],
        }
        explanation
    }

    fn near_misses(&self, scene: &Scene<'_>, request: &Request) -> Vec<NearMiss> {
        let mut found: Vec<NearMiss> = self
            .permit_rules()
            .filter_map(|rule| {
                let json = self.set.policy(&PolicyId::new(&rule.id.0))?.to_json().ok()?;
                let misses = misses(&json, scene, request)?;
                (!misses.is_empty()).then(|| NearMiss { rule: rule.clone(), misses })
            })
            .collect();
        found.sort_by_key(|near| near.misses.len());
        found.truncate(NEAR_MISSES_MAX);
        found
    }
}

impl Explanation {
    fn unanswered(identity: &Identity, now: Timestamp, about: Explained) -> Self {
        Self {
            user: identity.user.clone(),
            groups: identity.groups.clone(),
            client_addr: identity.client_addr,
            auth_method: identity.auth.name(),
            about,
            time: now,
            outcome: Outcome::Refused { reason: RefusalReason::EvaluationFailed },
            rules: Vec::new(),
            errors: Vec::new(),
            near_misses: Vec::new(),
        }
    }

    fn take(&mut self, verdict: Verdict<'_>) {
        self.outcome = if verdict.permits() {
            Outcome::Permitted { limits: verdict.limits() }
        } else {
            Outcome::Refused { reason: verdict.refusal_reason() }
        };
        self.rules = verdict.rules.into_iter().cloned().collect();
        self.errors = verdict.errors;
    }
}

/// What keeps a rule, in Cedar's JSON form, from matching; nothing when it is about other people.
fn misses(rule: &Value, scene: &Scene<'_>, request: &Request) -> Option<Vec<Miss>> {
    let holds = |part: &Part| part.holds(scene, request);
    if !holds(&Part::scope("principal", rule)?) {
        return None;
    }
    let mut misses = Vec::new();
    if !holds(&Part::scope("action", rule)?) {
        misses.push(Miss::Action);
    }
    if !holds(&Part::scope("resource", rule)?) {
        misses.push(Miss::Target);
    }
    for condition in rule.get("conditions")?.as_array()? {
        let body = condition.get("body")?;
        if condition.get("kind")?.as_str()? == "unless" {
            let part = Part::condition(body);
            misses.extend(holds(&part).then(|| Miss::Unless(part.text())));
        } else {
            // A conjunct may rely on the ones before it, so only the first that fails says anything.
            let failing = conjuncts(body).into_iter().map(Part::condition).find(|part| !holds(part));
            misses.extend(failing.map(|part| Miss::When(part.text())));
        }
    }
    Some(misses)
}

fn conjuncts(body: &Value) -> Vec<&Value> {
    match body.get("&&").map(|operands| (operands.get("left"), operands.get("right"))) {
        Some((Some(left), Some(right))) => [conjuncts(left), conjuncts(right)].concat(),
        Some(_) | None => vec![body],
    }
}

/// One part of a rule, as a rule of its own.
pub(super) struct Part(Value);

impl Part {
    pub(super) fn scope(name: &str, rule: &Value) -> Option<Self> {
        let mut part = Self::all();
        *part.0.get_mut(name)? = rule.get(name)?.clone();
        Some(part)
    }

    pub(super) fn condition(body: &Value) -> Self {
        let mut part = Self::all();
        if let Some(conditions) = part.0.get_mut("conditions") {
            *conditions = json!([{ "kind": "when", "body": body }]);
        }
        part
    }

    fn all() -> Self {
        let all = json!({ "op": "All" });
        Self(
            json!({ "effect": "permit", "principal": all, "action": all, "resource": all, "conditions": [] }),
        )
    }

    pub(super) fn policy(&self) -> Option<cedar_policy::Policy> {
        cedar_policy::Policy::from_json(None, self.0.clone()).ok()
    }

    pub(super) fn holds(&self, scene: &Scene<'_>, request: &Request) -> bool {
        let Some(set) = self.policy().and_then(|policy| PolicySet::from_policies([policy]).ok()) else {
            return false;
        };
        Authorizer::new().is_authorized(request, &set, &scene.entities).decision() == Decision::Allow
    }

    /// The condition as Cedar writes it.
    fn text(&self) -> String {
        let rule = self.policy().map(|policy| policy.to_string()).unwrap_or_default();
        let condition = rule.split_once("when {").map_or(rule.as_str(), |(_, rest)| rest).trim();
        condition.strip_suffix("};").unwrap_or(condition).trim().to_owned()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = if self.groups.is_empty() { "none".to_owned() } else { self.groups.join(", ") };
        writeln!(f, "{} (groups: {groups}), from {} by {}", self.user, self.client_addr, self.auth_method)?;
        self.about.fmt(f)?;
        writeln!(f, ", at {}\n", self.time)?;
        self.write_outcome(f)?;
        self.errors.iter().try_for_each(|error| writeln!(f, "\nerror: {error}"))?;
        self.rules.iter().try_for_each(|rule| write_rule(f, rule))?;
        for near in &self.near_misses {
            writeln!(f, "\n{}: permit rule `{}` does not match:", near.rule.place, near.rule.id)?;
            near.misses.iter().try_for_each(|miss| writeln!(f, "    {miss}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever may tag instances writes the name, so it is not trusted with the terminal.
        match self {
            Self::Action { target, target_id, login, action } => {
                write!(f, "on {} ({target_id}) as {login}: {}", target.escape_debug(), action.kind())?;
                write_particulars(f, action)
            }
            Self::Connect { action, target, target_id, host, address, port } => {
                write!(f, "{action} to {}:{port}", host.escape_debug())?;
                match (target, target_id) {
                    (Some(target), Some(id)) => {
                        write!(f, ", which is {} ({id}) at {address}", target.escape_debug())
                    }
                    (None, _) | (_, None) => write!(f, ", at {address}, which is no instance's address"),
                }
            }
        }
    }
}

fn write_particulars(f: &mut fmt::Formatter<'_>, action: &Action) -> fmt::Result {
    match action {
        Action::Exec { command } => write!(f, " `{}`", command.escape_debug()),
        Action::Subsystem { name } => write!(f, " `{}`", name.escape_debug()),
        Action::LocalForward { host, port } | Action::RemoteForward { host, port } => {
            write!(f, " {}:{port}", host.escape_debug())
        }
        Action::LocalSocket { path } | Action::RemoteSocket { path } => {
            write!(f, " `{}`", path.escape_debug())
        }
        Action::Shell
        | Action::Sftp
        | Action::Tunnel
        | Action::Agent
        | Action::X11
        | Action::Watch
        | Action::Kill
        | Action::Diagnose => Ok(()),
    }
}

impl Explanation {
    fn write_outcome(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Permitted { limits } => {
                write!(f, "PERMITTED")?;
                if let Some(limit) = limits.max_session {
                    write!(f, ", for at most {}", friendly(limit))?;
                }
                if let Some(limit) = limits.idle {
                    write!(f, ", idle for at most {}", friendly(limit))?;
                }
                writeln!(f, ".")
            }
            Outcome::Refused { reason: RefusalReason::Forbidden } => {
                writeln!(f, "REFUSED: a forbid rule matches, and forbid wins over every permit.")
            }
            Outcome::Refused { reason: RefusalReason::EvaluationFailed } => {
                writeln!(f, "REFUSED: a rule could not be evaluated, so nothing is permitted.")
            }
            Outcome::Refused { reason: RefusalReason::NoRulePermits } if self.near_misses.is_empty() => {
                writeln!(f, "REFUSED: no rule permits it, and no permit rule is about {}.", self.user)
            }
            Outcome::Refused { reason: RefusalReason::NoRulePermits } => {
                writeln!(f, "REFUSED: no rule permits it.")
            }
        }
    }
}

fn write_rule(f: &mut fmt::Formatter<'_>, rule: &Rule) -> fmt::Result {
    writeln!(f, "\n{}: {} rule `{}` matches:", rule.place, rule.effect, rule.id)?;
    rule.text.lines().try_for_each(|line| writeln!(f, "    {line}"))
}

fn friendly(duration: std::time::Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |span| format!("{span:#}"))
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action => f.write_str("it is about other actions"),
            Self::Target => f.write_str("it is about other machines"),
            Self::When(condition) => write!(f, "this does not hold: {condition}"),
            Self::Unless(condition) => write!(f, "this holds and must not: {condition}"),
        }
    }
}
