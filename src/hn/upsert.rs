//! The statement that stores items. Its text is settled by its number of rows, so a connection prepares it once.
//!
//! Diesel's own upserts are prepared anew each time, and to parse one takes SQLite as long as to run it.

use diesel::{
    Column, QueryResult, RunQueryDsl, SqliteConnection,
    dsl::SqlTypeOf,
    query_builder::{AstPass, QueryFragment, QueryId},
    sqlite::Sqlite,
};

use super::{Item, schema::items};

/// Rows of the statement that most items are stored with; larger ones are no faster.
const ROWS: usize = 50;

/// Stores items; each replaces the one of its id. No id may come twice.
pub(super) fn save(conn: &mut SqliteConnection, items: &[&Item], at: i64) -> QueryResult<()> {
    let (many, few) = items.as_chunks::<ROWS>();
    for items in many {
        Upsert { items, at }.execute(conn)?;
    }
    for item in few {
        let items = std::array::from_ref(item);
        Upsert { items, at }.execute(conn)?;
    }
    Ok(())
}

struct Upsert<'a, const N: usize> {
    items: &'a [&'a Item; N],
    at: i64,
}

macro_rules! columns {
    ($($column:ident)*) => {
        const NAMES: &[&str] = &[$(items::$column::NAME),*];

        fn bind<'b>(out: &mut AstPass<'_, 'b, Sqlite>, item: &'b Item) -> QueryResult<()> {
            // A field that is not named here does not compile.
            let Item { $($column),* } = item;
            $(
                out.push_bind_param::<SqlTypeOf<items::$column>, _>($column)?;
                out.push_sql(",");
            )*
            Ok(())
        }
    };
}

// All but `fetched_at`, which an item does not know.
columns!(id type_ by time title url text score descendants parent poll kids parts deleted dead extra);

impl<const N: usize> QueryFragment<Sqlite> for Upsert<'_, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO items (");
        for name in NAMES {
            out.push_identifier(name)?;
            out.push_sql(",");
        }
        out.push_sql("fetched_at) VALUES ");
        for (row, item) in self.items.iter().enumerate() {
            out.push_sql(if row == 0 { "(" } else { "),(" });
            bind(&mut out, item)?;
            out.push_bind_param::<SqlTypeOf<items::fetched_at>, _>(&self.at)?;
        }
        out.push_sql(") ON CONFLICT (id) DO UPDATE SET ");
        for name in NAMES {
            out.push_identifier(name)?;
            out.push_sql("=excluded.");
            out.push_identifier(name)?;
            out.push_sql(",");
        }
        out.push_sql("fetched_at=excluded.fetched_at");
        Ok(())
    }
}

impl<const N: usize> QueryId for Upsert<'_, N> {
    type QueryId = Upsert<'static, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const N: usize> RunQueryDsl<SqliteConnection> for Upsert<'_, N> {}
