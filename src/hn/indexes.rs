//! The indexes that users of the tables need, built when a backfill is complete: a row that is inserted into four indexes
//! costs several times one that is not, and at the end each is a single sort.

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
    sql_query, sql_types::Text,
};

/// Name, and what it is on.
const INDEXES: [Index; 4] = [
    Index("items_by_parent", "(parent)"),
    Index("items_by_author", "(by)"),
    Index("items_by_time", "(time)"),
    Index("items_by_type_and_score", "(type, score)"),
];

/// An index of the table `items`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index(&'static str, &'static str);

/// Those that are not built yet.
///
/// # Errors
/// Whatever Diesel says.
pub fn missing(conn: &mut SqliteConnection) -> QueryResult<Vec<Index>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let there: Vec<Name> =
        sql_query("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'items'")
            .load(conn)?;
    let is_there = |index: &Index| there.iter().any(|name| name.name == index.0);
    Ok(INDEXES
        .into_iter()
        .filter(|index| !is_there(index))
        .collect())
}

/// Builds indexes, each in a transaction of its own. Nobody else can write meanwhile: seconds for a million items.
///
/// # Errors
/// Whatever Diesel says; those before the one that failed are built.
pub fn build(conn: &mut SqliteConnection, indexes: &[Index]) -> QueryResult<()> {
    indexes.iter().try_for_each(|Index(name, on)| {
        conn.batch_execute(&format!("CREATE INDEX IF NOT EXISTS {name} ON items {on}"))
    })
}
