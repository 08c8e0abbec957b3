//! The search index: whether there is one, and how it is built and dropped.
//!
//! It is built in steps, each of which commits, so that others can write meanwhile and an interrupted build goes on where it was. The
//! table `search_index` has one row, with the first id that is not in the index yet. It is made with the index. Before, the tables of
//! items know nothing of an index, so a backfill loses nothing.

use diesel::{
    QueryResult, RunQueryDsl,
    connection::{DefaultLoadingMode, SimpleConnection},
    dsl::{select, sql},
    sql_types::{BigInt, Bool, Nullable, Text},
};

#[cfg(feature = "postgres")]
use super::postgres;
use super::{content::Content, parts::IndexPart, sqlite, statement::Part};
use crate::hn::connection::{Backend, HnConnection, on_backend};

/// The search index of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SearchIndex {
    pub(crate) content: Content,
    /// Items with smaller ids are in the index; `None` if all are.
    pub(crate) next_id: Option<i64>,
}

impl SearchIndex {
    /// Reads what there is. `None` if no index was begun.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub(crate) fn read(conn: &mut impl HnConnection) -> QueryResult<Option<Self>> {
        let is_there = select(sql::<Bool>(conn.dialect().has_search_index));
        if !on_backend!(conn, |conn| is_there.get_result::<bool>(conn))? {
            return Ok(None);
        }
        let row = sql::<(Text, Nullable<BigInt>)>("SELECT content, next_id FROM search_index");
        let rows: Vec<(String, Option<i64>)> = on_backend!(conn, |conn| row.load(conn))?;
        Ok(rows.into_iter().next().map(|(content, next_id)| Self {
            content: Content::of_name(&content),
            next_id,
        }))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.next_id.is_none()
    }
}

/// Makes an empty index, unless there is one. From then on every change of what it holds reaches it.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn begin(conn: &mut impl HnConnection, content: Content) -> QueryResult<()> {
    conn.write_transaction(|conn| {
        lock(conn)?;
        if SearchIndex::read(conn)?.is_some() {
            return Ok(());
        }
        let table = "CREATE TABLE search_index (id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1), content TEXT NOT NULL, next_id BIGINT)";
        on_backend!(conn, |conn| conn.batch_execute(table))?;
        let row = Part::new("INSERT INTO search_index (id, content, next_id) VALUES (1, ")
            .text(content.name())
            .sql(", ")
            .number(i64::MIN)
            .sql(")");
        on_backend!(conn, |conn| row.execute(conn))?;
        match conn.backend() {
            Backend::Sqlite(conn) => sqlite::create(conn, content),
            #[cfg(feature = "postgres")]
            Backend::Postgres(conn) => postgres::create(conn),
        }
    })
}

/// Builds a part of the index that was begun. Several processes may do so at once. Returns the index as it is then.
///
/// # Errors
/// Whatever Diesel says. What was built before stays.
pub(crate) fn build_on(conn: &mut impl HnConnection) -> QueryResult<Option<SearchIndex>> {
    match conn.backend() {
        Backend::Sqlite(_) => conn.write_transaction(|conn| {
            let Some(index) = SearchIndex::read(conn)? else {
                return Ok(None);
            };
            let (Some(from), Backend::Sqlite(sqlite)) = (index.next_id, conn.backend()) else {
                return Ok(Some(index));
            };
            let next_id = sqlite::add_rows(sqlite, index.content, from)?;
            save(conn, next_id)?;
            Ok(Some(SearchIndex { next_id, ..index }))
        }),
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => {
            let Some(index) = SearchIndex::read(conn)?.filter(|index| !index.is_complete()) else {
                return SearchIndex::read(conn);
            };
            if let Backend::Postgres(conn) = conn.backend() {
                let is_built = |conn: &mut diesel::PgConnection| {
                    let now = SearchIndex::read(conn)?;
                    Ok(now.is_none_or(|index| index.is_complete()))
                };
                postgres::build(conn, index.content, is_built)?;
            }
            save(conn, None)?;
            SearchIndex::read(conn)
        }
    }
}

fn save(conn: &mut impl HnConnection, next_id: Option<i64>) -> QueryResult<()> {
    let update = Part::new("UPDATE search_index SET next_id = ");
    let update = match next_id {
        Some(id) => update.number(id),
        None => update.sql("NULL"),
    };
    on_backend!(conn, |conn| update.execute(conn)).map(drop)
}

/// Drops the index and all that belongs to it.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn drop_index(conn: &mut impl HnConnection) -> QueryResult<()> {
    conn.write_transaction(|conn| {
        lock(conn)?;
        match conn.backend() {
            Backend::Sqlite(conn) => conn.batch_execute(sqlite::DROP),
            #[cfg(feature = "postgres")]
            Backend::Postgres(conn) => conn.batch_execute(postgres::DROP),
        }
    })
}

/// The parts that the index should have and has not: another program has dropped them, or another version has made the index.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn missing_parts(
    conn: &mut impl HnConnection,
    index: SearchIndex,
) -> QueryResult<Vec<IndexPart>> {
    let (mut parts, present) = match conn.backend() {
        Backend::Sqlite(_) => (sqlite::parts(index.content), sqlite::PRESENT),
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => (postgres::parts(index.is_complete()), postgres::PRESENT),
    };
    let present = sql::<(Text, Text)>(present);
    let present: Vec<(String, String)> = on_backend!(conn, |conn| present.load(conn))?;
    parts.retain(|part| {
        let is_part =
            |(kind, name): &(String, String)| kind == part.kind.name() && *name == part.name;
        !present.iter().any(is_part)
    });
    Ok(parts)
}

/// The ids of items that the index should hold and does not, or the other way round.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn differences<C: Default + Extend<i64>>(
    conn: &mut impl HnConnection,
) -> QueryResult<C> {
    let mut found = C::default();
    let Some(index) = SearchIndex::read(conn)? else {
        return Ok(found);
    };
    match conn.backend() {
        Backend::Sqlite(conn) => {
            let ids = sql::<BigInt>(&sqlite::differences(index.content));
            for id in ids.load_iter::<i64, DefaultLoadingMode>(conn)? {
                found.extend([id?]);
            }
        }
        // The server keeps its indexes by itself.
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => {}
    }
    Ok(found)
}

/// The largest id of an item, or 0.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn last_id(conn: &mut impl HnConnection) -> QueryResult<i64> {
    let last = select(sql::<BigInt>("(SELECT coalesce(max(id), 0) FROM items)"));
    on_backend!(conn, |conn| last.get_result(conn))
}

/// One transaction at a time makes or drops indexes.
fn lock(conn: &mut impl HnConnection) -> QueryResult<()> {
    let lock = conn.dialect().lock_indexes;
    on_backend!(conn, |conn| conn.batch_execute(lock))
}
