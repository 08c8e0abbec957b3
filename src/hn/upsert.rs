//! The statement that stores records: items or users. Its text depends only on its number of rows, so a connection prepares it once.
//!
//! Diesel's own upserts are prepared each time, which takes SQLite as long as running them.

use diesel::{
    Column, QueryResult, RunQueryDsl, SqliteConnection,
    dsl::SqlTypeOf,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::BigInt,
    sqlite::Sqlite,
};

use super::{
    connection::{HnConnection, on_backend},
    item::Item,
    schema::{items, users},
    user::User,
};

/// Rows of the statement that stores most records. A larger statement is no faster.
const ROWS: usize = 50;

/// A record, and when it was received, in Unix seconds.
pub(super) struct Received<'a, R> {
    pub(super) record: &'a R,
    pub(super) fetched_at: i64,
}

/// A record that has a table.
pub(super) trait Stored: 'static {
    const TABLE: &'static str;
    /// All columns but `fetched_at`, which a record does not have. In the table's order: any other makes SQLite copy each row once
    /// more.
    const COLUMNS: &'static [&'static str];

    fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;
}

/// Stores records. Each replaces the stored one of its id, unless that was received later. No id may come twice.
pub(super) fn save<R: Stored>(
    conn: &mut impl HnConnection,
    records: &[Received<'_, R>],
) -> QueryResult<()> {
    let (chunks, rest) = records.as_chunks::<ROWS>();
    for rows in chunks {
        on_backend!(conn, |conn| Upsert { rows }.execute(conn))?;
    }
    for row in rest {
        let rows = std::array::from_ref(row);
        on_backend!(conn, |conn| Upsert { rows }.execute(conn))?;
    }
    Ok(())
}

struct Upsert<'a, R, const N: usize> {
    rows: &'a [Received<'a, R>; N],
}

/// Lists the columns. A function in parentheses makes the column's value of the record's.
macro_rules! stored {
    ($record:ident in $table:ident: $($column:ident $(($value:ident))?)*) => {
        impl Stored for $record {
            const TABLE: &'static str = stringify!($table);
            const COLUMNS: &'static [&'static str] = &[$($table::$column::NAME),*];

            fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                // A field that is missing here does not compile.
                let $record { $($column),* } = self;
                $(
                    $(let $column = $value($column);)?
                    out.push_bind_param::<SqlTypeOf<$table::$column>, _>($column)?;
                    out.push_sql(",");
                )*
                Ok(())
            }
        }
    };
}

stored!(Item in items: id type_ by time title url text score descendants parent poll kids parts deleted(integer) dead(integer) extra);
stored!(User in users: id created karma about submitted extra);

/// A bound value must outlive its statement, so each is a constant.
fn integer(flag: &Option<bool>) -> &'static Option<i32> {
    match flag {
        None => &None,
        Some(false) => &Some(0),
        Some(true) => &Some(1),
    }
}

impl<R: Stored, const N: usize> QueryFragment<Sqlite> for Upsert<'_, R, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO ");
        out.push_identifier(R::TABLE)?;
        out.push_sql(" (");
        for name in R::COLUMNS {
            out.push_identifier(name)?;
            out.push_sql(",");
        }
        out.push_sql("fetched_at) VALUES ");
        for (at, Received { record, fetched_at }) in self.rows.iter().enumerate() {
            out.push_sql(if at == 0 { "(" } else { "),(" });
            record.bind(&mut out)?;
            out.push_bind_param::<BigInt, _>(fetched_at)?;
        }
        out.push_sql(") ON CONFLICT (id) DO UPDATE SET ");
        for name in R::COLUMNS {
            out.push_identifier(name)?;
            out.push_sql("=excluded.");
            out.push_identifier(name)?;
            out.push_sql(",");
        }
        out.push_sql("fetched_at=excluded.fetched_at WHERE excluded.fetched_at>=");
        out.push_identifier(R::TABLE)?;
        out.push_sql(".fetched_at");
        Ok(())
    }
}

impl<R: Stored, const N: usize> QueryId for Upsert<'_, R, N> {
    type QueryId = Upsert<'static, R, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R: Stored, const N: usize> RunQueryDsl<SqliteConnection> for Upsert<'_, R, N> {}
