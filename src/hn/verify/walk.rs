//! Reads the ranges of `coverage` and all rows of `items`, `absent` and `failures`, in ascending order.

#[cfg(feature = "postgres")]
use std::collections::VecDeque;

#[cfg(feature = "postgres")]
use diesel::{PgConnection, connection::SimpleConnection};
use diesel::{
    QueryResult, RunQueryDsl,
    dsl::sql,
    sql_types::{BigInt, Binary, Integer, Nullable},
};

use crate::hn::{
    connection::{Backend, HnConnection},
    coverage::Range,
};

/// What the walk reads, one after the other.
pub(super) enum Entry {
    Range(Range),
    Row(Row),
}

/// A row of one of the tables that settle an id.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) table: Table,
    /// The JSON fields of an item are bytes: a field that is not text must not end the walk.
    pub(super) kids: Option<Vec<u8>>,
    pub(super) parts: Option<Vec<u8>>,
    pub(super) extra: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Items,
    Absent,
    Failures,
}

impl Row {
    /// Whether the row should be in `coverage`. An absent id need not be: it may be fetched again.
    pub(super) fn is_settled(&self) -> bool {
        self.table != Table::Absent && self.id > 0
    }
}

/// Shows every entry at `from` or later by ascending id, as long as `visit` returns true. Belongs into a transaction.
///
/// A range comes before the rows of its first id. An id that is in several tables comes once for each, the item first.
pub(super) fn walk(
    conn: &mut impl HnConnection,
    from: i64,
    mut visit: impl FnMut(Entry) -> bool,
) -> QueryResult<()> {
    // Quoted, because PostgreSQL takes the smallest number for one of another type.
    let parts = PARTS.map(|part| format!("{part} >= '{from}'"));
    match conn.backend() {
        Backend::Sqlite(conn) => {
            // SQLite merges the four, each in the order of its key. Nothing is sorted, and no result is held.
            let query = format!("{} ORDER BY 1, 2", parts.join(" UNION ALL "));
            for row in sql::<SqlTypes>(&query).load_iter::<Columns, _>(conn)? {
                if !visit(Entry::new(row?)) {
                    break;
                }
            }
            Ok(())
        }
        #[cfg(feature = "postgres")]
        Backend::Postgres(conn) => {
            let mut parts = Parts::open(conn, &parts)?;
            while let Some(row) = parts.next(conn)? {
                if !visit(Entry::new(row)) {
                    break;
                }
            }
            parts.close(conn)
        }
    }
}

/// What the walk reads. Each ends with its key.
const PARTS: [&str; 4] = [
    "SELECT lo, 0, hi, NULL, NULL, NULL FROM coverage WHERE lo",
    "SELECT id, 1, NULL, kids, parts, extra FROM items WHERE id",
    "SELECT id, 2, NULL, NULL, NULL, NULL FROM absent WHERE id",
    "SELECT id, 3, NULL, NULL, NULL, NULL FROM failures WHERE id",
];

/// Cursors of PostgreSQL, whose rows are merged here: PostgreSQL itself would sort all of them first. An unfinished result would
/// be read to its end when it is dropped; the rest of a cursor stays with the server.
#[cfg(feature = "postgres")]
struct Parts([VecDeque<Columns>; PARTS.len()]);

#[cfg(feature = "postgres")]
impl Parts {
    fn open(conn: &mut PgConnection, queries: &[String; PARTS.len()]) -> QueryResult<Self> {
        let mut parts = Self(Default::default());
        for (number, query) in queries.iter().enumerate() {
            let cursor = format!("DECLARE walk_{number} NO SCROLL CURSOR FOR {query} ORDER BY 1");
            conn.batch_execute(&cursor)?;
            parts.fetch(conn, number)?;
        }
        Ok(parts)
    }

    fn fetch(&mut self, conn: &mut PgConnection, number: usize) -> QueryResult<()> {
        let rows = sql::<SqlTypes>(&format!("FETCH 500 FROM walk_{number}"));
        self.0[number] = rows.load::<Columns>(conn)?.into();
        Ok(())
    }

    fn next(&mut self, conn: &mut PgConnection) -> QueryResult<Option<Columns>> {
        let first = |rows: &VecDeque<Columns>| rows.front().map(|row| (row.0, row.1));
        let firsts = self.0.iter().enumerate();
        let firsts = firsts.filter_map(|(number, rows)| Some((first(rows)?, number)));
        let Some((_, number)) = firsts.min() else {
            return Ok(None);
        };
        let row = self.0[number].pop_front();
        if self.0[number].is_empty() {
            self.fetch(conn, number)?;
        }
        Ok(row)
    }

    fn close(&self, conn: &mut PgConnection) -> QueryResult<()> {
        (0..self.0.len()).try_for_each(|number| conn.batch_execute(&format!("CLOSE walk_{number}")))
    }
}

type Number = Nullable<BigInt>;
type Field = Nullable<Binary>;
type SqlTypes = (BigInt, Integer, Number, Field, Field, Field);

type Bytes = Option<Vec<u8>>;
type Columns = (i64, i32, Option<i64>, Bytes, Bytes, Bytes);

impl Entry {
    fn new((id, kind, hi, kids, parts, extra): Columns) -> Self {
        match (kind, hi) {
            (0, Some(hi)) => Self::Range(Range { lo: id, hi }),
            _ => Self::Row(Row {
                id,
                table: match kind {
                    1 => Table::Items,
                    2 => Table::Absent,
                    _ => Table::Failures,
                },
                kids,
                parts,
                extra,
            }),
        }
    }
}
