//! The indexes that users of the tables need.
//!
//! They are built when a backfill is complete. An insert into a table with four indexes costs several times an insert without,
//! while each index that is built at the end costs one sort.

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query,
    sql_types::Text,
};

use super::connection::{HnConnection, on_backend};

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

/// The indexes that are not built yet.
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

/// Builds indexes, each in a transaction of its own. Nothing else can write meanwhile: seconds for a million items. `begin` is called
/// with each before it is built.
///
/// # Errors
/// Whatever Diesel says. The indexes before the one that failed are built.
pub(crate) fn build(
    conn: &mut impl HnConnection,
    indexes: &[Index],
    mut begin: impl FnMut(&Index),
) -> QueryResult<()> {
    for index in indexes {
        begin(index);
        let Index { name, columns } = index;
        let statement = format!("CREATE INDEX IF NOT EXISTS {name} ON items {columns}");
        conn.write_transaction(|conn| {
            // Two programs may build the same index at once.
            let lock = conn.dialect().lock_indexes;
            on_backend!(conn, |conn| conn
                .batch_execute(lock)
                .and_then(|()| conn.batch_execute(&statement)))
        })?;
    }
    Ok(())
}
