//! Copies the claims of `coverage`: of each claimed id, only if the target holds an outcome of it. So a claim never goes beyond
//! the rows, even if rows were refused, or changed at the source while others were copied.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, dsl::sql, sql_types::BigInt};

use super::{
    page::{Page, ROWS},
    table::{CopiedTable, Target},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        coverage::{self, Range},
        schema,
    },
    store::any::AnyConnection,
};

pub(super) struct Claims;

/// Ids that are looked up in one transaction.
const IDS: u64 = 20_000;

impl CopiedTable for Claims {
    const NAME: &'static str = "coverage";
    const NUMBER: Option<&'static str> = Some("hi");
    /// The last id that was looked up.
    type Key = i64;
    type Row = Range;

    fn read(
        from: &mut AnyConnection,
        after: Option<&i64>,
        _: Target,
    ) -> QueryResult<Page<Range, i64>> {
        let mut page = Page {
            rows: Vec::new(),
            refused: Vec::new(),
            read: 0,
            last: None,
        };
        let Some(first) = after.map_or(Some(i64::MIN), |id| id.checked_add(1)) else {
            return Ok(page);
        };
        let begun = coverage::containing(from, first)?;
        let later = schema::coverage::table
            .filter(schema::coverage::lo.gt(first))
            .order(schema::coverage::lo)
            .limit(ROWS);
        let later: Vec<Range> = on_backend!(from, |conn| later.load(conn))?;
        for range in begun.into_iter().chain(later) {
            let lo = range
                .lo
                .max(page.last.map_or(first, |last: i64| last.saturating_add(1)));
            let room = i64::try_from(IDS - page.read).unwrap_or(i64::MAX);
            let hi = range.hi.min(lo.saturating_add(room - 1));
            page.last = Some(hi.max(lo));
            let ids = Range { lo, hi };
            page.read += ids.count();
            if ids.count() > 0 {
                page.rows.push(ids);
            }
            if page.read >= IDS {
                break;
            }
        }
        Ok(page)
    }

    fn write(to: &mut AnyConnection, claims: &[Range]) -> QueryResult<u64> {
        to.lock_ledger()?;
        let mut written = 0;
        for claim in claims {
            let Range { lo, hi } = *claim;
            let present = coverage::containing(to, lo)?;
            if present.is_some_and(|present| present.hi >= hi) {
                continue;
            }
            let ids = ["items", "absent", "failures"]
                .map(|table| format!("SELECT id FROM {table} WHERE id BETWEEN {lo} AND {hi}"))
                .join(" UNION ");
            let ids = sql::<BigInt>(&ids);
            let ids: Vec<i64> = on_backend!(to, |conn| ids.load(conn))?;
            written += ids.len() as u64;
            coverage::record(to, ids)?;
        }
        Ok(written)
    }

    fn number(id: &i64) -> i64 {
        *id
    }
}
