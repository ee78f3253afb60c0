//! Policy files → rules, or every mistake in them with its place.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cedar_policy::{PolicyId, PolicySet, ValidationMode, Validator};

use super::annotation::Annotations;
use super::depth::{self, TooDeep};
use super::facts::Vocabulary;
use super::named::Named;
use super::permit::RuleId;
use super::report::{at, at_place, duplicate_id, problem_of, same_complaint, template_problem};
use super::rule::{Effect, Place, Rule};
use crate::problem::{Problem, position};

/// The largest policy file, in bytes.
const FILE_SIZE_MAX: u64 = 1 << 20;

/// One policy file's text.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: PathBuf,
    pub(super) text: String,
}

/// Rules that Cedar accepts, in the order of the files.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) rules: Vec<Rule>,
    pub(super) set: PolicySet,
    pub(super) warnings: Vec<Problem>,
    /// How deep the rules go; see [`depth`].
    pub(super) levels: usize,
}

/// Reads policy files.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Source>, Vec<Problem>> {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        match read_one(file) {
            Ok(text) => sources.push(Source { name: file.clone(), text }),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn read_one(file: &Path) -> Result<String, Problem> {
    let bytes = read_bounded(file).map_err(|error| {
        Problem::new(file, format!("the policy file cannot be read: {error}"))
            .with_hint("check the path and that drawbridge's user may read it")
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        Problem::new(file, "the policy file is not UTF-8 text").at_line(line)
    })
}

/// Reads no more than it takes to see that a file is too large.
fn read_bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Parses and validates; all files are one policy.
pub(super) fn parse(vocabulary: &Vocabulary, sources: &[Source]) -> Result<Parsed, Vec<Problem>> {
    depth::with_room(depth::LEVELS_MAX, || {
        let mut reading = Reading::default();
        for source in sources {
            reading.read_source(source);
        }
        reading.validate(vocabulary, sources);
        reading.finish(sources)
    })
}

/// A rule and Cedar's form of it.
struct Draft {
    rule: Rule,
    policy: cedar_policy::Policy,
    source: usize,
}

#[derive(Default)]
struct Reading {
    sources_read: usize,
    levels: usize,
    drafts: Vec<Draft>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reading {
    fn read_source(&mut self, source: &Source) {
        let number = self.sources_read;
        self.sources_read += 1;
        match check_bounds(source) {
            Ok(levels) => self.levels = self.levels.max(levels),
            Err(problem) => return self.problems.push(problem),
        }
        let set: PolicySet = match source.text.parse() {
            Ok(set) => set,
            Err(errors) => {
                let errors: &cedar_policy::ParseErrors = &errors;
                self.problems.extend(errors.iter().map(|error| problem_of(source, error)));
                return;
            }
        };
        for template in set.templates() {
            self.problems.push(template_problem(source, template));
        }
        let mut policies: Vec<_> = set.policies().collect();
        policies.sort_by_key(|policy| written_order(policy.id()));
        let mut from = 0;
        for (index, policy) in policies.into_iter().enumerate() {
            from = self.read_rule(source, number, index + 1, policy, from);
        }
    }

    /// Reads one rule whose text starts at or after the offset `from`; answers where it ends.
    fn read_rule(
        &mut self,
        source: &Source,
        source_number: usize,
        ordinal: usize,
        policy: &cedar_policy::Policy,
        from: usize,
    ) -> usize {
        let text = policy.to_cedar().unwrap_or_default();
        let start = source.text.get(from..).and_then(|rest| rest.find(&text)).map_or(from, |at| from + at);
        let effect = effect_of(policy);
        let annotations = self.read_annotations(source, effect, policy, &text, start);
        let (line, column) = position(&source.text, start);
        let rule = Rule {
            id: RuleId(annotations.id.unwrap_or_else(|| ordinal_id(&source.name, ordinal))),
            effect,
            place: Place { file: source.name.clone(), line, column },
            description: annotations.description,
            limits: annotations.limits,
            preferred_logins: annotations.preferred_logins,
            named: policy.to_json().map(|json| Named::in_rule(&json)).unwrap_or_default(),
            text: text.clone(),
        };
        self.drafts.push(Draft { rule, policy: policy.clone(), source: source_number });
        start + text.len()
    }

    fn read_annotations(
        &mut self,
        source: &Source,
        effect: Effect,
        policy: &cedar_policy::Policy,
        text: &str,
        start: usize,
    ) -> Annotations {
        let mut annotations = Annotations::default();
        for (name, value) in policy.annotations() {
            if let Err(complaint) = annotations.read(effect, name, value) {
                let offset = start + annotation_offset(text, name);
                self.problems.push(
                    at(source, Problem::new(&source.name, complaint.message), offset)
                        .with_hint(complaint.hint),
                );
            }
        }
        annotations
    }

    /// Lets Cedar check every rule that could be parsed against the schema, strictly.
    fn validate(&mut self, vocabulary: &Vocabulary, sources: &[Source]) {
        let (set, owners) = self.cedar_set();
        let result = Validator::new(vocabulary.schema.clone()).validate(&set, ValidationMode::Strict);
        let source_of = |id: &PolicyId| owners.get(id).and_then(|number| sources.get(*number));
        for error in result.validation_errors() {
            if let Some(source) = source_of(error.policy_id()) {
                self.problems.push(problem_of(source, error));
            }
        }
        for warning in result.validation_warnings() {
            if let Some(source) = source_of(warning.policy_id()) {
                self.warnings.push(problem_of(source, warning));
            }
        }
    }

    /// Cedar's set, and the file of each id. A second rule with the same id is a problem, but is checked too.
    fn cedar_set(&mut self) -> (PolicySet, HashMap<PolicyId, usize>) {
        let mut set = PolicySet::new();
        let mut owners = HashMap::new();
        let mut places: HashMap<RuleId, Place> = HashMap::new();
        for Draft { rule, policy, source } in &self.drafts {
            let id = match places.get(&rule.id) {
                None => PolicyId::new(&rule.id.0),
                Some(first) => {
                    self.problems.push(duplicate_id(rule, first));
                    PolicyId::new(format!("{} at {}", rule.id, rule.place))
                }
            };
            places.entry(rule.id.clone()).or_insert_with(|| rule.place.clone());
            owners.insert(id.clone(), *source);
            if let Err(error) = set.add(policy.new_id(id)) {
                self.problems.push(at_place(&rule.place, error.to_string()));
            }
        }
        (set, owners)
    }

    fn finish(mut self, sources: &[Source]) -> Result<Parsed, Vec<Problem>> {
        sort(&mut self.warnings, sources);
        if self.problems.is_empty() {
            let (set, _) = self.cedar_set();
            let rules = self.drafts.into_iter().map(|draft| draft.rule).collect();
            return Ok(Parsed { rules, set, warnings: self.warnings, levels: self.levels });
        }
        sort(&mut self.problems, sources);
        Err(self.problems)
    }
}

/// Orders problems by place. Cedar checks a rule once for each action it may be about, and may
/// complain as often; once is enough.
fn sort(problems: &mut Vec<Problem>, sources: &[Source]) {
    let file_order = |origin: &Path| sources.iter().position(|source| source.name == origin);
    problems.sort_by_cached_key(|problem| {
        (file_order(&problem.origin), problem.line, problem.column, problem.message.clone())
    });
    problems.dedup_by(|next, first| same_complaint(first, next));
}

/// The levels of the deepest rule, if the text is within bounds.
fn check_bounds(source: &Source) -> Result<usize, Problem> {
    if source.text.len() as u64 > FILE_SIZE_MAX {
        return Err(Problem::new(&source.name, "the policy file is larger than 1 MiB")
            .with_hint("split it into several files; all of them are one policy"));
    }
    depth::levels(&source.text).map_err(|TooDeep { offset }| {
        let problem = Problem::new(&source.name, "the rule is too deep here: too many brackets or operators");
        at(source, problem, offset).with_hint(
            "a rule may nest 64 brackets and have 500 operators: use sets, as in [\"a\", \"b\"].contains(…), or several rules",
        )
    })
}

fn effect_of(policy: &cedar_policy::Policy) -> Effect {
    match policy.effect() {
        cedar_policy::Effect::Permit => Effect::Permit,
        cedar_policy::Effect::Forbid => Effect::Forbid,
    }
}

/// Cedar names the rules of a text `policy0`, `policy1`, … in the order they are written.
fn written_order(id: &PolicyId) -> Option<usize> {
    AsRef::<str>::as_ref(id).strip_prefix("policy")?.parse().ok()
}

fn ordinal_id(file: &Path, ordinal: usize) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    format!("{}#{ordinal}", name.to_string_lossy())
}

/// Where `@name` stands in a rule's text.
fn annotation_offset(rule_text: &str, name: &str) -> usize {
    let mut after_at = None;
    for (offset, token) in super::lexer::tokens(rule_text) {
        match (token, after_at) {
            ("@", _) => after_at = Some(offset),
            (token, Some(at)) if token == name => return at,
            _ => after_at = None,
        }
    }
    0
}
