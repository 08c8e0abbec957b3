//! Who a database file belongs to: real items, a demo's made-up items, or another program.
//!
//! SQLite keeps a number for this in the file's header, the `application_id`.

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
    sql_query, sql_types::Integer,
};

use crate::{cli::exit::CommandError, hn::migrations, store::any::AnyConnection};

/// The id of a file with real items: "HNin".
const REAL: i32 = 0x484e_696e;
/// The id of a file with a demo's items: "HNde".
const DEMO: i32 = 0x484e_6465;
/// The id of a file that no program has marked. SQLite's default.
const UNMARKED: i32 = 0;

const OTHER_PROGRAM: &str = "this database belongs to another program; name another file";
pub(super) const HOLDS_NO_ITEMS: &str =
    "this database holds no Hacker News items; name another file";
const HOLDS_REAL_ITEMS: &str = "this database holds real items, and a demo does not mix with them; leave out --database, or name another file";
const HOLDS_DEMO_ITEMS: &str = "this database was filled by --demo, and real items do not mix with it; name another file, or add --demo";

/// Whether no run and no list has left anything yet.
const IS_EMPTY: &str =
    "SELECT NOT EXISTS (SELECT 1 FROM items) AND NOT EXISTS (SELECT 1 FROM lists)
    AND NOT EXISTS (SELECT 1 FROM absent) AND NOT EXISTS (SELECT 1 FROM failures) AND NOT EXISTS (SELECT 1 FROM users) AS number";

const HAS_TABLES: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%') AS number";

const HAS_ITEMS_TABLE: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'items') AS number";

const APPLICATION_ID: &str = "SELECT application_id AS number FROM pragma_application_id";

/// Whose a database is, as far as its content tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This program's.
    Ours,
    /// There is nothing in it.
    Nobody,
    /// Another program's.
    Other,
}

impl Owner {
    /// Whose a file with this `application_id` is. `None` if the number does not tell.
    pub(super) fn of_application_id(id: i32) -> Option<Self> {
        match id {
            REAL | DEMO => Some(Self::Ours),
            UNMARKED => None,
            _ => Some(Self::Other),
        }
    }

    /// Reads whose a database is. Writes nothing.
    pub(super) fn read(conn: &mut SqliteConnection) -> Result<Self, CommandError> {
        let id = read_number(conn, APPLICATION_ID).map_err(failed)?;
        if let Some(owner) = Self::of_application_id(id) {
            return Ok(owner);
        }
        if read_number(conn, HAS_TABLES).map_err(failed)? == 0 {
            Ok(Self::Nobody)
        } else if migrations::is_known(conn).map_err(CommandError::new)? {
            Ok(Self::Ours)
        } else {
            Ok(Self::Other)
        }
    }

    /// Refuses a database of another program.
    pub(super) fn refuse_other(self) -> Result<Self, CommandError> {
        match self {
            Self::Other => Err(CommandError::new(OTHER_PROGRAM)),
            owner => Ok(owner),
        }
    }
}

/// Refuses a database without a table of items.
pub(super) fn require_items_table(conn: &mut AnyConnection) -> Result<(), CommandError> {
    let AnyConnection::Sqlite(conn) = conn;
    Owner::read(conn)?.refuse_other()?;
    if read_number(conn, HAS_ITEMS_TABLE).map_err(failed)? == 0 {
        return Err(CommandError::new(HOLDS_NO_ITEMS));
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
