//! Builds indexes on PostgreSQL while others write.
//!
//! `CREATE INDEX CONCURRENTLY` lets others write, runs in no transaction, and leaves an index that is not valid if it is ended. Two at once
//! on one table wait for each other in vain, so the row `indexes` of the table `hn_ingest` names the session that builds. The session of
//! a killed process goes on building, and counts until it has ended.

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    connection::SimpleConnection,
    dsl::{select, sql},
    sql_query,
    sql_types::{Bool, Nullable, Text},
};

/// A session. Its number is used again after a restart of the server.
const THIS_SESSION: &str =
    "concat(pg_backend_pid(), ' of ', extract(epoch FROM pg_postmaster_start_time()))";

/// The sessions that there are.
const SESSIONS: &str = "SELECT concat(pid, ' of ', extract(epoch FROM pg_postmaster_start_time())) FROM pg_catalog.pg_stat_activity";

/// Waits for old transactions for as long as it takes. A build that is ended must begin again.
const WITHOUT_TIMEOUTS: &str = "SET lock_timeout = 0; SET statement_timeout = 0";

/// Builds the indexes among these names and columns that are not there, unless another session does. Returns whether it did.
/// `begin` is called with the place of each before it is built.
pub(super) fn build(
    conn: &mut PgConnection,
    indexes: &[(&str, &str)],
    begin: impl FnMut(usize),
) -> QueryResult<bool> {
    if !claim(conn)? {
        return Ok(false);
    }
    let timeouts: String = select(sql::<Text>(
        "concat('SET lock_timeout = ', quote_literal(current_setting('lock_timeout')),
            '; SET statement_timeout = ', quote_literal(current_setting('statement_timeout')))",
    ))
    .get_result(conn)?;
    let built = conn
        .batch_execute(WITHOUT_TIMEOUTS)
        .and_then(|()| build_missing(conn, indexes, begin));
    // If the connection is lost, both are over anyway.
    let _ = conn.batch_execute(&timeouts);
    let _ = release(conn);
    built.map(|()| true)
}

fn claim(conn: &mut PgConnection) -> QueryResult<bool> {
    let claim = format!(
        "UPDATE hn_ingest SET value = {THIS_SESSION}
         WHERE name = 'indexes' AND (value IS NULL OR value NOT IN ({SESSIONS}) OR value = {THIS_SESSION})"
    );
    Ok(sql_query(claim).execute(conn)? > 0)
}

fn release(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(&format!(
        "UPDATE hn_ingest SET value = NULL WHERE name = 'indexes' AND value = {THIS_SESSION}"
    ))
}

fn build_missing(
    conn: &mut PgConnection,
    indexes: &[(&str, &str)],
    mut begin: impl FnMut(usize),
) -> QueryResult<()> {
    for (place, (name, columns)) in indexes.iter().enumerate() {
        begin(place);
        match is_valid(conn, name)? {
            Some(true) => continue,
            Some(false) => conn.batch_execute(&format!("DROP INDEX CONCURRENTLY {name}"))?,
            None => {}
        }
        conn.batch_execute(&format!(
            "CREATE INDEX CONCURRENTLY {name} ON items {columns}"
        ))?;
    }
    Ok(())
}

/// Whether an index can be used. `None` if there is none.
fn is_valid(conn: &mut PgConnection, name: &str) -> QueryResult<Option<bool>> {
    let query = sql::<Nullable<Bool>>(
        "(SELECT indisvalid FROM pg_catalog.pg_index
          WHERE indexrelid = to_regclass(concat(quote_ident(current_schema()), '.', ",
    )
    .bind::<Text, _>(name)
    .sql(")))");
    select(query).get_result(conn)
}

/// The owner of the table of items, without whose rights no index can be built, if this role lacks them.
pub(super) fn owner_to_ask(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    select(sql::<Nullable<Text>>(
        "(SELECT pg_catalog.pg_get_userbyid(relowner)::text FROM pg_catalog.pg_class
          WHERE oid = to_regclass(concat(quote_ident(current_schema()), '.items'))
              AND NOT pg_catalog.pg_has_role(relowner, 'USAGE'))",
    ))
    .get_result(conn)
}
