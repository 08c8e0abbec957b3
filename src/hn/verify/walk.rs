//! All ids that are there, in ascending order, against the ranges that claim them.

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    dsl::sql,
    sql_types::{BigInt, Binary, Integer, Nullable},
};
use serde_json::value::RawValue;

use super::{BadField, Checked, Listed};
use crate::hn::coverage::Range;

/// An id of one of the tables. Its fields are bytes, since what is no text must not end the walk.
pub(super) struct Row {
    pub(super) id: i64,
    kids: Option<Vec<u8>>,
    parts: Option<Vec<u8>>,
    extra: Option<Vec<u8>>,
}

impl Row {
    /// The first field that is not the JSON that it should be. SQLite's own functions would refuse some that is: it may be nested
    /// deeper than they go.
    pub(super) fn bad_field(&self) -> Option<BadField> {
        let ids = |json: &[u8]| serde_json::from_slice::<Vec<i64>>(json).map(drop);
        let object = |json: &[u8]| {
            let raw = serde_json::from_slice::<&RawValue>(json)?;
            match raw.get().starts_with('{') {
                true => Ok(()),
                false => Err(serde::de::Error::custom("no JSON object")),
            }
        };
        let bad =
            |column, json: &Option<Vec<u8>>, check: &dyn Fn(&[u8]) -> serde_json::Result<()>| {
                let error = check(json.as_deref()?).err()?.to_string();
                let id = self.id;
                Some(BadField { id, column, error })
            };
        bad("kids", &self.kids, &ids)
            .or_else(|| bad("parts", &self.parts, &ids))
            .or_else(|| bad("extra", &self.extra, &object))
    }
}

/// Shows every row of items, absent and failures, by ascending id; an id that is in several comes several times, the item first.
/// Gives how many there were.
pub(super) fn walk(conn: &mut SqliteConnection, mut see: impl FnMut(Row)) -> QueryResult<Checked> {
    type Field = Nullable<Binary>;
    type Columns = (i64, i32, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);
    const ITEMS: i32 = 0;
    const ABSENT: i32 = 1;
    // SQLite merges the three, each in the order of its key: nothing is sorted or held.
    let rows = sql::<(BigInt, Integer, Field, Field, Field)>(
        "SELECT id, 0, kids, parts, extra FROM items
         UNION ALL SELECT id, 1, NULL, NULL, NULL FROM absent
         UNION ALL SELECT id, 2, NULL, NULL, NULL FROM failures
         ORDER BY 1, 2",
    );
    let mut checked = Checked::default();
    for row in rows.load_iter::<Columns, _>(conn)? {
        let (id, table, kids, parts, extra) = row?;
        match table {
            ITEMS => checked.items += 1,
            ABSENT => checked.absent += 1,
            _ => checked.failures += 1,
        }
        see(Row {
            id,
            kids,
            parts,
            extra,
        });
    }
    Ok(checked)
}

/// Ranges, merged and ascending, that ids are held against in ascending order.
pub(super) struct Claim {
    ranges: std::vec::IntoIter<Range>,
    /// What is left of the range under way: its first id that was not met yet, and its last.
    rest: Option<Range>,
    missing: Listed<Range>,
}

impl Claim {
    pub(super) fn new(ranges: Vec<Range>) -> Self {
        let mut ranges = ranges.into_iter();
        Self {
            rest: ranges.next(),
            ranges,
            missing: Listed::default(),
        }
    }

    /// Whether `id` is claimed and comes for the first time. Those that were claimed below it and not met are missing.
    pub(super) fn meets(&mut self, id: i64) -> bool {
        while let Some(rest) = self.rest.filter(|rest| rest.hi < id) {
            self.miss(rest);
            self.rest = self.ranges.next();
        }
        let Some(rest) = self.rest.filter(|rest| rest.lo <= id) else {
            return false;
        };
        if rest.lo < id {
            self.miss(Range { hi: id - 1, ..rest });
        }
        self.rest = match id < rest.hi {
            true => Some(Range { lo: id + 1, ..rest }),
            false => self.ranges.next(),
        };
        true
    }

    /// What is claimed and was not met.
    pub(super) fn missing(mut self) -> Listed<Range> {
        let rest = self.rest.take().into_iter().chain(&mut self.ranges);
        for range in rest.collect::<Vec<_>>() {
            self.miss(range);
        }
        self.missing
    }

    fn miss(&mut self, range: Range) {
        self.missing.add_counting(range, range.count());
    }
}
