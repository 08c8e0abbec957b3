//! Rebuilds the table `coverage` from the ids that are in the tables.

use diesel::QueryResult;

use super::{
    covered::CoveredIds,
    json_fields::{bad_fields, move_bad_fields_to_extra},
    walk::{Entry, Row, Table, walk},
};
use crate::hn::{
    connection::HnConnection,
    coverage::{self, Range},
};

/// The walk stops after this many changes and writes them, so that memory does not grow with their number.
const CHANGES_MAX: usize = 1000;

/// Rebuilds `coverage`, in one transaction.
///
/// It then claims every id that is stored or failed, and of the absent ids those that it claimed before. A field that is not its
/// JSON goes to `extra` as text, and its id is not claimed. The next backfill fetches every id that is not claimed.
///
/// # Errors
/// Whatever Diesel says. Then nothing has changed.
pub fn repair(conn: &mut impl HnConnection) -> QueryResult<()> {
    conn.write_transaction(|conn| {
        conn.lock_ledger()?;
        let mut rebuild = Rebuild::default();
        let mut from = Some(i64::MIN);
        while let Some(start) = from {
            let mut next = None;
            walk(conn, start, |entry| {
                next = rebuild.stops_before(&entry);
                if next.is_none() {
                    rebuild.see(entry);
                }
                next.is_none()
            })?;
            rebuild.write(conn, start, next)?;
            from = next;
        }
        Ok(())
    })
}

/// What the walk has found and not yet written.
#[derive(Default)]
struct Rebuild {
    /// What `coverage` claims at present.
    claimed: CoveredIds,
    /// The id of the last entry.
    last: Option<i64>,
    /// The range that the next id may still extend.
    open: Option<Range>,
    /// Ranges to write.
    finished: Vec<Range>,
    /// Items with a bad field.
    broken: Vec<i64>,
}

impl Rebuild {
    /// The id to go on from, if there is enough to write before this entry. All entries of one id stay together.
    fn stops_before(&self, entry: &Entry) -> Option<i64> {
        let id = entry.id();
        let is_full = self.finished.len() + self.broken.len() >= CHANGES_MAX;
        (is_full && self.last != Some(id)).then_some(id)
    }

    fn see(&mut self, entry: Entry) {
        self.last = Some(entry.id());
        match entry {
            Entry::Range(range) => self.claimed.add(range),
            Entry::Row(row) => self.see_row(&row),
        }
    }

    fn see_row(&mut self, row: &Row) {
        let is_claimed = self.claimed.meet(row.id) || row.is_settled();
        if row.table == Table::Items && bad_fields(row).next().is_some() {
            self.broken.push(row.id);
        }
        // A broken item may be in another table too. Those rows come after it.
        if is_claimed && self.broken.last() != Some(&row.id) {
            self.claim(row.id);
        }
    }

    fn claim(&mut self, id: i64) {
        let range = Range { lo: id, hi: id };
        match &mut self.open {
            Some(open) if open.overlaps_or_touches(range) => open.hi = id,
            open => self.finished.extend(open.replace(range)),
        }
    }

    /// Writes what was found from `start` up to `next`, or to the end.
    fn write(
        &mut self,
        conn: &mut impl HnConnection,
        start: i64,
        next: Option<i64>,
    ) -> QueryResult<()> {
        if next.is_none() {
            self.finished.extend(self.open.take());
        }
        coverage::replace(conn, start, next, &self.finished)?;
        for &id in &self.broken {
            move_bad_fields_to_extra(conn, id)?;
        }
        self.finished.clear();
        self.broken.clear();
        Ok(())
    }
}

impl Entry {
    fn id(&self) -> i64 {
        match self {
            Entry::Range(range) => range.lo,
            Entry::Row(row) => row.id,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use diesel::{RunQueryDsl, connection::SimpleConnection, sql_query};

    use super::*;
    use crate::hn::migrations::empty_database;

    #[test]
    fn more_changes_than_are_written_at_once_are_all_written() {
        let mut conn = empty_database();
        // Every second id is an item. Those that end in 1 are broken, and those that end in 3 are in another table too.
        let last = 10 * i64::try_from(CHANGES_MAX).unwrap();
        conn.batch_execute(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 2 FROM n WHERE i + 2 < {last})
             INSERT INTO items (id, kids, fetched_at) SELECT i, CASE WHEN i % 10 = 1 THEN '[' END, 0 FROM n;
             INSERT INTO failures SELECT id, 'timeout', '', 1, 0 FROM items WHERE id % 10 IN (1, 3);
             INSERT INTO coverage SELECT id, id + 1 FROM items WHERE id % 4 = 1;
             INSERT INTO coverage VALUES (-5, 0)"
        ))
        .unwrap();
        repair(&mut conn).unwrap();
        let wanted: Vec<Range> = (1..last)
            .step_by(2)
            .filter(|id| id % 10 != 1)
            .map(|id| Range { lo: id, hi: id })
            .collect();
        assert_eq!(coverage::all(&mut conn).unwrap(), wanted);
        let mended =
            r#"UPDATE items SET extra = NULL WHERE kids IS NULL AND extra = '{"kids":"["}'"#;
        let mended = sql_query(mended).execute(&mut conn).unwrap();
        assert_eq!(mended, CHANGES_MAX);
    }
}
