//! Machines told apart by what rules read of them, and no further.

use std::collections::{BTreeSet, HashMap};

use super::formula::{AtomId, Truth};
use super::value::{Field, Value};
use crate::domain::Target;

/// The fields that some atoms read, together, and what the atoms come to for each combination of values that was seen.
pub(super) struct Column<'a> {
    fields: BTreeSet<Field>,
    atoms: Vec<AtomId>,
    /// Atoms that read these fields and more than the machine: combinations are then told apart as such,
    /// and not only by what `atoms` come to.
    told_apart: bool,
    seen: HashMap<Vec<Value<'a>>, usize>,
    outcomes: Vec<Vec<Truth>>,
    /// The outcomes by their packed form: names and addresses make many lookups of long ones.
    known: HashMap<Vec<u64>, usize>,
}

/// All columns.
#[derive(Default)]
pub(super) struct Columns<'a> {
    columns: Vec<Column<'a>>,
    by_fields: HashMap<BTreeSet<Field>, usize>,
}

/// Where the outcome of an atom is found: which column, and which place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    column: usize,
    place: usize,
}

/// A machine as rules see it: for each column, which of its outcomes. Machines with the same are alike to every rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Signature(Vec<usize>);

impl<'a> Columns<'a> {
    /// Adds an atom that reads the machine and nothing else.
    pub(super) fn add(&mut self, id: AtomId, fields: &BTreeSet<Field>) -> Cell {
        let (index, column) = self.column(fields);
        let Some(column) = column else { return Cell { column: index, place: 0 } };
        column.atoms.push(id);
        Cell { column: index, place: column.atoms.len() - 1 }
    }

    /// Tells apart machines with different values in these fields.
    pub(super) fn tell_apart(&mut self, fields: &BTreeSet<Field>) {
        if let (_, Some(column)) = self.column(fields) {
            column.told_apart = true;
        }
    }

    fn column(&mut self, fields: &BTreeSet<Field>) -> (usize, Option<&mut Column<'a>>) {
        let index = *self.by_fields.entry(fields.clone()).or_insert_with(|| {
            self.columns.push(Column::of(fields.clone()));
            self.columns.len() - 1
        });
        (index, self.columns.get_mut(index))
    }

    /// A machine as rules see it. `place` tells it apart from the other machines that are looked at.
    pub(super) fn signature(
        &mut self,
        target: &'a Target,
        place: usize,
        truth: &impl Fn(AtomId) -> Truth,
    ) -> Signature {
        Signature(self.columns.iter_mut().map(|column| column.outcome(target, place, truth)).collect())
    }

    /// What an atom comes to on a machine.
    pub(super) fn truth(&self, cell: Cell, signature: &Signature) -> Option<Truth> {
        let outcome = signature.0.get(cell.column)?;
        self.columns.get(cell.column)?.outcomes.get(*outcome)?.get(cell.place).copied()
    }
}

impl<'a> Column<'a> {
    fn of(fields: BTreeSet<Field>) -> Self {
        let (seen, known) = (HashMap::new(), HashMap::new());
        Self { fields, atoms: Vec::new(), told_apart: false, seen, outcomes: Vec::new(), known }
    }

    fn outcome(&mut self, target: &'a Target, place: usize, truth: &impl Fn(AtomId) -> Truth) -> usize {
        let values: Vec<Value<'a>> = self.fields.iter().map(|field| field.of(target, place)).collect();
        if let Some(outcome) = self.seen.get(&values) {
            return *outcome;
        }
        let truths: Vec<Truth> = self.atoms.iter().map(|atom| truth(*atom)).collect();
        let packed = packed(&truths);
        let known = if self.told_apart { None } else { self.known.get(&packed) };
        let outcome = known.copied().unwrap_or(self.outcomes.len());
        if outcome == self.outcomes.len() {
            self.known.insert(packed, outcome);
            self.outcomes.push(truths);
        }
        self.seen.insert(values, outcome);
        outcome
    }
}

/// Two bits for each.
fn packed(truths: &[Truth]) -> Vec<u64> {
    let bits = |truth: &Truth| match truth {
        Truth::DoesNotHold => 0,
        Truth::Holds => 1,
        Truth::Fails => 2,
    };
    truths.chunks(32).map(|chunk| chunk.iter().fold(0, |word, truth| word << 2 | bits(truth))).collect()
}
