//! Reads the ranges of `coverage` and all rows of `items`, `absent` and `failures`, in ascending order.

#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection;
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
    // The database merges the four, each in the order of its key. Nothing is sorted, and no result is held.
    // Quoted, because PostgreSQL takes the smallest number for one of another type.
    let query = format!(
        "SELECT lo, 0, hi, NULL, NULL, NULL FROM coverage WHERE lo >= '{from}'
         UNION ALL SELECT id, 1, NULL, kids, parts, extra FROM items WHERE id >= '{from}'
         UNION ALL SELECT id, 2, NULL, NULL, NULL, NULL FROM absent WHERE id >= '{from}'
         UNION ALL SELECT id, 3, NULL, NULL, NULL, NULL FROM failures WHERE id >= '{from}'
         ORDER BY 1, 2",
    );
    match conn.backend() {
        Backend::Sqlite(conn) => {
            for row in sql::<SqlTypes>(&query).load_iter::<Columns, _>(conn)? {
                if !visit(Entry::new(row?)) {
                    break;
                }
            }
            Ok(())
        }
        #[cfg(feature = "postgres")]
        Backend::Postgres(conn) => {
            // Dropping an unfinished result would read all of it. A cursor's rest stays with the server.
            conn.batch_execute(&format!("DECLARE walk NO SCROLL CURSOR FOR {query}"))?;
            let mut goes_on = true;
            while goes_on {
                let rows: Vec<Columns> = sql::<SqlTypes>(FETCH).load(conn)?;
                goes_on = !rows.is_empty() && rows.into_iter().all(|row| visit(Entry::new(row)));
            }
            conn.batch_execute("CLOSE walk")
        }
    }
}

/// Rows that are in memory at once.
#[cfg(feature = "postgres")]
const FETCH: &str = "FETCH 500 FROM walk";

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
