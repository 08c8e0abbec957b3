//! The indexes that users of the tables need.
//!
//! They are built when a backfill is complete. An insert into a table with four indexes costs several times an insert without,
//! while each index that is built at the end costs one sort.

#[cfg(feature = "postgres")]
mod postgres;

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query,
    sql_types::Text,
};

use super::connection::{Backend, HnConnection, on_backend};

const INDEXES: [Index; 4] = [
    Index::new("items_by_parent", "(parent)"),
    Index::new("items_by_author", "(by)"),
    Index::new("items_by_time", "(time)"),
    Index::new("items_by_type_and_score", "(type, score)"),
];

/// An index of the table `items`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    name: &'static str,
    columns: &'static str,
}

impl Index {
    /// Its name in the database.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    const fn new(name: &'static str, columns: &'static str) -> Self {
        Self { name, columns }
    }
}

/// The indexes that are not built yet, or not to their end.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn missing(conn: &mut impl HnConnection) -> QueryResult<Vec<Index>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let query = sql_query(conn.dialect().indexes_of_items);
    let built: Vec<Name> = on_backend!(conn, |conn| query.load(conn))?;
    let is_built = |index: &Index| built.iter().any(|built| built.name == index.name);
    Ok(INDEXES
        .into_iter()
        .filter(|index| !is_built(index))
        .collect())
}

/// What became of building indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Building {
    Done,
    /// Another process is building indexes.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    Elsewhere,
}

/// Builds indexes. On SQLite nothing else can write meanwhile: seconds for a million items. `begin` is called with each before it is built.
///
/// # Errors
/// Whatever Diesel says. The indexes before the one that failed are built.
pub(crate) fn build(
    conn: &mut impl HnConnection,
    indexes: &[Index],
    mut begin: impl FnMut(&Index),
) -> QueryResult<Building> {
    let named: Vec<_> = indexes.iter().map(|of| (of.name, of.columns)).collect();
    build_named(conn, &named, |place| begin(&indexes[place]))
}

/// As [`build`], for any indexes of items: their names, and what stands behind the table.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn build_named(
    conn: &mut impl HnConnection,
    indexes: &[(&str, &str)],
    mut begin: impl FnMut(usize),
) -> QueryResult<Building> {
    #[cfg(feature = "postgres")]
    if let Backend::Postgres(conn) = conn.backend() {
        let is_done = postgres::build(conn, indexes, begin)?;
        return Ok(if is_done {
            Building::Done
        } else {
            Building::Elsewhere
        });
    }
    for (place, (name, columns)) in indexes.iter().enumerate() {
        begin(place);
        let statement = format!("CREATE INDEX IF NOT EXISTS {name} ON items {columns}");
        conn.write_transaction(|conn| on_backend!(conn, |conn| conn.batch_execute(&statement)))?;
    }
    Ok(Building::Done)
}

/// The role whose rights it takes to build indexes, if this connection's role lacks them.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn owner_to_ask(conn: &mut impl HnConnection) -> QueryResult<Option<String>> {
    match conn.backend() {
        Backend::Sqlite(_) => Ok(None),
        #[cfg(feature = "postgres")]
        Backend::Postgres(conn) => postgres::owner_to_ask(conn),
    }
}
