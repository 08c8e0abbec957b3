//! All ids that are there, in ascending order, against the ranges that claim them.

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, SqliteConnection,
    dsl::sql,
    sql_types::{BigInt, Binary, Integer, Nullable},
};
use serde_json::value::RawValue;

use super::{BadField, Checked, Listed};
use crate::hn::{coverage::Range, schema::items};

/// An id of one of the tables. Its fields are bytes, since what is no text must not end the walk.
pub(super) struct Row {
    pub(super) id: i64,
    /// Whether its table settles it, and not only until it is asked for again.
    pub(super) is_settled: bool,
    kids: Option<Vec<u8>>,
    parts: Option<Vec<u8>>,
    extra: Option<Vec<u8>>,
}

impl Row {
    /// The fields that are not the JSON that they should be. SQLite's own functions would refuse some that is: it may be nested
    /// deeper than they go.
    pub(super) fn bad_fields(&self) -> impl Iterator<Item = BadField> {
        let ids = |json: &[u8]| serde_json::from_slice::<Vec<i64>>(json).map(drop);
        let object = |json: &[u8]| {
            let raw = serde_json::from_slice::<&RawValue>(json)?;
            match raw.get().starts_with('{') {
                true => Ok(()),
                false => Err(serde::de::Error::custom("no JSON object")),
            }
        };
        let checked = [
            ("kids", self.kids.as_deref().map(ids)),
            ("parts", self.parts.as_deref().map(ids)),
            ("extra", self.extra.as_deref().map(object)),
        ];
        let id = self.id;
        checked.into_iter().filter_map(move |(column, checked)| {
            let error = checked?.err()?.to_string();
            Some(BadField { id, column, error })
        })
    }

    /// Empties the bad fields of an item, and keeps what they held as text in `extra`.
    pub(super) fn set_aside(self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let bad: Vec<_> = self.bad_fields().map(|bad| bad.column).collect();
        let text = |field: Vec<u8>| String::from_utf8_lossy(&field).into_owned();
        let mut kept = Vec::new();
        let mut sound = |column, field: Option<Vec<u8>>| match field.map(text) {
            Some(field) if bad.contains(&column) => {
                kept.push((column, serde_json::Value::from(field)));
                None
            }
            field => field,
        };
        let (kids, parts) = (sound("kids", self.kids), sound("parts", self.parts));
        let extra = sound("extra", self.extra).unwrap_or_else(|| "{}".to_owned());
        // Written into the object as it stands, since reading that would cost digits.
        let extra = kept.into_iter().fold(extra, |extra, (column, field)| {
            let open = extra.trim_end().strip_suffix('}').unwrap_or("{").trim_end();
            let comma = if open.len() > 1 { "," } else { "" };
            format!("{open}{comma}\"{column}\":{field}}}")
        });
        let values = (
            items::kids.eq(kids),
            items::parts.eq(parts),
            items::extra.eq(extra),
        );
        diesel::update(items::table.find(self.id))
            .set(values)
            .execute(conn)
            .map(drop)
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
            is_settled: table != ABSENT,
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

/// Settled ids that no range claims, collected in ascending order.
#[derive(Default)]
pub(super) struct Unclaimed {
    /// The last id that is claimed or collected.
    seen: Option<i64>,
    run: Option<Range>,
    runs: Listed<Range>,
}

impl Unclaimed {
    pub(super) fn see(&mut self, row: &Row, is_claimed: bool) {
        let id = row.id;
        if self.seen == Some(id) || !(is_claimed || row.is_settled && id > 0) {
            return;
        }
        self.seen = Some(id);
        match &mut self.run {
            _ if is_claimed => {}
            Some(run) if run.hi + 1 == id => run.hi = id,
            run => {
                let before = run.replace(Range { lo: id, hi: id });
                before
                    .into_iter()
                    .for_each(|run| self.runs.add_counting(run, run.count()));
            }
        }
    }

    pub(super) fn ids(mut self) -> Listed<Range> {
        self.run
            .into_iter()
            .for_each(|run| self.runs.add_counting(run, run.count()));
        self.runs
    }
}
