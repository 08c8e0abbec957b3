//! Who a database belongs to: real items, a demo's made-up items, or another program.

use super::mark::{Mark, has_tables, is_true};
use crate::{
    cli::exit::CommandError,
    hn::{HnConnection, migrations},
    store::{StoreConnection, any::AnyConnection, locks::while_locked},
};

const OTHER_PROGRAM: &str =
    "this database belongs to another program; name another file or database";
pub(super) const HOLDS_NO_ITEMS: &str =
    "this database holds no Hacker News items; name another file or database";
const HOLDS_REAL_ITEMS: &str = "this database holds real items, and a demo does not mix with them; leave out --database, or name another file or database";
const HOLDS_DEMO_ITEMS: &str = "this database was filled by --demo, and real items do not mix with it; name another file or database, or add --demo";

/// Whether no run and no list has left anything yet, as a condition.
const IS_EMPTY: &str =
    "NOT EXISTS (SELECT 1 FROM items) AND NOT EXISTS (SELECT 1 FROM lists) AND NOT EXISTS (SELECT 1 FROM absent)
    AND NOT EXISTS (SELECT 1 FROM failures) AND NOT EXISTS (SELECT 1 FROM users)";

/// Whose a database is, as far as its content shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This program's.
    Ours,
    /// No program's. There is nothing in it.
    Empty,
    /// Another program's.
    Other,
}

impl Owner {
    /// Whose a database with this mark is. `None` if the mark does not say.
    pub(super) fn of_mark(mark: Mark) -> Option<Self> {
        match mark {
            Mark::Unmarked => None,
            Mark::Real | Mark::Demo => Some(Self::Ours),
            Mark::Other => Some(Self::Other),
        }
    }

    /// Reads whose a database is. Writes nothing.
    pub(super) fn read(conn: &mut AnyConnection) -> Result<Self, CommandError> {
        if let Some(owner) = Self::of_mark(Mark::read(conn).map_err(failed)?) {
            return Ok(owner);
        }
        if !has_tables(conn).map_err(failed)? {
            Ok(Self::Empty)
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

/// Makes a database ready to fetch into: refuses one of another program, makes the tables, and marks it.
pub(super) fn prepare(conn: &mut AnyConnection, demo: bool) -> Result<(), CommandError> {
    while_locked(|| Owner::read(conn))?.refuse_other()?;
    while_locked(|| migrations::run(conn)).map_err(CommandError::new)?;
    while_locked(|| mark(conn, demo))
}

/// Refuses a database without a table of items.
pub(super) fn require_items_table(conn: &mut AnyConnection) -> Result<(), CommandError> {
    Owner::read(conn)?.refuse_other()?;
    if migrations::has_items_table(conn).map_err(failed)? {
        Ok(())
    } else {
        Err(CommandError::new(HOLDS_NO_ITEMS))
    }
}

/// Refuses a database whose tables are not there or not up to date.
pub(super) fn require_current_tables(conn: &mut AnyConnection) -> Result<(), CommandError> {
    require_items_table(conn)?;
    if migrations::is_current(conn).map_err(CommandError::new)? {
        Ok(())
    } else {
        Err(CommandError::new(
            "the database is from an earlier version of this program; a run on it brings it up to date, such as `hn-ingest top`",
        ))
    }
}

/// Refuses a database whose items are not of the kind that is asked for: real ones, or a demo's.
pub(super) fn require_kind(conn: &mut AnyConnection, demo: bool) -> Result<(), CommandError> {
    let is_demo = Mark::read(conn).map_err(failed)? == Mark::Demo;
    match (is_demo, demo) {
        (true, false) => Err(CommandError::new(HOLDS_DEMO_ITEMS)),
        (false, true) => Err(CommandError::new(HOLDS_REAL_ITEMS)),
        _ => Ok(()),
    }
}

/// Marks an empty database as one for real or for demo items. Refuses one that is marked as the other kind.
fn mark(conn: &mut AnyConnection, demo: bool) -> Result<(), CommandError> {
    let wanted = if demo { Mark::Demo } else { Mark::Real };
    if Mark::read(conn).map_err(failed)? == wanted {
        return Ok(());
    }
    // In one transaction, so that two programs that start on one fresh database do not both mark it.
    let refusal = conn.write_transaction(|conn| {
        conn.lock_ledger()?;
        let found = Mark::read(conn)?;
        let is_empty = is_true(conn, IS_EMPTY)?;
        let may_be_marked = match found {
            Mark::Unmarked => !demo || is_empty,
            Mark::Real | Mark::Demo => is_empty,
            Mark::Other => false,
        };
        if found == wanted {
            return Ok(None);
        }
        if may_be_marked {
            Mark::write(conn, demo)?;
            return Ok(None);
        }
        Ok(Some(match found {
            Mark::Unmarked | Mark::Real => HOLDS_REAL_ITEMS,
            Mark::Demo => HOLDS_DEMO_ITEMS,
            Mark::Other => OTHER_PROGRAM,
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
