//! How deep rules go, and the stack that takes.
//!
//! Cedar's parser, validator and evaluator recurse. Too deep a rule would overflow the parser's
//! stack and abort the process, and its evaluation would fail, or not, depending on how much
//! stack the caller happens to have left. So depth is bounded before anything is parsed, and
//! whatever recurses is given the room it may need: the answer is then the same everywhere.

use super::lexer::tokens;

/// The deepest nesting of brackets.
const NESTING_MAX: usize = 64;
/// The most operators in one rule. Each element of a chain such as `a || b || c` is a level of its own.
const OPERATORS_MAX: usize = 500;
/// Stack for one level, in bytes; unoptimised builds were seen to take up to 64 KiB.
const STACK_PER_LEVEL: usize = 96 << 10;
/// Stack for everything around the recursion, with what Cedar keeps in reserve, in bytes.
const STACK_BASE: usize = 512 << 10;

/// The levels of the deepest rule that is accepted.
pub(super) const LEVELS_MAX: usize = OPERATORS_MAX + NESTING_MAX;

/// A rule goes deeper than is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooDeep {
    /// Where it does, in bytes.
    pub(super) offset: usize,
}

/// The levels of the deepest rule in a text, from above.
pub(super) fn levels(text: &str) -> Result<usize, TooDeep> {
    let (mut deepest, mut nesting, mut operators) = (0, 0_usize, 0_usize);
    for (offset, token) in tokens(text) {
        match token {
            "(" | "[" | "{" => nesting += 1,
            ")" | "]" | "}" => nesting = nesting.saturating_sub(1),
            "&&" | "||" | "!" | "+" | "-" | "*" | "." | "if" | "when" | "unless" => operators += 1,
            ";" => operators = 0,
            _ => {}
        }
        if nesting > NESTING_MAX || operators > OPERATORS_MAX {
            return Err(TooDeep { offset });
        }
        deepest = deepest.max(nesting + operators);
    }
    Ok(deepest)
}

/// Does work that recurses as deep as rules with so many levels need.
pub(super) fn with_room<R>(levels: usize, work: impl FnOnce() -> R) -> R {
    let stack = STACK_BASE + levels * STACK_PER_LEVEL;
    stacker::maybe_grow(stack, stack, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_deepest_rule() {
        assert_eq!(levels(""), Ok(0));
        assert_eq!(levels("permit (a, b, c) when { a.b || [1] };"), Ok(5));
        assert_eq!(levels("permit (a) when { a || b }; permit (a) when { a };"), Ok(3));
        assert_eq!(levels("@id(\"((((\") // || || ||"), Ok(1));
    }

    #[test]
    fn what_goes_too_deep_is_found_where_it_does() {
        assert_eq!(levels(&"(".repeat(65)), Err(TooDeep { offset: 64 }));
        assert_eq!(levels(&"!".repeat(501)), Err(TooDeep { offset: 500 }));
        assert_eq!(levels(&"a;!".repeat(10_000)), Ok(1));
    }
}
