//! Copies items and users. What PostgreSQL keeps in `extra` because it cannot hold it in a column is compared, and given to SQLite, as if it
//! were in its column.

use std::{collections::HashMap, fmt, hash::Hash, mem::size_of};

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl,
    connection::DefaultLoadingMode,
    dsl::sql,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text},
};

use super::{
    page::{Columns, Misfit, Page, ROWS, ReadRow, require_types, some_text, text},
    table::{CopiedTable, Target},
};
#[cfg(feature = "postgres")]
use crate::hn::record::taken_from_extra;
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        item::Item,
        schema::{items, users},
        sink::outcomes::{delete_older_absences, delete_older_failures},
        upsert::{self, Received, Stored},
        user::User,
    },
    store::any::AnyConnection,
};

type Bytes = Option<Vec<u8>>;
type Field = Nullable<Binary>;
type Number = Nullable<BigInt>;
type Flag = Nullable<Integer>;

/// A record with the time of its answer.
#[derive(PartialEq)]
pub(super) struct Timed<R> {
    record: R,
    fetched_at: i64,
}

/// An id of the target, and its record if the row can be read as one.
type StoredRow<R> = (<R as Record>::Id, Option<Timed<R>>);

/// A record with a table of its own.
trait Record: Stored + PartialEq {
    type Id: Clone + Eq + Hash + Ord;

    fn id(&self) -> Self::Id;

    /// The rows of these ids. A row that cannot be read as a record is there without one.
    fn stored(conn: &mut AnyConnection, ids: &[Self::Id]) -> QueryResult<Vec<StoredRow<Self>>>;

    /// Deletes a row, unless it is newer. An update would leave a row in `item_history`, which has been copied or will be.
    fn delete_older(conn: &mut AnyConnection, id: &Self::Id, fetched_at: i64) -> QueryResult<()>;

    /// The columns for texts: name, and value.
    fn texts(&mut self) -> Vec<(&'static str, &mut Option<String>)>;

    /// The columns for lists of ids.
    fn lists(&self) -> Vec<(&'static str, Option<&str>)>;

    fn extra(&mut self) -> &mut Option<String>;

    /// The record with those texts in their columns that are in `extra` only because PostgreSQL cannot hold them.
    #[cfg(feature = "postgres")]
    fn with_misfits_in_columns(mut self) -> Self {
        let mut extra = self.extra().take();
        // The last one was added last.
        for (name, value) in self.texts().into_iter().rev() {
            if value.is_none()
                && let Some((rest, text)) = extra
                    .as_deref()
                    .and_then(|extra| taken_from_extra(extra, name))
                && !upsert::fits_postgres(name, &text)
            {
                *value = Some(text);
                extra = rest;
            }
        }
        *self.extra() = extra;
        self
    }

    /// Whether all of it fits the target.
    fn require_fit(&mut self, target: Target) -> Result<(), Misfit> {
        if target.holds_nul {
            return Ok(());
        }
        let mut texts = self.texts().into_iter();
        let moves_text = texts.any(|(_, text)| text.as_deref().is_some_and(has_nul));
        for (column, text) in self.lists() {
            require_no_nul(target, column, text.unwrap_or_default())?;
        }
        let extra = self.extra().as_deref().unwrap_or("{}");
        if moves_text && !extra.trim_start().starts_with('{') {
            return Err(Misfit {
                column: "extra".to_owned(),
                why: "it is no JSON object, and a text with a NUL would have to go there",
            });
        }
        require_no_nul(target, "extra", extra)
    }
}

fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

const HAS_NUL: &str = "it holds a NUL, which PostgreSQL cannot hold";

/// Refuses a text that the target cannot hold and that has no other place.
fn require_no_nul(target: Target, column: &str, text: &str) -> Result<(), Misfit> {
    if target.holds_nul || !has_nul(text) {
        return Ok(());
    }
    Err(Misfit {
        column: column.to_owned(),
        why: HAS_NUL,
    })
}

/// Writes the records that the target lacks or has in an older state. Returns them.
fn write_newer<'a, R: Record>(
    to: &mut AnyConnection,
    rows: &'a [Timed<R>],
) -> QueryResult<Vec<Received<'a, R>>> {
    let ids: Vec<_> = rows.iter().map(|row| row.record.id()).collect();
    let stored: HashMap<_, _> = R::stored(to, &ids)?.into_iter().collect();
    let mut newer = Vec::new();
    for row in rows {
        let id = row.record.id();
        match stored.get(&id) {
            Some(Some(stored)) if stored == row || stored.fetched_at > row.fetched_at => continue,
            Some(_) => R::delete_older(to, &id, row.fetched_at)?,
            None => {}
        }
        newer.push(Received {
            record: &row.record,
            fetched_at: row.fetched_at,
        });
    }
    // Two writers that wait for each other's rows would never end.
    newer.sort_unstable_by_key(|row| row.record.id());
    upsert::save(to, &newer)?;
    Ok(newer)
}

/// About how much memory a record takes.
fn size_of_texts(texts: &[&Bytes]) -> usize {
    let lengths = texts.iter().map(|text| text.as_ref().map_or(0, Vec::len));
    size_of::<Item>() + lengths.sum::<usize>()
}

/// A record as SQLite would hold it.
fn as_read<R: Record>(record: R, moves_texts: bool) -> R {
    #[cfg(feature = "postgres")]
    if moves_texts {
        return record.with_misfits_in_columns();
    }
    let _ = moves_texts;
    record
}

/// Whether the database keeps some texts in `extra` that have a column.
fn moves_texts(conn: &impl HnConnection) -> bool {
    conn.dialect().has_typed_columns
}

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
    /// This column holds what none of its kind should hold.
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
        delete_older_absences(to, &answers)?;
        delete_older_failures(to, &answers)?;
        Ok(written.len() as u64)
    }

    fn number(id: &i64) -> i64 {
        *id
    }
}

/// The row, refused if it does not fit the target.
fn fitting<R: Record, K>(mut read: ReadRow<Timed<R>, K>, target: Target) -> ReadRow<Timed<R>, K> {
    read.row = read.row.and_then(|mut row| {
        row.record.require_fit(target)?;
        Ok(row)
    });
    read
}

pub(super) struct Users;

/// SQLite reads users in the order of its own row numbers, which also holds for a name that is not text.
#[derive(Clone)]
pub(super) struct UserKey {
    name: String,
    row: i64,
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

const USER: Columns = Columns {
    texts: &["id", "about", "submitted", "extra"],
    numbers: &["created", "karma", "fetched_at"],
    flags: &[],
};

type UserTypes = (
    BigInt,
    (Binary, Field, Field, Field),
    (Number, Number, BigInt),
    Nullable<Text>,
);

type UserColumns = (
    i64,
    (Vec<u8>, Bytes, Bytes, Bytes),
    (Option<i64>, Option<i64>, i64),
    Option<String>,
);

fn user_columns(conn: &AnyConnection) -> String {
    let [texts, numbers] = [USER.texts, USER.numbers].map(Columns::quoted);
    let misfit = USER.misfit_column(conn.dialect());
    let row = if moves_texts(conn) {
        "CAST(0 AS BIGINT)"
    } else {
        "rowid"
    };
    format!("{row}, {texts}, {numbers}, {misfit}")
}

fn user_row(columns: UserColumns, moves_texts: bool) -> ReadRow<Timed<User>, UserKey> {
    let (row, (id, about, submitted, extra), (created, karma, fetched_at), misfit) = columns;
    let bytes = size_of_texts(&[&about, &submitted, &extra]);
    let name = String::from_utf8_lossy(&id).into_owned();
    let record = || -> Result<_, Misfit> {
        require_types(misfit)?;
        let user = User {
            id: some_text("id", id)?,
            created,
            karma,
            about: text("about", about)?,
            submitted: text("submitted", submitted)?,
            extra: text("extra", extra)?,
        };
        let record = as_read(user, moves_texts);
        Ok(Timed { record, fetched_at })
    };
    ReadRow {
        key: UserKey { name, row },
        row: record(),
        bytes,
    }
}

impl Record for User {
    type Id = String;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn stored(conn: &mut AnyConnection, ids: &[String]) -> QueryResult<Vec<StoredRow<Self>>> {
        let columns = sql::<UserTypes>(&user_columns(conn));
        let moves_texts = moves_texts(conn);
        let rows = users::table.filter(users::id.eq_any(ids)).select(columns);
        let rows: Vec<UserColumns> = on_backend!(conn, |conn| rows.load(conn))?;
        let rows = rows.into_iter().map(|row| user_row(row, moves_texts));
        Ok(rows.map(|row| (row.key.name, row.row.ok())).collect())
    }

    fn delete_older(conn: &mut AnyConnection, id: &String, fetched_at: i64) -> QueryResult<()> {
        let row = users::table.find(id);
        on_backend!(conn, |conn| diesel::delete(row)
            .filter(users::fetched_at.le(fetched_at))
            .execute(conn)
            .map(drop))
    }

    fn texts(&mut self) -> Vec<(&'static str, &mut Option<String>)> {
        vec![("about", &mut self.about)]
    }

    fn lists(&self) -> Vec<(&'static str, Option<&str>)> {
        vec![("submitted", self.submitted.as_deref())]
    }

    fn extra(&mut self) -> &mut Option<String> {
        &mut self.extra
    }
}

impl CopiedTable for Users {
    const NAME: &'static str = "users";
    const NUMBER: Option<&'static str> = None;
    type Key = UserKey;
    type Row = Timed<User>;

    fn read(
        from: &mut AnyConnection,
        after: Option<&UserKey>,
        target: Target,
    ) -> QueryResult<Page<Self::Row, UserKey>> {
        let columns = sql::<UserTypes>(&user_columns(from));
        let moves_texts = moves_texts(from);
        let rows = users::table.limit(ROWS).select(columns);
        let page = |rows: &mut dyn Iterator<Item = QueryResult<UserColumns>>| {
            let rows = rows.map(|row| {
                let mut read = fitting(user_row(row?, moves_texts), target);
                let name = &read.key.name;
                read.row = read.row.and_then(|row| {
                    require_no_nul(target, "id", name)?;
                    Ok(row)
                });
                Ok(read)
            });
            Page::of(Self::NAME, rows)
        };
        match from {
            AnyConnection::Sqlite(conn) => {
                let after = after.map_or(i64::MIN, |key| key.row);
                let rows = rows
                    .filter(sql::<Bool>("rowid > ").bind::<BigInt, _>(after))
                    .order(sql::<BigInt>("rowid"));
                page(&mut rows.load_iter::<UserColumns, DefaultLoadingMode>(conn)?)
            }
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(conn) => {
                let after = after.map_or("", |key| &key.name);
                let rows = rows.filter(users::id.gt(after)).order(users::id);
                page(&mut rows.load_iter::<UserColumns, diesel::pg::PgRowByRowLoadingMode>(conn)?)
            }
        }
    }

    fn write(to: &mut AnyConnection, rows: &[Self::Row]) -> QueryResult<u64> {
        write_newer(to, rows).map(|written| written.len() as u64)
    }
}
