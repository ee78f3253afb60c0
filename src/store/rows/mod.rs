//! The rows that are derived from lines: what they hold, and how the databases hold it.
//!
//! What always holds: a row is declared once, and its columns, what is written and what is read follow from that; what is
//! read back was checked, and what makes no sense is an error that names table and column.
//!
//! What is not here: which lines make which row (`derive`), and the tables' definitions (`migrations/`).

mod cells;
mod tables;

use sqlx::any::AnyRow;

use super::StoreError;
use super::sql::Value;

pub(super) use cells::Cells;
pub(super) use tables::RecordedRow;
pub use tables::{ConnectionRow, DecisionRow, HeadRow, SessionRow};

/// A table whose rows are made from lines.
pub(super) trait Table: Sized + PartialEq + std::fmt::Debug {
    /// Its name.
    const NAME: &'static str;
    /// The columns that say which row it is.
    const KEY: &'static [&'static str];
    /// Every derived column, those of the key first.
    const COLUMNS: &'static [&'static str];
    /// The values, in the order of the columns.
    fn values(&self) -> Vec<Value>;
    /// Reads a row that has these columns.
    fn read(row: &AnyRow) -> Result<Self, StoreError>;
}

/// Declares a row, `in` a table, known `by` these columns. A field's column has its name, or the one behind `=>`.
macro_rules! table {
    (
        $(#[$about_row:meta])*
        $row_vis:vis struct $row:ident in $table:literal by $key:tt {
            $($(#[$about:meta])* $vis:vis $field:ident: $kind:ty $(=> $column:literal)?,)+
        }
    ) => {
        $(#[$about_row])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $row_vis struct $row {
            $($(#[$about])* $vis $field: $kind,)+
        }

        impl $crate::store::rows::Table for $row {
            const NAME: &'static str = $table;
            const KEY: &'static [&'static str] = &$key;
            const COLUMNS: &'static [&'static str] = &[$(table!(@column $field $($column)?)),+];

            fn values(&self) -> Vec<$crate::store::sql::Value> {
                vec![$($crate::store::rows::cells::Column::value(&self.$field)),+]
            }

            fn read(row: &sqlx::any::AnyRow) -> Result<Self, $crate::store::StoreError> {
                let cells = $crate::store::rows::Cells { row, table: Self::NAME };
                Ok(Self { $($field: cells.get(table!(@column $field $($column)?))?),+ })
            }
        }
    };
    (@column $field:ident) => { stringify!($field) };
    (@column $field:ident $column:literal) => { $column };
}
use table;
