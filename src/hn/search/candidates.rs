//! Finds the rows that fit a query: how many there are, the newest ones, and those that are ranked.
//!
//! Ranking every item with a frequent word would take seconds. So only these are ranked: the newest items, the newest items with the
//! words in their titles, and older items with the words in their titles and very many points.

use std::collections::HashSet;

use diesel::{
    QueryResult, RunQueryDsl,
    sql_types::{BigInt, Nullable, Text},
};

#[cfg(feature = "postgres")]
use super::postgres;
use super::{
    bounds::IdBounds,
    content::Columns,
    filters::Filters,
    matching::Matching,
    rank::Candidate,
    sqlite,
    statement::{Statement, still_in_time},
};
use crate::hn::connection::{Backend, HnConnection, on_backend};

/// At most this many rows are counted. If there are more, the total is not exact.
const COUNTED: usize = 5000;

/// The same limit, where each row must be looked up for a filter.
const COUNTED_FILTERED: usize = 3_000;

/// This many of the newest rows are ranked.
const NEWEST: usize = 300;

/// This many of the newest rows with the words in the title are ranked.
const TITLES: usize = 500;

/// An older row is ranked if it has the words in its title and is among this many stories with the most points.
const POPULAR: i64 = 20_000;

/// At most this many older rows with the words in the title are compared with those stories.
const OLDER_TITLES: i64 = 10_000;

/// A database that must read each row to see whether its title has the words does so in a span of ids that is this many times as long
/// as that of the counted rows, if there are too many rows to count.
const TITLE_REACH: i64 = 5;

/// How many rows fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) count: u64,
    /// Whether all rows were counted. Otherwise there are more.
    pub(crate) is_exact: bool,
}

/// The newest rows that fit.
pub(super) struct Counted {
    pub(super) total: Total,
    /// Their ids, the newest first. All of them, if the total is exact.
    ids: Vec<i64>,
}

impl Counted {
    /// The newest rows that are ranked, whether their titles fit or not.
    pub(super) fn ranked(&self) -> &[i64] {
        &self.ids[..self.ids.len().min(NEWEST)]
    }

    /// A part of the rows. `None` if it goes beyond what was counted.
    pub(super) fn part(&self, offset: usize, limit: usize) -> Option<Vec<i64>> {
        let is_known = self.total.is_exact || offset.saturating_add(limit) <= self.ids.len();
        let part = self.ids.iter().skip(offset).take(limit);
        is_known.then(|| part.copied().collect())
    }
}

/// The rows that fit a query and lie within bounds of ids.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) matching: Matching<'a>,
    pub(super) columns: Columns,
    pub(super) bounds: IdBounds,
}

impl Rows<'_> {
    /// `SELECT what FROM … WHERE …`. In `what`, `$id` is the id.
    fn select<ST>(
        &self,
        conn: &mut impl HnConnection,
        what: &str,
    ) -> (Statement<ST>, &'static str) {
        let (id, rows) = match conn.backend() {
            Backend::Sqlite(_) => (sqlite::ID, sqlite::rows(&self.matching, self.columns)),
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => (postgres::ID, postgres::rows(&self.matching, self.columns)),
        };
        let select = Statement::new(format!("SELECT {} ", what.replace("$id", id)))
            .part(rows)
            .part(still_in_time(conn, id))
            .part(self.bounds.conditions(id));
        (select, id)
    }

    /// Counts the rows, the newest first.
    pub(super) fn count(&self, conn: &mut impl HnConnection) -> QueryResult<Counted> {
        let has_literal = self.matching.query.has_literal();
        let most = if !sqlite::needs_rows(&self.matching) && !has_literal {
            COUNTED
        } else {
            COUNTED_FILTERED
        };
        let mut ids = self.newest(conn, 0, most + 1)?;
        let is_exact = ids.len() <= most;
        ids.truncate(most);
        let total = Total {
            count: ids.len() as u64,
            is_exact,
        };
        Ok(Counted { total, ids })
    }

    /// The ids of the newest rows.
    pub(super) fn newest(
        &self,
        conn: &mut impl HnConnection,
        offset: usize,
        limit: usize,
    ) -> QueryResult<Vec<i64>> {
        let (rows, id) = self.select::<BigInt>(conn, "$id AS id");
        let rows = rows
            .sql(format!(" ORDER BY {id} DESC LIMIT "))
            .number(i64::try_from(limit).unwrap_or(i64::MAX))
            .sql(" OFFSET ")
            .number(i64::try_from(offset).unwrap_or(i64::MAX));
        on_backend!(conn, |conn| rows.load(conn))
    }

    /// The ids of titles that fit: the newest ones, and older ones with very many points.
    pub(super) fn titles(
        &self,
        conn: &mut impl HnConnection,
        counted: &Counted,
    ) -> QueryResult<Vec<i64>> {
        if self.matching.filters.excludes_titles() || !self.columns.title {
            return Ok(Vec::new());
        }
        let is_short = counted.total.is_exact || !conn.dialect().reads_rows_for_titles;
        let reach = match &counted.ids[..] {
            [newest, .., oldest] if !is_short => {
                let span = newest.saturating_sub(*oldest).saturating_mul(TITLE_REACH);
                Some(newest.saturating_sub(span))
            }
            _ => None,
        };
        let titles = Self {
            columns: Columns::TITLE,
            bounds: self.bounds.from(reach),
            ..*self
        };
        let mut ids = titles.newest(conn, 0, TITLES)?;
        if let Some(oldest) = ids.last().filter(|_| ids.len() == TITLES) {
            let older = IdBounds {
                hi: Some(oldest - 1),
                ..titles.bounds
            };
            let older = Self {
                bounds: older,
                ..titles
            };
            ids.extend(older.popular(conn)?);
        }
        Ok(ids)
    }

    /// The ids of the rows that are among the stories with the most points, the newest first.
    fn popular(&self, conn: &mut impl HnConnection) -> QueryResult<Vec<i64>> {
        // They are compared here, because SQLite would take several times as long.
        let popular = Statement::<BigInt>::new(format!(
            "SELECT id FROM items WHERE type = 'story' AND score > 0 ORDER BY score DESC LIMIT {POPULAR}"
        ));
        let popular: Vec<i64> = on_backend!(conn, |conn| popular.load(conn))?;
        let popular: HashSet<i64> = popular.into_iter().collect();
        // All of these are stories. So a filter that lets stories pass need not be looked at for each title.
        let no_filters = Filters::default();
        let mut rows = *self;
        if self.matching.filters.are_types() {
            let types = self.matching.filters.types().unwrap_or_default();
            if !types.contains(&"story") {
                return Ok(Vec::new());
            }
            rows.matching.filters = &no_filters;
        }
        let (rows, id) = rows.select::<BigInt>(conn, "$id AS id");
        let rows = rows.sql(format!(" ORDER BY {id} DESC LIMIT {OLDER_TITLES}"));
        let ids: Vec<i64> = on_backend!(conn, |conn| rows.load(conn))?;
        let popular = ids.into_iter().filter(|id| popular.contains(id));
        Ok(popular.take(TITLES).collect())
    }

    /// The ids of the rows below an id, the newest first, without those that were shown before.
    pub(super) fn below(
        &self,
        conn: &mut impl HnConnection,
        id: i64,
        shown: impl Fn(i64) -> bool,
        offset: usize,
        limit: usize,
    ) -> QueryResult<Vec<i64>> {
        let bounds = IdBounds {
            hi: Some(id - 1),
            ..self.bounds
        };
        let (rows, id) = Self { bounds, ..*self }.select::<BigInt>(conn, "$id AS id");
        let rows = rows.sql(format!(" ORDER BY {id} DESC"));
        let mut left_out = 0;
        let mut page = Vec::new();
        on_backend!(conn, |conn, Mode| {
            for id in rows.load_iter::<i64, Mode>(conn)? {
                // After an error SQLite would begin anew with the next row.
                let id = id?;
                if page.len() == limit {
                    break;
                }
                if shown(id) {
                    continue;
                }
                if left_out < offset {
                    left_out += 1;
                } else {
                    page.push(id);
                }
            }
        });
        Ok(page)
    }
}

/// Reads what the ranks of these items depend on.
pub(super) fn load(
    conn: &mut impl HnConnection,
    ids: &[i64],
    is_title: impl Fn(i64) -> bool,
) -> QueryResult<Vec<Candidate>> {
    type Columns = (
        BigInt,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<BigInt>,
        Nullable<BigInt>,
    );
    type Row = (
        i64,
        Option<String>,
        Option<String>,
        Option<i64>,
        Option<i64>,
    );
    let rows = Statement::<Columns>::new(
        "SELECT id, title, text, score, descendants FROM items WHERE id IN (",
    );
    let rows = rows.numbers(ids).sql(")");
    let rows: Vec<Row> = on_backend!(conn, |conn| rows.load(conn))?;
    let candidate = |(id, title, text, points, comments)| Candidate {
        id,
        in_title: is_title(id),
        title,
        text,
        points,
        comments,
    };
    Ok(rows.into_iter().map(candidate).collect())
}
