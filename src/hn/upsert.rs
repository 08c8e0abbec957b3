//! The statement that stores items. Its text depends only on its number of rows, so a connection prepares it once.
//!
//! Diesel's own upserts are prepared each time, which takes SQLite as long as running them.

use diesel::{
    Column, QueryResult, RunQueryDsl, SqliteConnection,
    dsl::SqlTypeOf,
    query_builder::{AstPass, QueryFragment, QueryId},
    sqlite::Sqlite,
};

use super::{item::Item, schema::items};

/// Rows of the statement that stores most items. A larger statement is no faster.
const ROWS: usize = 50;

/// An item, and when it was received, in Unix seconds.
#[derive(Clone, Copy)]
pub(super) struct ReceivedItem<'a> {
    pub(super) item: &'a Item,
    pub(super) fetched_at: i64,
}

/// Stores items. Each replaces the stored one of its id, unless that was received later. No id may come twice.
pub(super) fn save(conn: &mut SqliteConnection, items: &[ReceivedItem<'_>]) -> QueryResult<()> {
    let (chunks, rest) = items.as_chunks::<ROWS>();
    for items in chunks {
        Upsert { items }.execute(conn)?;
    }
    for item in rest {
        let items = std::array::from_ref(item);
        Upsert { items }.execute(conn)?;
    }
    Ok(())
}

struct Upsert<'a, const N: usize> {
    items: &'a [ReceivedItem<'a>; N],
}

/// Lists the columns. A function in parentheses makes the column's value of the item's.
macro_rules! columns {
    ($($column:ident $(($value:ident))?)*) => {
        const NAMES: &[&str] = &[$(items::$column::NAME),*];

        fn bind<'b>(out: &mut AstPass<'_, 'b, Sqlite>, item: &'b Item) -> QueryResult<()> {
            // A field that is missing here does not compile.
            let Item { $($column),* } = item;
            $(
                $(let $column = $value($column);)?
                out.push_bind_param::<SqlTypeOf<items::$column>, _>($column)?;
                out.push_sql(",");
            )*
            Ok(())
        }
    };
}

// All columns but `fetched_at`, which an item does not have. In the table's order: any other makes SQLite copy each row once more.
columns!(id type_ by time title url text score descendants parent poll kids parts deleted(integer) dead(integer) extra);

/// A bound value must outlive its statement, so each is a constant.
fn integer(flag: &Option<bool>) -> &'static Option<i32> {
    match flag {
        None => &None,
        Some(false) => &Some(0),
        Some(true) => &Some(1),
    }
}

impl<const N: usize> QueryFragment<Sqlite> for Upsert<'_, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO items (");
        for name in NAMES {
            out.push_identifier(name)?;
            out.push_sql(",");
        }
        out.push_sql("fetched_at) VALUES ");
        for (row, ReceivedItem { item, fetched_at }) in self.items.iter().enumerate() {
            out.push_sql(if row == 0 { "(" } else { "),(" });
            bind(&mut out, item)?;
            out.push_bind_param::<SqlTypeOf<items::fetched_at>, _>(fetched_at)?;
        }
        out.push_sql(") ON CONFLICT (id) DO UPDATE SET ");
        for name in NAMES {
            out.push_identifier(name)?;
            out.push_sql("=excluded.");
            out.push_identifier(name)?;
            out.push_sql(",");
        }
        out.push_sql("fetched_at=excluded.fetched_at ");
        out.push_sql("WHERE excluded.fetched_at>=items.fetched_at");
        Ok(())
    }
}

impl<const N: usize> QueryId for Upsert<'_, N> {
    type QueryId = Upsert<'static, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const N: usize> RunQueryDsl<SqliteConnection> for Upsert<'_, N> {}
