//! Copies the history of items. Its rows have no key, and equal rows may be there twice. So for each item and moment, the target gets as many
//! of a row as it lacks.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryResult, RunQueryDsl,
    dsl::sql,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text},
};

use super::{
    CopiedTable, Target,
    page::{Columns, Misfit, Page, ROWS, ReadRow, require_types, text},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        schema::item_history,
        sink::outcomes::without_nul,
    },
    store::any::AnyConnection,
};

pub(super) struct History;

/// What an item was, and until when.
#[derive(Clone, Eq, Hash, Insertable, PartialEq)]
#[diesel(table_name = item_history, treat_none_as_default_value = false)]
pub(super) struct PastItem {
    id: i64,
    changed_at: i64,
    title: Option<String>,
    url: Option<String>,
    text: Option<String>,
    score: Option<i64>,
    type_: Option<String>,
    deleted: Option<i32>,
    dead: Option<i32>,
}

/// An item, and a second in which it changed.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Moment {
    id: i64,
    changed_at: i64,
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.id, self.changed_at)
    }
}

/// Rows of one statement, well under SQLite's 32,766 bound values.
const INSERTED_ROWS: usize = 500;

const PAST_ITEM: Columns = Columns {
    texts: &["title", "url", "text", "type"],
    numbers: &["id", "changed_at", "score", "deleted", "dead"],
    flags: &[],
};

type Field = Nullable<Binary>;
type Bytes = Option<Vec<u8>>;

type Types = (
    BigInt,
    BigInt,
    (Field, Field, Field, Field),
    (Nullable<BigInt>, Nullable<Integer>, Nullable<Integer>),
    Nullable<Text>,
);

type Row = (
    i64,
    i64,
    (Bytes, Bytes, Bytes, Bytes),
    (Option<i64>, Option<i32>, Option<i32>),
    Option<String>,
);

fn columns(conn: &AnyConnection) -> String {
    let misfit = PAST_ITEM.misfit_column(conn.dialect());
    format!("id, changed_at, title, url, text, type, score, deleted, dead, {misfit}")
}

fn read_row(row: Row, target: Target) -> ReadRow<PastItem, Moment> {
    let (id, changed_at, (title, url, body, type_), (score, deleted, dead), misfit) = row;
    let lengths = [&title, &url, &body].map(|text| text.as_ref().map_or(0, Vec::len));
    let kept = |column, bytes| {
        let kept = text(column, bytes)?;
        Ok(if target.holds_nul {
            kept
        } else {
            kept.map(|text| without_nul(&text).into_owned())
        })
    };
    let past_item = || -> Result<_, Misfit> {
        require_types(misfit)?;
        Ok(PastItem {
            id,
            changed_at,
            title: kept("title", title)?,
            url: kept("url", url)?,
            text: kept("text", body)?,
            score,
            type_: kept("type", type_)?,
            deleted,
            dead,
        })
    };
    ReadRow {
        key: Moment { id, changed_at },
        row: past_item(),
        bytes: size_of::<PastItem>() + lengths.iter().sum::<usize>(),
    }
}

/// A page of rows behind a moment.
fn behind(
    conn: &mut AnyConnection,
    after: Option<&Moment>,
    target: Target,
) -> QueryResult<Page<PastItem, Moment>> {
    let first = Moment {
        id: i64::MIN,
        changed_at: i64::MIN,
    };
    let after = after.copied().unwrap_or(first);
    // As one value, so that the index is used.
    let is_behind = sql::<Bool>("(id, changed_at) > (")
        .bind::<BigInt, _>(after.id)
        .sql(", ")
        .bind::<BigInt, _>(after.changed_at)
        .sql(")");
    let rows = item_history::table
        .filter(is_behind)
        .order((item_history::id, item_history::changed_at))
        .limit(ROWS)
        .select(sql::<Types>(&columns(conn)));
    on_backend!(conn, |conn, Mode| {
        let rows = rows.load_iter::<Row, Mode>(conn)?;
        Page::of(
            History::NAME,
            rows.map(|row| row.map(|row| read_row(row, target))),
        )
    })
}

/// The rows of one moment. Few: an item seldom changes twice in a second.
fn at(
    conn: &mut AnyConnection,
    moment: Moment,
    target: Target,
) -> QueryResult<Page<PastItem, Moment>> {
    let rows = item_history::table
        .filter(item_history::id.eq(moment.id))
        .filter(item_history::changed_at.eq(moment.changed_at))
        .select(sql::<Types>(&columns(conn)));
    let rows: Vec<Row> = on_backend!(conn, |conn| rows.load(conn))?;
    Page::whole(
        History::NAME,
        rows.into_iter().map(|row| Ok(read_row(row, target))),
    )
}

/// How often each row of these items is there.
fn present(conn: &mut AnyConnection, ids: &[i64]) -> QueryResult<HashMap<PastItem, usize>> {
    let rows = item_history::table
        .filter(item_history::id.eq_any(ids))
        .select(sql::<Types>(&columns(conn)));
    let rows: Vec<Row> = on_backend!(conn, |conn| rows.load(conn))?;
    let as_it_is = Target { holds_nul: true };
    let mut counts = HashMap::new();
    for row in rows {
        if let Ok(row) = read_row(row, as_it_is).row {
            *counts.entry(row).or_default() += 1;
        }
    }
    Ok(counts)
}

impl PastItem {
    fn moment(&self) -> Moment {
        Moment {
            id: self.id,
            changed_at: self.changed_at,
        }
    }
}

impl CopiedTable for History {
    const NAME: &'static str = "item_history";
    const NUMBER: Option<&'static str> = Some("id");
    type Key = Moment;
    type Row = PastItem;

    fn read(
        from: &mut AnyConnection,
        after: Option<&Moment>,
        target: Target,
    ) -> QueryResult<Page<PastItem, Moment>> {
        let mut page = behind(from, after, target)?;
        let Some(last) = page.last else {
            return Ok(page);
        };
        // The page may end between two rows of one moment, which must be counted together.
        let rest = at(from, last, target)?;
        let key = last.to_string();
        page.read -= page.rows.iter().filter(|row| row.moment() == last).count() as u64;
        page.read -= page.refused.iter().filter(|row| row.key == key).count() as u64;
        page.rows.retain(|row| row.moment() != last);
        page.refused.retain(|row| row.key != key);
        page.read += rest.read;
        page.rows.extend(rest.rows);
        page.refused.extend(rest.refused);
        Ok(page)
    }

    fn write(to: &mut AnyConnection, rows: &[PastItem]) -> QueryResult<u64> {
        // Two copies at once would both see what is missing.
        to.lock_ledger()?;
        let mut ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        ids.dedup();
        let mut present = present(to, &ids)?;
        let is_missing = |row: &&PastItem| match present.get_mut(*row) {
            Some(count @ 1..) => {
                *count -= 1;
                false
            }
            _ => true,
        };
        let missing: Vec<&PastItem> = rows.iter().filter(is_missing).collect();
        for rows in missing.chunks(INSERTED_ROWS) {
            on_backend!(to, |conn| diesel::insert_into(item_history::table)
                .values(rows.to_vec())
                .execute(conn))?;
        }
        Ok(missing.len() as u64)
    }

    fn number(moment: &Moment) -> i64 {
        moment.id
    }
}
