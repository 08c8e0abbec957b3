//! Copies users.

use std::fmt;

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl,
    connection::DefaultLoadingMode,
    dsl::sql,
    sql_types::{BigInt, Binary, Bool, Nullable, Text},
};

use super::{
    page::{Columns, Misfit, Page, ROWS, ReadRow, require_types, some_text, text},
    records::{
        Bytes, Field, Number, Record, StoredRow, Timed, as_read, fitting, moves_texts,
        require_no_nul, size_of_texts, write_newer,
    },
    table::{CopiedTable, Target},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        schema::users,
        user::User,
    },
    store::any::AnyConnection,
};

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
