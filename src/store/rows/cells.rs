//! Cells: what the databases hold of a value, a text or a number, and the way back.

use jiff::Timestamp;
use sqlx::any::{Any, AnyRow};
use sqlx::{Decode, Row as _, Type};

use crate::domain::{ConnectionId, NodeName, RecordingId, SessionId};
use crate::store::StoreError;
use crate::store::sql::{Value, signed};

/// A value that a cell can hold.
pub(in crate::store) trait Cell: Sized {
    /// How the databases hold it.
    type Held: for<'r> Decode<'r, Any> + Type<Any>;
    /// What is to be held of it.
    fn held(&self) -> Self::Held;
    /// The value of what is held; none where that makes no sense.
    fn checked(held: Self::Held) -> Option<Self>;
}

/// A whole column: of cells that hold something, or that may be empty.
pub(in crate::store) trait Column: Sized {
    /// What to write.
    fn value(&self) -> Value;
    /// What is read; `damaged` where it makes no sense.
    fn read(cells: &Cells<'_>, name: &'static str) -> Result<Self, StoreError>;
}

impl<T: Cell> Column for T
where
    Value: From<T::Held>,
{
    fn value(&self) -> Value {
        self.held().into()
    }

    fn read(cells: &Cells<'_>, name: &'static str) -> Result<Self, StoreError> {
        T::checked(cells.row.try_get(name)?).ok_or_else(|| cells.damaged(name))
    }
}

impl<T: Cell> Column for Option<T>
where
    Value: From<Option<T::Held>>,
{
    fn value(&self) -> Value {
        self.as_ref().map(T::held).into()
    }

    fn read(cells: &Cells<'_>, name: &'static str) -> Result<Self, StoreError> {
        let held: Option<T::Held> = cells.row.try_get(name)?;
        held.map(|held| T::checked(held).ok_or_else(|| cells.damaged(name))).transpose()
    }
}

/// Declares how values are held: as what, and the ways there and back.
macro_rules! held {
    ($($kind:ty as $held:ty: $there:expr, $back:expr;)+) => {
        $(impl Cell for $kind {
            type Held = $held;

            fn held(&self) -> $held {
                let there: fn(&$kind) -> $held = $there;
                there(self)
            }

            fn checked(held: $held) -> Option<Self> {
                let back: fn($held) -> Option<$kind> = $back;
                back(held)
            }
        })+
    };
}

held! {
    String as String: String::clone, Some;
    NodeName as String: |name| name.as_str().to_owned(), |text| Self::parse(&text);
    SessionId as String: ToString::to_string, |text| Self::parse(&text);
    ConnectionId as String: ToString::to_string, |text| Self::parse(&text);
    RecordingId as String: ToString::to_string, |text| Self::parse(&text);
    u64 as i64: |number| signed(*number), |number| Self::try_from(number).ok();
    u16 as i64: |number| i64::from(*number), |number| Self::try_from(number).ok();
    bool as i64: |flag| i64::from(*flag), |number| (number >= 0).then_some(number != 0);
    Timestamp as i64: |time| time.as_millisecond(), |number| Self::from_millisecond(number).ok();
}

/// One row, read cell by cell and checked.
pub(in crate::store) struct Cells<'a> {
    pub(in crate::store) row: &'a AnyRow,
    pub(in crate::store) table: &'static str,
}

impl Cells<'_> {
    fn damaged(&self, field: &'static str) -> StoreError {
        StoreError::Unreadable { table: self.table, field }
    }

    /// The value in this column, of whatever kind is wanted.
    pub(in crate::store) fn get<T: Column>(&self, field: &'static str) -> Result<T, StoreError> {
        T::read(self, field)
    }

    pub(in crate::store) fn text(&self, field: &'static str) -> Result<String, StoreError> {
        self.get(field)
    }

    pub(in crate::store) fn maybe_text(&self, field: &'static str) -> Result<Option<String>, StoreError> {
        self.get(field)
    }

    pub(in crate::store) fn parsed<T>(
        &self,
        field: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(&self.text(field)?).ok_or_else(|| self.damaged(field))
    }

    pub(in crate::store) fn maybe_parsed<T>(
        &self,
        field: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let text = self.maybe_text(field)?;
        text.map(|text| parse(&text).ok_or_else(|| self.damaged(field))).transpose()
    }

    pub(in crate::store) fn number(&self, field: &'static str) -> Result<i64, StoreError> {
        Ok(self.row.try_get(field)?)
    }

    pub(in crate::store) fn count(&self, field: &'static str) -> Result<u64, StoreError> {
        self.get(field)
    }

    pub(in crate::store) fn maybe_count(&self, field: &'static str) -> Result<Option<u64>, StoreError> {
        self.get(field)
    }

    pub(in crate::store) fn time(&self, field: &'static str) -> Result<Timestamp, StoreError> {
        self.get(field)
    }

    pub(in crate::store) fn maybe_time(&self, field: &'static str) -> Result<Option<Timestamp>, StoreError> {
        self.get(field)
    }
}
