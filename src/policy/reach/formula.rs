//! Rules as formulas: what connects their questions, with Cedar's answers to errors.

/// The place of an [`Atom`](super::atom::Atom) in the policy's list of them.
pub(super) type AtomId = usize;

/// What a part of a rule comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Truth {
    Holds,
    DoesNotHold,
    /// It cannot be evaluated, such as a tag that is not there. A rule in which that is reached refuses.
    Fails,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::DoesNotHold }
    }
}

/// Questions and what connects them. As in Cedar, operands are read from the left and no further than needed: what is
/// not reached cannot fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formula {
    Constant(bool),
    Atom(AtomId),
    Not(Box<Formula>),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    /// If the first then the second, else the third.
    Choice(Box<[Formula; 3]>),
}

impl Formula {
    /// What it comes to, given what its atoms do.
    pub(super) fn truth(&self, of: &impl Fn(AtomId) -> Truth) -> Truth {
        match self {
            Self::Constant(holds) => Truth::from(*holds),
            Self::Atom(atom) => of(*atom),
            Self::Not(formula) => match formula.truth(of) {
                Truth::Holds => Truth::DoesNotHold,
                Truth::DoesNotHold => Truth::Holds,
                Truth::Fails => Truth::Fails,
            },
            Self::All(formulas) => first_other_than(Truth::Holds, formulas, of),
            Self::Any(formulas) => first_other_than(Truth::DoesNotHold, formulas, of),
            Self::Choice(choice) => {
                let [condition, then, otherwise] = &**choice;
                match condition.truth(of) {
                    Truth::Holds => then.truth(of),
                    Truth::DoesNotHold => otherwise.truth(of),
                    Truth::Fails => Truth::Fails,
                }
            }
        }
    }

    /// Adds the atoms that it may read.
    pub(super) fn collect(&self, atoms: &mut Vec<AtomId>) {
        match self {
            Self::Constant(_) => {}
            Self::Atom(atom) => atoms.push(*atom),
            Self::Not(formula) => formula.collect(atoms),
            Self::All(formulas) | Self::Any(formulas) => formulas.iter().for_each(|part| part.collect(atoms)),
            Self::Choice(choice) => choice.iter().for_each(|part| part.collect(atoms)),
        }
    }
}

fn first_other_than(usual: Truth, formulas: &[Formula], of: &impl Fn(AtomId) -> Truth) -> Truth {
    formulas.iter().map(|formula| formula.truth(of)).find(|truth| *truth != usual).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(formula: &Formula) -> Truth {
        formula.truth(&|atom| match atom {
            0 => Truth::DoesNotHold,
            1 => Truth::Holds,
            _ => Truth::Fails,
        })
    }

    #[test]
    fn what_is_not_reached_cannot_fail() {
        let [no, yes, fails] = [Formula::Atom(0), Formula::Atom(1), Formula::Atom(2)];
        let all = |parts: &[&Formula]| truth(&Formula::All(parts.iter().copied().cloned().collect()));
        let any = |parts: &[&Formula]| truth(&Formula::Any(parts.iter().copied().cloned().collect()));
        assert_eq!(all(&[&yes, &no, &fails]), Truth::DoesNotHold);
        assert_eq!(all(&[&yes, &fails, &no]), Truth::Fails);
        assert_eq!(any(&[&no, &yes, &fails]), Truth::Holds);
        assert_eq!(any(&[&fails, &yes]), Truth::Fails);
        assert_eq!((all(&[]), any(&[])), (Truth::Holds, Truth::DoesNotHold));
        let choice = |a: &Formula, b: &Formula, c: &Formula| {
            truth(&Formula::Choice(Box::new([a.clone(), b.clone(), c.clone()])))
        };
        assert_eq!(choice(&yes, &no, &fails), Truth::DoesNotHold);
        assert_eq!(choice(&no, &fails, &yes), Truth::Holds);
        assert_eq!(choice(&fails, &yes, &yes), Truth::Fails);
        assert_eq!(truth(&Formula::Not(Box::new(fails))), Truth::Fails);
    }
}
