//! Copies items.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl,
    dsl::sql,
    sql_types::{BigInt, Integer, Nullable, Text},
};

use super::{
    page::{Columns, Misfit, Page, ROWS, ReadRow, require_types, text},
    records::{
        Bytes, Field, Number, Record, StoredRow, Timed, as_read, fitting, moves_texts,
        size_of_texts, write_newer,
    },
    table::{CopiedTable, Target},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        item::Item,
        schema::items,
        sink::outcomes::delete_older_outcomes,
    },
    store::any::AnyConnection,
};

type Flag = Nullable<Integer>;

/// Items of one query, well under SQLite's 32,766 bound values.
const ITEM_IDS: usize = 500;

pub(super) struct Items;

const ITEM: Columns = Columns {
    texts: &[
        "type", "by", "title", "url", "text", "kids", "parts", "extra",
    ],
    numbers: &[
        "time",
        "score",
        "descendants",
        "parent",
        "poll",
        "fetched_at",
    ],
    flags: &["deleted", "dead"],
};

type ItemTypes = (
    BigInt,
    (Field, Field, Field, Field, Field, Field, Field, Field),
    (Number, Number, Number, Number, Number, BigInt),
    (Flag, Flag),
    Nullable<Text>,
);

type ItemColumns = (
    i64,
    (Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes),
    (
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        i64,
    ),
    (Option<i32>, Option<i32>),
    Option<String>,
);

/// The columns of an item, in the order of its types.
fn item_columns(conn: &impl HnConnection) -> String {
    let Columns {
        texts,
        numbers,
        flags,
    } = ITEM;
    let [texts, numbers, flags] = [texts, numbers, flags].map(Columns::quoted);
    let misfit = ITEM.misfit_column(conn.dialect());
    format!("id, {texts}, {numbers}, {flags}, {misfit}")
}

fn item_row(columns: ItemColumns, moves_texts: bool) -> ReadRow<Timed<Item>, i64> {
    let (id, texts, numbers, (deleted, dead), misfit) = columns;
    let (type_, by, title, url, body, kids, parts, extra) = texts;
    let (time, score, descendants, parent, poll, fetched_at) = numbers;
    let bytes = size_of_texts(&[&title, &url, &body, &kids, &parts, &extra]);
    let record = || -> Result<_, Misfit> {
        require_types(misfit)?;
        let item = Item {
            id,
            type_: text("type", type_)?,
            by: text("by", by)?,
            time,
            title: text("title", title)?,
            url: text("url", url)?,
            text: text("text", body)?,
            score,
            descendants,
            parent,
            poll,
            kids: text("kids", kids)?,
            parts: text("parts", parts)?,
            deleted: deleted.map(|flag| flag != 0),
            dead: dead.map(|flag| flag != 0),
            extra: text("extra", extra)?,
        };
        let record = as_read(item, moves_texts);
        Ok(Timed { record, fetched_at })
    };
    ReadRow {
        key: id,
        row: record(),
        bytes,
    }
}

fn read_items(
    conn: &mut impl HnConnection,
    ids: &[i64],
) -> QueryResult<Vec<ReadRow<Timed<Item>, i64>>> {
    let columns = sql::<ItemTypes>(&item_columns(conn));
    let moves_texts = moves_texts(conn);
    let rows = items::table.filter(items::id.eq_any(ids)).select(columns);
    let rows: Vec<ItemColumns> = on_backend!(conn, |conn| rows.load(conn))?;
    let rows = rows.into_iter().map(|row| item_row(row, moves_texts));
    Ok(rows.collect())
}

/// A row of the table `items`.
pub(in crate::hn) enum ItemRow {
    /// The item as it was received.
    Read { item: Box<Item>, fetched_at: i64 },
    /// This column holds a value of another type.
    Unreadable { column: String },
}

/// The rows of these ids. What PostgreSQL cannot hold in a column is in that column here.
///
/// # Errors
/// Whatever Diesel says.
pub(in crate::hn) fn item_rows(
    conn: &mut impl HnConnection,
    ids: &[i64],
) -> QueryResult<HashMap<i64, ItemRow>> {
    let mut rows = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(ITEM_IDS) {
        for ReadRow { key, row, .. } in read_items(conn, ids)? {
            let row = match row {
                Ok(Timed { record, fetched_at }) => ItemRow::Read {
                    item: Box::new(record),
                    fetched_at,
                },
                Err(Misfit { column, .. }) => ItemRow::Unreadable { column },
            };
            rows.insert(key, row);
        }
    }
    Ok(rows)
}

impl Record for Item {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn stored(conn: &mut AnyConnection, ids: &[i64]) -> QueryResult<Vec<StoredRow<Self>>> {
        let rows = read_items(conn, ids)?.into_iter();
        Ok(rows.map(|row| (row.key, row.row.ok())).collect())
    }

    fn delete_older(conn: &mut AnyConnection, id: &i64, fetched_at: i64) -> QueryResult<()> {
        let row = items::table.find(*id);
        on_backend!(conn, |conn| diesel::delete(row)
            .filter(items::fetched_at.le(fetched_at))
            .execute(conn)
            .map(drop))
    }

    fn texts(&mut self) -> Vec<(&'static str, &mut Option<String>)> {
        vec![
            ("type", &mut self.type_),
            ("by", &mut self.by),
            ("title", &mut self.title),
            ("url", &mut self.url),
            ("text", &mut self.text),
        ]
    }

    fn lists(&self) -> Vec<(&'static str, Option<&str>)> {
        vec![
            ("kids", self.kids.as_deref()),
            ("parts", self.parts.as_deref()),
        ]
    }

    fn extra(&mut self) -> &mut Option<String> {
        &mut self.extra
    }
}

impl CopiedTable for Items {
    const NAME: &'static str = "items";
    const NUMBER: Option<&'static str> = Some("id");
    type Key = i64;
    type Row = Timed<Item>;

    fn read(
        from: &mut AnyConnection,
        after: Option<&i64>,
        target: Target,
    ) -> QueryResult<Page<Self::Row, i64>> {
        let Some(first) = after.map_or(Some(i64::MIN), |id| id.checked_add(1)) else {
            return Page::of(Self::NAME, std::iter::empty());
        };
        let moves_texts = moves_texts(from);
        let rows = items::table
            .filter(items::id.ge(first))
            .order(items::id)
            .limit(ROWS)
            .select(sql::<ItemTypes>(&item_columns(from)));
        on_backend!(from, |conn, Mode| {
            let rows = rows.load_iter::<ItemColumns, Mode>(conn)?;
            Page::of(
                Self::NAME,
                rows.map(|row| Ok(fitting(item_row(row?, moves_texts), target))),
            )
        })
    }

    fn write(to: &mut AnyConnection, rows: &[Self::Row]) -> QueryResult<u64> {
        let written = write_newer(to, rows)?;
        let answers: Vec<_> = written
            .iter()
            .map(|row| (row.record.id, row.fetched_at))
            .collect();
        to.lock_ledger()?;
        delete_older_outcomes(to, &answers, &answers)?;
        Ok(written.len() as u64)
    }

    fn number(id: &i64) -> i64 {
        *id
    }
}
