//! Who a database file belongs to: real items, a demo's made-up items, or another program.
//!
//! SQLite keeps a number for this in the file's header, the `application_id`.

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
    sql_query, sql_types::Integer,
};

use crate::cli::exit::CommandError;

/// The id of a file with real items: "HNin".
const REAL: i32 = 0x484e_696e;
/// The id of a file with a demo's items: "HNde".
const DEMO: i32 = 0x484e_6465;
/// The id of a file that no program has marked. SQLite's default.
const UNMARKED: i32 = 0;

const OTHER_PROGRAM: &str = "this database belongs to another program; name another file";
const HOLDS_REAL_ITEMS: &str = "this database holds real items, and a demo does not mix with them; leave out --database, or name another file";
const HOLDS_DEMO_ITEMS: &str = "this database was filled by --demo, and real items do not mix with it; name another file, or add --demo";

/// Whether no run and no list has left anything yet.
const IS_EMPTY: &str =
    "SELECT NOT EXISTS (SELECT 1 FROM items) AND NOT EXISTS (SELECT 1 FROM lists)
    AND NOT EXISTS (SELECT 1 FROM absent) AND NOT EXISTS (SELECT 1 FROM failures) AND NOT EXISTS (SELECT 1 FROM users) AS number";

/// Whether there are tables, but not the one that every database of ours has.
const HAS_ONLY_OTHER_TABLES: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%')
    AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '__diesel_schema_migrations') AS number";

const HAS_ITEMS_TABLE: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'items') AS number";

const APPLICATION_ID: &str = "SELECT application_id AS number FROM pragma_application_id";

/// Refuses a database of another program. To be called before the migrations, which would make tables in it.
pub(super) fn refuse_other_programs(conn: &mut SqliteConnection) -> Result<(), CommandError> {
    let is_ours = match read_number(conn, APPLICATION_ID).map_err(failed)? {
        REAL | DEMO => true,
        UNMARKED => read_number(conn, HAS_ONLY_OTHER_TABLES).map_err(failed)? == 0,
        _ => false,
    };
    if is_ours {
        Ok(())
    } else {
        Err(CommandError::new(OTHER_PROGRAM))
    }
}

/// Refuses a database without a table of items, or of another program.
pub(super) fn require_items_table(conn: &mut SqliteConnection) -> Result<(), CommandError> {
    refuse_other_programs(conn)?;
    if read_number(conn, HAS_ITEMS_TABLE).map_err(failed)? == 0 {
        return Err(CommandError::new(
            "this database holds no Hacker News items; name another file",
        ));
    }
    Ok(())
}

/// Marks an empty database as one for real or for demo items. Refuses one that is marked as the other kind.
pub(super) fn mark(conn: &mut SqliteConnection, demo: bool) -> Result<(), CommandError> {
    let wanted = if demo { DEMO } else { REAL };
    // In one transaction, so that two programs that start on one fresh file do not both mark it.
    let refusal = conn.immediate_transaction(|conn| {
        let found = read_number(conn, APPLICATION_ID)?;
        let is_empty = read_number(conn, IS_EMPTY)? == 1;
        let may_be_marked = match found {
            UNMARKED => !demo || is_empty,
            REAL | DEMO => is_empty,
            _ => false,
        };
        if found == wanted {
            return Ok(None);
        }
        if may_be_marked {
            conn.batch_execute(&format!("PRAGMA application_id = {wanted}"))?;
            return Ok(None);
        }
        Ok(Some(match found {
            UNMARKED | REAL => HOLDS_REAL_ITEMS,
            DEMO => HOLDS_DEMO_ITEMS,
            _ => OTHER_PROGRAM,
        }))
    });
    match refusal.map_err(failed)? {
        None => Ok(()),
        Some(refusal) => Err(CommandError::new(refusal)),
    }
}

fn failed(error: diesel::result::Error) -> CommandError {
    CommandError(format!(
        "cannot read or mark which program the database belongs to: {error}"
    ))
}

/// The answer to a query for one number, whose column is named `number`.
fn read_number(conn: &mut SqliteConnection, query: &str) -> QueryResult<i32> {
    #[derive(QueryableByName)]
    struct OneNumber {
        #[diesel(sql_type = Integer)]
        number: i32,
    }
    sql_query(query)
        .get_result::<OneNumber>(conn)
        .map(|row| row.number)
}
