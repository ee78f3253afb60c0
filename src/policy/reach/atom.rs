//! Questions of rules that are not made of others, and what each reads.

use std::collections::BTreeSet;

use cedar_policy::PolicySet;
use serde_json::Value as Json;

use super::check::{Check, Comparison, Pattern, range};
use super::formula::Formula;
use super::value::{Attribute, Field, Particular, Subject};
use crate::domain::Identity;
use crate::policy::explain::Part;

/// A question, and what its answer depends on besides the person and the instant.
#[derive(Debug, Clone)]
pub(super) struct Atom {
    pub(super) reads: Reads,
    pub(super) question: Question,
}

#[derive(Debug, Clone)]
pub(super) enum Question {
    Compared(Subject, Check),
    /// The person is one of these, or in one of those groups.
    Person {
        users: Vec<String>,
        groups: Vec<String>,
    },
    /// Only Cedar can tell: the question as a rule of its own.
    Cedar(Box<PolicySet>),
}

/// What an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reads {
    pub(super) fields: BTreeSet<Field>,
    pub(super) login: bool,
    pub(super) action: bool,
}

impl Atom {
    fn compared(subject: Subject, check: Check) -> Self {
        let mut reads = Reads::default();
        match &subject {
            Subject::Of(field) => drop(reads.fields.insert(field.clone())),
            Subject::Login => reads.login = true,
            Subject::Particular(_) => reads.action = true,
            Subject::UserName | Subject::ClientAddr | Subject::AuthMethod => {}
        }
        Self { reads, question: Question::Compared(subject, check) }
    }

    /// Asks whether it is this very machine, or one of these.
    pub(super) fn machine(ids: Vec<String>) -> Self {
        Self::compared(Subject::Of(Field::Attribute(Attribute::Id)), Check::OneOf(ids))
    }

    /// The question that a condition, in Cedar's JSON form, asks; nothing where it cannot be asked at all.
    pub(super) fn parse(condition: &Json) -> Option<Self> {
        if let Some(atom) = common(condition) {
            return Some(atom);
        }
        let set = PolicySet::from_policies([Part::condition(condition).policy()?]).ok()?;
        let mut reads = Reads::default();
        reads.visit(condition);
        Some(Self { reads, question: Question::Cedar(Box::new(set)) })
    }

    /// Whether the person is among those of [`Question::Person`].
    pub(super) fn is_person(identity: &Identity, users: &[String], groups: &[String]) -> bool {
        users.iter().any(|user| user == identity.user.as_str())
            || groups.iter().any(|group| identity.groups.contains(group))
    }
}

/// A condition that needs no question: it is about the schema, or the same for every machine.
pub(super) fn constant(condition: &Json) -> Option<Formula> {
    if let Some(Json::Bool(holds)) = condition.get("Value") {
        return Some(Formula::Constant(*holds));
    }
    let (operator, operands) = only_entry(condition)?;
    match operator {
        "is" if operands.get("in").is_none() => {
            let entity_type = operands.get("entity_type")?.as_str()?;
            match operands.get("left")?.get("Var")?.as_str()? {
                "resource" => Some(Formula::Constant(entity_type == "Instance")),
                "principal" => Some(Formula::Constant(entity_type == "User")),
                _ => None,
            }
        }
        "has" if variable(operands.get("left")?) == Some("context") => {
            let always = ["login", "client_addr", "auth_method", "time"];
            always.contains(&operands.get("attr")?.as_str()?).then_some(Formula::Constant(true))
        }
        _ => None,
    }
}

/// The comparisons that need no Cedar.
fn common(condition: &Json) -> Option<Atom> {
    let (operator, operands) = only_entry(condition)?;
    let (left, right) = (operands.get("left"), operands.get("right"));
    match operator {
        "hasTag" if variable(left?) == Some("resource") => {
            Some(Atom::compared(Subject::Of(Field::Tag(text(right?)?)), Check::Present))
        }
        "has" => Some(Atom::compared(presence(left?, operands.get("attr")?)?, Check::Present)),
        "like" => {
            let pattern = Pattern::parse(operands.get("pattern")?)?;
            Some(Atom::compared(text_subject(left?)?, Check::Like(pattern)))
        }
        "contains" => contains(left?, right?),
        "in" | "==" if matches!(variable(left?), Some("resource" | "principal")) => {
            entities(operator, left?, right?)
        }
        "==" => equality(left?, right?)
            .or_else(|| equality(right?, left?))
            .or_else(|| numbers(operator, left?, right?)),
        "<" | "<=" | ">" | ">=" => numbers(operator, left?, right?),
        "isInRange" => within(operands.as_array()?),
        _ => None,
    }
}

/// `resource has name`, `context has command`, `context has destination.port`.
fn presence(of: &Json, attribute: &Json) -> Option<Subject> {
    let path: Vec<&str> = match attribute {
        Json::String(name) => vec![name],
        Json::Array(names) => names.iter().map(Json::as_str).collect::<Option<_>>()?,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => return None,
    };
    match (variable(of)?, path.as_slice()) {
        ("resource", [name]) => {
            Attribute::parse(name).map(|attribute| Subject::Of(Field::Attribute(attribute)))
        }
        ("context", ["destination"]) => Some(Subject::Particular(Particular::DestinationHost)),
        ("context", ["listen"]) => Some(Subject::Particular(Particular::ListenHost)),
        ("context", path) => particular(path).map(Subject::Particular),
        _ => None,
    }
}

fn equality(subject: &Json, other: &Json) -> Option<Atom> {
    let subject = text_subject(subject)?;
    let check =
        if is_access(other, "principal", "name") { Check::UserName } else { Check::Equals(text(other)?) };
    Some(Atom::compared(subject, check))
}

fn contains(set: &Json, subject: &Json) -> Option<Atom> {
    if is_access(set, "principal", "groups") {
        return Some(Atom::compared(text_subject(subject)?, Check::OneOfGroups));
    }
    let items = set.get("Set")?.as_array()?;
    if let Some(subject) = text_subject(subject) {
        return Some(Atom::compared(subject, Check::OneOf(items.iter().map(text).collect::<Option<_>>()?)));
    }
    let wanted = items.iter().map(number).collect::<Option<_>>()?;
    Some(Atom::compared(number_subject(subject)?, Check::OneOfNumbers(wanted)))
}

fn numbers(operator: &str, left: &Json, right: &Json) -> Option<Atom> {
    let comparison = Comparison::parse(operator)?;
    if let (Some(subject), Some(number)) = (number_subject(left), number(right)) {
        return Some(Atom::compared(subject, Check::Number(comparison, number)));
    }
    let (subject, number) = (number_subject(right)?, number(left)?);
    Some(Atom::compared(subject, Check::Number(comparison.flipped(), number)))
}

fn within(operands: &[Json]) -> Option<Atom> {
    let [address, of] = operands else { return None };
    let [literal] = of.get("ip")?.as_array()?.as_slice() else { return None };
    let check = Check::Within(range(&text(literal)?)?);
    let subject = if is_access(address, "resource", "private_ip") {
        Subject::Of(Field::Attribute(Attribute::PrivateIp))
    } else if is_access(address, "context", "client_addr") {
        Subject::ClientAddr
    } else {
        return None;
    };
    Some(Atom::compared(subject, check))
}

/// `resource == Instance::"…"`, `principal in [Group::"…", …]`, and the like.
fn entities(operator: &str, left: &Json, right: &Json) -> Option<Atom> {
    let one = std::slice::from_ref(right);
    let named = right.get("Set").and_then(Json::as_array).map_or(one, Vec::as_slice);
    let entities: Vec<(&str, &str)> = named.iter().map(entity).collect::<Option<_>>()?;
    let of_type = |wanted: &str| -> Vec<String> {
        let ids = entities.iter().filter(|(entity_type, _)| *entity_type == wanted);
        ids.map(|(_, id)| (*id).to_owned()).collect()
    };
    if variable(left)? == "resource" {
        return Some(Atom::machine(of_type("Instance")));
    }
    let groups = if operator == "in" { of_type("Group") } else { Vec::new() };
    let question = Question::Person { users: of_type("User"), groups };
    Some(Atom { reads: Reads::default(), question })
}

fn entity(node: &Json) -> Option<(&str, &str)> {
    let entity = node.get("Value")?.get("__entity")?;
    Some((entity.get("type")?.as_str()?, entity.get("id")?.as_str()?))
}

/// Something that is read and is a text.
fn text_subject(node: &Json) -> Option<Subject> {
    if let Some(operands) = node.get("getTag") {
        let of_resource = variable(operands.get("left")?) == Some("resource");
        return of_resource
            .then(|| text(operands.get("right")?).map(|key| Subject::Of(Field::Tag(key))))
            .flatten();
    }
    let (of, path) = access(node)?;
    match (of, path.as_slice()) {
        ("resource", ["private_ip"]) => None,
        ("resource", [name]) => {
            Attribute::parse(name).map(|attribute| Subject::Of(Field::Attribute(attribute)))
        }
        ("context", ["login"]) => Some(Subject::Login),
        ("context", ["auth_method"]) => Some(Subject::AuthMethod),
        ("context", [_, "port"]) => None,
        ("context", path) => particular(path).map(Subject::Particular),
        ("principal", ["name"]) => Some(Subject::UserName),
        _ => None,
    }
}

fn number_subject(node: &Json) -> Option<Subject> {
    match access(node)? {
        ("context", path) if path.last() == Some(&"port") => particular(&path).map(Subject::Particular),
        _ => None,
    }
}

fn particular(path: &[&str]) -> Option<Particular> {
    Some(match path {
        ["command"] => Particular::Command,
        ["subsystem"] => Particular::Subsystem,
        ["path"] => Particular::Path,
        ["destination", "host"] => Particular::DestinationHost,
        ["destination", "port"] => Particular::DestinationPort,
        ["listen", "host"] => Particular::ListenHost,
        ["listen", "port"] => Particular::ListenPort,
        _ => return None,
    })
}

/// `("context", ["destination", "port"])` for `context.destination.port`.
fn access(node: &Json) -> Option<(&str, Vec<&str>)> {
    let access = node.get(".")?;
    let (of, attribute) = (access.get("left")?, access.get("attr")?.as_str()?);
    if let Some(variable) = variable(of) {
        return Some((variable, vec![attribute]));
    }
    let (variable, mut path) = self::access(of)?;
    path.push(attribute);
    Some((variable, path))
}

fn is_access(node: &Json, of: &str, attribute: &str) -> bool {
    access(node).is_some_and(|(variable, path)| variable == of && path == [attribute])
}

fn variable(node: &Json) -> Option<&str> {
    node.get("Var")?.as_str()
}

fn text(node: &Json) -> Option<String> {
    node.get("Value")?.as_str().map(str::to_owned)
}

fn number(node: &Json) -> Option<i64> {
    node.get("Value")?.as_i64()
}

fn only_entry(node: &Json) -> Option<(&str, &Json)> {
    let fields = node.as_object()?;
    let (operator, operands) = fields.iter().next()?;
    (fields.len() == 1).then_some((operator.as_str(), operands))
}

impl Reads {
    /// Notes what an expression in Cedar's JSON form may read: too much where it is not understood, never too little.
    fn visit(&mut self, node: &Json) {
        let Some((operator, operands)) = only_entry(node) else { return self.everything() };
        if let Some(field) = field(operator, operands) {
            self.fields.insert(field);
            return;
        }
        match operator {
            "Value" => {}
            "Var" => match operands.as_str() {
                Some("principal") => {}
                Some("action") => self.action = true,
                Some(_) | None => self.everything(),
            },
            "." | "has" if operands.get("left").and_then(variable) == Some("context") => {
                self.context(operands.get("attr"));
            }
            "is" if operands.get("in").is_none() && operands.get("left").and_then(variable).is_some() => {}
            "Record" => match operands.as_object() {
                Some(fields) => fields.values().for_each(|value| self.visit(value)),
                None => self.everything(),
            },
            _ => match operands {
                Json::Array(items) => items.iter().for_each(|item| self.visit(item)),
                Json::Object(fields) => {
                    fields
                        .iter()
                        .filter(|(name, _)| is_operand(name))
                        .for_each(|(_, value)| self.visit(value));
                }
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => self.everything(),
            },
        }
    }

    fn context(&mut self, attribute: Option<&Json>) {
        let first = attribute.and_then(|attribute| attribute.as_str().or_else(|| attribute.get(0)?.as_str()));
        match first {
            Some("login") => self.login = true,
            Some("client_addr" | "auth_method" | "time") => {}
            Some("command" | "subsystem" | "listen" | "path") => self.action = true,
            Some("destination") => {
                self.action = true;
                // Of `connect`, it has the machine's address.
                self.fields.insert(Field::Attribute(Attribute::PrivateIp));
            }
            Some(_) | None => self.everything(),
        }
    }

    fn everything(&mut self) {
        self.fields.insert(Field::Whole);
        self.login = true;
        self.action = true;
    }
}

/// The one field that `resource.name`, `resource has name`, `resource.hasTag("env")` or `resource.getTag("env")` reads.
fn field(operator: &str, operands: &Json) -> Option<Field> {
    if variable(operands.get("left")?)? != "resource" {
        return None;
    }
    match operator {
        "." | "has" => Attribute::parse(operands.get("attr")?.as_str()?).map(Field::Attribute),
        "hasTag" | "getTag" => text(operands.get("right")?).map(Field::Tag),
        _ => None,
    }
}

/// Whether a part of an operation is an expression of its own; the others are names and patterns.
fn is_operand(name: &str) -> bool {
    !matches!(name, "attr" | "pattern" | "entity_type")
}
