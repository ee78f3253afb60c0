//! Statements that are put together from parts, with `$1` placeholders, which both databases take.
//! (`sqlx::QueryBuilder` writes `?` for [`sqlx::Any`], which PostgreSQL does not take.)

use std::fmt::Write as _;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

/// A value of one of the two kinds of columns that we have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, or none.
    Text(Option<String>),
    /// A number, or none.
    Number(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

/// A statement and its values.
#[derive(Debug, Default)]
pub(super) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Adds words of ours.
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        // Writing to a text cannot fail.
        let _always = write!(self.text, "${}", self.values.len()).is_ok();
        self
    }

    /// Adds values with commas between them, in brackets.
    pub(super) fn bind_all(&mut self, values: impl IntoIterator<Item = impl Into<Value>>) -> &mut Self {
        let mut separator = "(";
        for value in values {
            self.push(separator).bind(value);
            separator = ", ";
        }
        self.push(")")
    }

    /// Adds a condition: the first one after `WHERE`, the others after `AND`.
    pub(super) fn condition(&mut self, first: &mut bool) -> &mut Self {
        let word = if std::mem::take(first) { " WHERE " } else { " AND " };
        self.push(word)
    }

    /// The statement, to be run.
    pub(super) fn query<'q>(self) -> Query<'q, Any, AnyArguments> {
        let mut query = sqlx::query(AssertSqlSafe(self.text));
        for value in self.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
            };
        }
        query
    }
}

/// A text as a pattern for `LIKE … ESCAPE '!'` that matches it anywhere.
pub(super) fn anywhere(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// The greatest piece to write at once of `left` rows: a power of two, so that there are few
/// different statements to prepare, and few enough values for both databases.
pub(super) fn piece(left: usize) -> usize {
    const ROWS_MAX: usize = 256;
    let power = left.checked_ilog2().map_or(1, |log| 1_usize << log);
    power.min(ROWS_MAX)
}

/// A count or size as the databases have it.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_means_to_like_is_escaped() {
        assert_eq!(anywhere("100%_!"), "%100!%!_!!%");
    }

    #[test]
    fn pieces_are_powers_of_two_and_make_up_the_whole() {
        let (mut left, mut pieces) = (1_000, Vec::new());
        while left > 0 {
            let next = piece(left);
            pieces.push(next);
            left -= next;
        }
        assert_eq!(pieces, [256, 256, 256, 128, 64, 32, 8]);
    }
}
