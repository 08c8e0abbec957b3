//! Searches without words: finds the items with these tags and numbers through the ordinary indexes.

use std::collections::HashMap;

use diesel::{QueryResult, RunQueryDsl, sql_types::BigInt};

use super::{
    bounds::IdBounds,
    candidates::Total,
    filters::{Filters, NumberField, Operator, Tag},
    index::last_id,
    request::Order,
    statement::{Part, Statement, still_in_time},
};
use crate::hn::connection::{HnConnection, on_backend};

/// At most this many rows are counted. If there are more, the total is not exact.
const COUNTED: i64 = 10_000;

/// A time span with at most this many ids is read as a whole. For a longer one it is quicker to follow the index by points.
const SHORT_TIME: i64 = 50_000;

/// How the items are found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// All of them are read and sorted, because there are few.
    Few,
    /// By id, the newest first.
    Ids,
    /// By points, the highest first. An index leads to the items of each type in this order.
    Points(Vec<&'static str>),
}

/// The ids of the items that pass the filters, and how many such items there are.
pub(super) fn list(
    conn: &mut impl HnConnection,
    filters: &Filters,
    order: Order,
    offset: usize,
    limit: usize,
) -> QueryResult<(Vec<i64>, Total)> {
    let bounds = IdBounds::of(conn, filters)?;
    let way = way(filters, order, bounds.count(last_id(conn)?));
    // A search never shows dead or deleted items.
    let rows = Part::new(" FROM items i WHERE (i.dead IS NULL OR i.dead <> 1) AND (i.deleted IS NULL OR i.deleted <> 1)")
        .part(still_in_time(conn, "i.id"))
        .part(filters.conditions())
        .part(bounds.conditions("i.id"));
    let offset_sql = i64::try_from(offset).unwrap_or(i64::MAX);
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX);
    let ids = match (&way, order) {
        (Way::Points(types), _) => by_points(types, &rows, offset_sql.saturating_add(limit_sql)),
        (Way::Few, Order::Relevance) => Statement::new("SELECT i.id")
            .part(rows.clone())
            .sql(" ORDER BY coalesce(i.score, 0) DESC, coalesce(i.descendants, 0) DESC, i.id DESC"),
        (_, Order::Date) | (Way::Ids, _) => Statement::new("SELECT i.id")
            .part(rows.clone())
            .sql(" ORDER BY i.id DESC"),
    };
    let ids: Statement<BigInt> = ids
        .sql(" LIMIT ")
        .number(limit_sql)
        .sql(" OFFSET ")
        .number(offset_sql);
    let mut ids: Vec<i64> = on_backend!(conn, |conn| ids.load(conn))?;
    if is_front_page(filters) && order == Order::Relevance {
        ids = front_page_order(conn, rows.clone())?;
        ids = ids.into_iter().skip(offset).take(limit).collect();
    }
    let count = Statement::<BigInt>::new("SELECT count(*) FROM (SELECT 1 AS one")
        .part(rows)
        .sql(format!(" LIMIT {}) counted", COUNTED + 1));
    let count: i64 = on_backend!(conn, |conn| count.get_result(conn))?;
    let total = Total {
        count: u64::try_from(count.min(COUNTED)).unwrap_or(0),
        is_exact: count <= COUNTED,
    };
    Ok((ids, total))
}

/// The rows of these types by points. `most` is how many of each type can be wanted.
fn by_points(types: &[&str], rows: &Part, most: i64) -> Statement<BigInt> {
    let mut all = Statement::new("SELECT id FROM (");
    for (at, name) in types.iter().enumerate() {
        // PostgreSQL has NULLs first, SQLite last.
        all = all
            .sql(if at > 0 { " UNION ALL " } else { "" })
            .sql("SELECT * FROM (SELECT i.id, i.score")
            .part(rows.clone())
            .sql(" AND i.score IS NOT NULL AND i.type = ")
            .text(*name)
            .sql(" ORDER BY i.score DESC LIMIT ")
            .number(most)
            .sql(") one_type");
    }
    all.sql(") by_points ORDER BY score DESC, id DESC")
}

fn way(filters: &Filters, order: Order, ids: Option<i64>) -> Way {
    let is_few = |tags: &Vec<Tag>| {
        tags.iter().all(|tag| {
            let is_rare = |name: &str| !matches!(name, "story" | "comment");
            match tag {
                Tag::FrontPage | Tag::Author(_) | Tag::Story(_) | Tag::Nothing => true,
                Tag::Type(name) => is_rare(name),
                Tag::AskHn | Tag::ShowHn => false,
            }
        })
    };
    let has_parent = filters.numbers.iter().any(|comparisons| {
        let mut fields = comparisons.iter().map(|one| (one.field, one.operator));
        fields.all(|one| one == (NumberField::Parent, Operator::Equal))
    });
    if has_parent || filters.tags.iter().any(is_few) || ids.is_some_and(|ids| ids <= SHORT_TIME) {
        return Way::Few;
    }
    match filters.types_with_points() {
        Some(types) if order == Order::Relevance => Way::Points(types),
        _ => Way::Ids,
    }
}

fn is_front_page(filters: &Filters) -> bool {
    let is_it = |tags: &Vec<Tag>| tags[..] == [Tag::FrontPage];
    filters.tags.iter().any(is_it)
}

/// The ids in the order of Hacker News itself.
fn front_page_order(conn: &mut impl HnConnection, rows: Part) -> QueryResult<Vec<i64>> {
    let ids = Statement::<BigInt>::new("SELECT i.id").part(rows);
    let mut ids: Vec<i64> = on_backend!(conn, |conn| ids.load(conn))?;
    let ranks = Statement::<(BigInt, BigInt)>::new("SELECT id, rank FROM lists WHERE list = 'top'");
    let ranks: Vec<(i64, i64)> = on_backend!(conn, |conn| ranks.load(conn))?;
    let ranks: HashMap<i64, i64> = ranks.into_iter().collect();
    ids.sort_by_key(|id| ranks.get(id).copied());
    Ok(ids)
}
