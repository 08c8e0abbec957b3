//! Whether a database holds a demo's made-up items or real ones: SQLite's own mark for "which program's file is this".

use diesel::{
    QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection, sql_query,
    sql_types::Integer,
};

use super::Refusal;

/// "HNin"
const REAL: i32 = 0x484e_696e;
/// "HNde"
const DEMO: i32 = 0x484e_6465;
const UNMARKED: i32 = 0;

const FOREIGN: &str = "this database belongs to another program; name another file";

/// Whether nothing was fetched yet, be it a list.
const NOTHING_YET: &str =
    "SELECT NOT EXISTS (SELECT 1 FROM items) AND NOT EXISTS (SELECT 1 FROM lists)
    AND NOT EXISTS (SELECT 1 FROM absent) AND NOT EXISTS (SELECT 1 FROM failures) AS number";

/// Whether there are tables, and none of them is that of our migrations.
const STRANGE: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%')
    AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '__diesel_schema_migrations') AS number";

/// Refuses another program's database, before tables are made in it.
pub(super) fn spare_strangers(conn: &mut SqliteConnection) -> Result<(), Refusal> {
    let id = application_id(conn).map_err(failed)?;
    let is_ours = match id {
        REAL | DEMO => true,
        UNMARKED => number(conn, STRANGE).map_err(failed)? == 0,
        _ => false,
    };
    if is_ours {
        Ok(())
    } else {
        Err(Refusal::new(FOREIGN))
    }
}

/// Marks a fresh database, and refuses to mix what a demo made up with what is real.
pub(super) fn claim(conn: &mut SqliteConnection, demo: bool) -> Result<(), Refusal> {
    let wanted = if demo { DEMO } else { REAL };
    conn.immediate_transaction(|conn| {
        let found = application_id(conn)?;
        let is_empty = number(conn, NOTHING_YET)? == 1;
        match found {
            found if found == wanted => Ok(Ok(())),
            UNMARKED if !demo => mark(conn, wanted),
            UNMARKED | REAL | DEMO if is_empty => mark(conn, wanted),
            UNMARKED | REAL => Ok(Err(
                "this database holds real items; a demo does not mix with them: leave out --database, or name another file",
            )),
            DEMO => Ok(Err(
                "this database was filled by --demo; real items do not mix with it: name another file, or add --demo",
            )),
            _ => Ok(Err(FOREIGN)),
        }
    })
    .map_err(failed)?
    .map_err(Refusal::new)
}

fn mark(conn: &mut SqliteConnection, id: i32) -> diesel::QueryResult<Result<(), &'static str>> {
    conn.batch_execute(&format!("PRAGMA application_id = {id}"))?;
    Ok(Ok(()))
}

fn application_id(conn: &mut SqliteConnection) -> diesel::QueryResult<i32> {
    number(
        conn,
        "SELECT application_id AS number FROM pragma_application_id",
    )
}

fn failed(error: diesel::result::Error) -> Refusal {
    Refusal(format!("cannot read or mark whose database it is: {error}"))
}

/// Refuses a database that neither a command of ours nor an embedder has filled.
pub(super) fn recognise(conn: &mut SqliteConnection) -> Result<(), Refusal> {
    spare_strangers(conn)?;
    let table = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'items') AS number";
    match number(conn, table).map_err(failed)? {
        0 => Err(Refusal::new(
            "this database holds no Hacker News items; name another file",
        )),
        _ => Ok(()),
    }
}

fn number(conn: &mut SqliteConnection, query: &str) -> diesel::QueryResult<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        number: i32,
    }
    sql_query(query)
        .get_result::<Row>(conn)
        .map(|row| row.number)
}
