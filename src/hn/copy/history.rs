//! Copies the history of items. Its rows have no key, and equal rows may be there twice. So for each item and moment, the target
//! gets as many of a row as it lacks.
//!
//! The table has no `extra`. So on PostgreSQL, a NUL in a text is the noncharacter U+FFFF and a `0`, and U+FFFF itself is there
//! twice. Both become what they were when they are copied back.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryResult, RunQueryDsl,
    dsl::sql,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text},
};

use super::{
    page::{Columns, Misfit, Page, ROWS, ReadRow, require_types, text},
    table::{CopiedTable, Target},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        schema::item_history,
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
    descendants: Option<i64>,
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
    numbers: &[
        "id",
        "changed_at",
        "score",
        "descendants",
        "deleted",
        "dead",
    ],
    flags: &[],
};

type Field = Nullable<Binary>;
type Bytes = Option<Vec<u8>>;

type Types = (
    BigInt,
    BigInt,
    (Field, Field, Field, Field),
    (Nullable<BigInt>, Nullable<BigInt>),
    (Nullable<Integer>, Nullable<Integer>),
    Nullable<Text>,
);

type Row = (
    i64,
    i64,
    (Bytes, Bytes, Bytes, Bytes),
    (Option<i64>, Option<i64>),
    (Option<i32>, Option<i32>),
    Option<String>,
);

fn columns(conn: &AnyConnection) -> String {
    let misfit = PAST_ITEM.misfit_column(conn.dialect());
    format!("id, changed_at, title, url, text, type, score, descendants, deleted, dead, {misfit}")
}

/// The sign before a `0` for a NUL.
const ESCAPE: char = '\u{ffff}';

fn escaped(text: &str) -> String {
    text.replace(ESCAPE, "\u{ffff}\u{ffff}")
        .replace('\0', "\u{ffff}0")
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let after = rest.clone().next();
        match (c, after) {
            (ESCAPE, Some(ESCAPE)) => plain.push(ESCAPE),
            (ESCAPE, Some('0')) => plain.push('\0'),
            _ => {
                plain.push(c);
                continue;
            }
        }
        rest.next();
    }
    plain
}

/// Whether the texts of a database are escaped.
fn is_escaped(conn: &AnyConnection) -> bool {
    !matches!(conn, AnyConnection::Sqlite(_))
}

fn read_row(row: Row, is_escaped: bool) -> ReadRow<PastItem, Moment> {
    let (id, changed_at, texts, (score, descendants), (deleted, dead), misfit) = row;
    let (title, url, body, type_) = texts;
    let lengths = [&title, &url, &body].map(|text| text.as_ref().map_or(0, Vec::len));
    let kept = |column, bytes| {
        let kept = text(column, bytes)?;
        Ok(match kept {
            Some(text) if is_escaped && text.contains(ESCAPE) => Some(unescaped(&text)),
            kept => kept,
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
            descendants,
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
fn behind(conn: &mut AnyConnection, after: Option<&Moment>) -> QueryResult<Page<PastItem, Moment>> {
    let is_escaped = is_escaped(conn);
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
            rows.map(|row| row.map(|row| read_row(row, is_escaped))),
        )
    })
}

/// The rows of one moment. Few: an item seldom changes twice in a second.
fn at(conn: &mut AnyConnection, moment: Moment) -> QueryResult<Page<PastItem, Moment>> {
    let is_escaped = is_escaped(conn);
    let rows = item_history::table
        .filter(item_history::id.eq(moment.id))
        .filter(item_history::changed_at.eq(moment.changed_at))
        .select(sql::<Types>(&columns(conn)));
    let rows: Vec<Row> = on_backend!(conn, |conn| rows.load(conn))?;
    Page::whole(
        History::NAME,
        rows.into_iter().map(|row| Ok(read_row(row, is_escaped))),
    )
}

/// How often each row of these items is there.
fn present(conn: &mut AnyConnection, ids: &[i64]) -> QueryResult<HashMap<PastItem, usize>> {
    let rows = item_history::table
        .filter(item_history::id.eq_any(ids))
        .select(sql::<Types>(&columns(conn)));
    let rows: Vec<Row> = on_backend!(conn, |conn| rows.load(conn))?;
    let is_escaped = is_escaped(conn);
    let mut counts = HashMap::new();
    for row in rows {
        if let Ok(row) = read_row(row, is_escaped).row {
            *counts.entry(row).or_default() += 1;
        }
    }
    Ok(counts)
}

impl PastItem {
    fn escaped(mut self) -> Self {
        let texts = [
            &mut self.title,
            &mut self.url,
            &mut self.text,
            &mut self.type_,
        ];
        for text in texts.into_iter().flatten() {
            if text.contains(['\0', ESCAPE]) {
                *text = escaped(text);
            }
        }
        self
    }

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
        _: Target,
    ) -> QueryResult<Page<PastItem, Moment>> {
        let mut page = behind(from, after)?;
        let Some(last) = page.last else {
            return Ok(page);
        };
        // The page may end between two rows of one moment, which must be counted together.
        let rest = at(from, last)?;
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
        let missing = rows.iter().filter(is_missing).cloned();
        let missing: Vec<PastItem> = if is_escaped(to) {
            missing.map(PastItem::escaped).collect()
        } else {
            missing.collect()
        };
        for rows in missing.chunks(INSERTED_ROWS) {
            on_backend!(to, |conn| diesel::insert_into(item_history::table)
                .values(rows)
                .execute(conn))?;
        }
        Ok(missing.len() as u64)
    }

    fn number(moment: &Moment) -> i64 {
        moment.id
    }
}

#[cfg(test)]
mod tests {
    use super::{escaped, unescaped};

    #[test]
    fn a_text_is_the_same_after_it_was_escaped_and_unescaped() {
        for text in [
            "",
            "\0",
            "a\u{ffff}0\0",
            "\u{ffff}\u{ffff}0",
            "\0\0\u{ffff}",
            "0",
        ] {
            assert!(!escaped(text).contains('\0'));
            assert_eq!(unescaped(&escaped(text)), text);
        }
        assert_eq!(unescaped("a\u{ffff}b\u{ffff}"), "a\u{ffff}b\u{ffff}");
    }
}
