//! A page of rows: how many are in memory at once, and which rows cannot be copied.
//!
//! SQLite keeps any value in any column, such as bytes in a column of texts. A row with such a value is refused, because reading
//! it as its column's type would change it.

use diesel::QueryResult;
use serde::Serialize;

use crate::hn::dialect::Dialect;

/// Rows of a page. A larger one is hardly faster.
pub(super) const ROWS: i64 = 2000;

/// A page ends behind the row with which its texts reach this size.
const BYTES: usize = 8 << 20;

/// Rows behind a key.
pub(super) struct Page<R, K> {
    pub(super) rows: Vec<R>,
    pub(super) refused: Vec<Refused>,
    /// How many rows were read, the refused ones included.
    pub(super) read: u64,
    /// The last key. `None` if there was nothing behind the key.
    pub(super) last: Option<K>,
}

/// A row that is not copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Refused {
    pub(crate) table: &'static str,
    /// The row's key.
    pub(crate) key: String,
    pub(crate) column: String,
    /// What is wrong with its value.
    pub(crate) why: &'static str,
}

/// Why a row is not copied.
pub(super) struct Misfit {
    pub(super) column: String,
    pub(super) why: &'static str,
}

pub(super) const OTHER_TYPE: &str = "it is not of the column's type";
const NOT_UTF8: &str = "it is not UTF-8";

/// One row as it was read.
pub(super) struct ReadRow<R, K> {
    pub(super) key: K,
    pub(super) row: Result<R, Misfit>,
    /// About how much memory it takes.
    pub(super) bytes: usize,
}

impl<R, K: ToString> Page<R, K> {
    /// Takes rows until the page is full.
    pub(super) fn of(
        table: &'static str,
        rows: impl Iterator<Item = QueryResult<ReadRow<R, K>>>,
    ) -> QueryResult<Self> {
        Self::up_to(BYTES, table, rows)
    }

    /// Takes all rows.
    pub(super) fn whole(
        table: &'static str,
        rows: impl Iterator<Item = QueryResult<ReadRow<R, K>>>,
    ) -> QueryResult<Self> {
        Self::up_to(usize::MAX, table, rows)
    }

    fn up_to(
        bytes_max: usize,
        table: &'static str,
        rows: impl Iterator<Item = QueryResult<ReadRow<R, K>>>,
    ) -> QueryResult<Self> {
        let mut page = Self {
            rows: Vec::new(),
            refused: Vec::new(),
            read: 0,
            last: None,
        };
        let mut bytes = 0;
        for read in rows {
            let ReadRow {
                key,
                row,
                bytes: more,
            } = read?;
            bytes += more;
            page.read += 1;
            match row {
                Ok(row) => page.rows.push(row),
                Err(Misfit { column, why }) => page.refused.push(Refused {
                    table,
                    key: key.to_string(),
                    column,
                    why,
                }),
            }
            page.last = Some(key);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(page)
    }
}

/// A text as its bytes: SQLite also keeps those that are not UTF-8.
pub(super) fn text(column: &str, bytes: Option<Vec<u8>>) -> Result<Option<String>, Misfit> {
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|_| Misfit {
        column: column.to_owned(),
        why: NOT_UTF8,
    })
}

/// As [`text`], for a column that is never empty.
pub(super) fn some_text(column: &str, bytes: Vec<u8>) -> Result<String, Misfit> {
    text(column, Some(bytes)).map(Option::unwrap_or_default)
}

/// Makes an error of what [`misfit_column`] found.
pub(super) fn require_types(column: Option<String>) -> Result<(), Misfit> {
    match column {
        None => Ok(()),
        Some(column) => Err(Misfit {
            column,
            why: OTHER_TYPE,
        }),
    }
}

/// Columns whose values are checked.
pub(super) struct Columns {
    pub(super) texts: &'static [&'static str],
    pub(super) numbers: &'static [&'static str],
    /// Those that hold 0 or 1.
    pub(super) flags: &'static [&'static str],
}

impl Columns {
    /// An expression that gives the name of the first column whose value does not have the column's type, or NULL.
    pub(super) fn misfit_column(&self, dialect: &Dialect) -> String {
        let mut cases = String::new();
        let mut add = |column: &str, condition: String| {
            cases.push_str(&format!(" WHEN {condition} THEN '{column}'"));
        };
        if !dialect.has_typed_columns {
            for column in self.texts {
                add(
                    column,
                    format!("typeof(\"{column}\") NOT IN ('text', 'null')"),
                );
            }
            for column in self.numbers.iter().chain(self.flags) {
                add(
                    column,
                    format!("typeof(\"{column}\") NOT IN ('integer', 'null')"),
                );
            }
        }
        for column in self.flags {
            add(column, format!("\"{column}\" NOT IN (0, 1)"));
        }
        if cases.is_empty() {
            "CAST(NULL AS TEXT)".to_owned()
        } else {
            format!("CASE{cases} END")
        }
    }

    /// The columns, quoted: texts, numbers and flags.
    pub(super) fn quoted(columns: &[&str]) -> String {
        let quoted: Vec<_> = columns.iter().map(|name| format!("\"{name}\"")).collect();
        quoted.join(", ")
    }
}
