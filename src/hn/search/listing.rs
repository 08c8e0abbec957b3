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
const COUNTED: i64 = 5000;

/// A time span with at most this many ids is read as a whole. For a longer one it is quicker to follow the index by points.
const SHORT_TIME: i64 = 50_000;

/// How the items are found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// All of them are read and sorted, because there are few.
    Few,
    /// The same, for items of a rare type.
    OfType,
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
    let rows = rows(conn, filters, &way, bounds);
    let offset_sql = i64::try_from(offset).unwrap_or(i64::MAX);
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX);
    let ids = match (&way, order) {
        (Way::Points(types), _) => by_points(types, &rows, offset_sql.saturating_add(limit_sql)),
        (Way::Few | Way::OfType, Order::Relevance) => Statement::new("SELECT i.id")
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

/// The rows that pass, as `FROM … WHERE …`. A search never shows dead or deleted items.
fn rows(conn: &mut impl HnConnection, filters: &Filters, way: &Way, bounds: IdBounds) -> Part {
    Part::new(" FROM items i WHERE (i.dead IS NULL OR i.dead <> 1) AND (i.deleted IS NULL OR i.deleted <> 1)")
        .part(still_in_time(conn, "i.id"))
        .part(filters.conditions(*way == Way::OfType))
        .part(bounds.conditions("i.id"))
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
    let has_few = |tag: &Tag| {
        matches!(
            tag,
            Tag::FrontPage | Tag::Author(_) | Tag::Story(_) | Tag::Nothing
        )
    };
    let is_rare =
        |tag: &Tag| matches!(tag, Tag::Type(name) if !matches!(&**name, "story" | "comment"));
    let mut tags = filters.tags.iter();
    let has_parent = filters.numbers.iter().any(|comparisons| {
        let mut fields = comparisons.iter().map(|one| (one.field, one.operator));
        fields.all(|one| one == (NumberField::Parent, Operator::Equal))
    });
    if has_parent
        || tags.any(|tags| tags.iter().all(has_few))
        || ids.is_some_and(|ids| ids <= SHORT_TIME)
    {
        return Way::Few;
    }
    let mut tags = filters.tags.iter();
    if tags.any(|tags| tags.iter().all(|tag| has_few(tag) || is_rare(tag))) {
        return Way::OfType;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use diesel::sql_types::Text;

    use super::*;
    use crate::{
        hn::{indexes, migrations::empty_database},
        store::sqlite::register_within_time,
    };

    /// How SQLite finds the items with these tags.
    fn plan(tags: &[Tag]) -> String {
        let mut conn = empty_database();
        register_within_time(&mut conn).unwrap();
        let missing = indexes::missing(&mut conn).unwrap();
        indexes::build(&mut conn, &missing, |_| {}).unwrap();
        let mut filters = Filters::default();
        tags.iter().for_each(|tag| filters.add_tag(tag.clone()));
        let way = way(&filters, Order::Date, None);
        let explain =
            Statement::<(BigInt, BigInt, BigInt, Text)>::new("EXPLAIN QUERY PLAN SELECT i.id")
                .part(rows(&mut conn, &filters, &way, IdBounds::default()))
                .sql(" ORDER BY i.id DESC LIMIT 20");
        let steps: Vec<(i64, i64, i64, String)> = explain.load(&mut conn).unwrap();
        let steps: Vec<String> = steps.into_iter().map(|step| step.3).collect();
        steps.join("\n")
    }

    #[test]
    fn an_author_or_a_thread_leads_to_items_before_their_type_does() {
        let of_type = |name: &str| Tag::Type(name.into());
        let author = || Tag::Author("pg".into());
        for (tags, index) in [
            (vec![author(), of_type("story")], "items_by_author"),
            (vec![of_type("comment"), author()], "items_by_author"),
            (vec![Tag::AskHn, author()], "items_by_author"),
            (vec![of_type("comment"), Tag::Story(1)], "items_by_parent"),
            (vec![of_type("job")], "items_by_type_and_score"),
        ] {
            let plan = plan(&tags);
            assert!(plan.contains(index), "{tags:?}: {plan}");
            let by_type = plan.contains("items_by_type_and_score");
            assert_eq!(
                by_type,
                index == "items_by_type_and_score",
                "{tags:?}: {plan}"
            );
        }
        let plan = plan(&[Tag::AskHn]);
        assert!(plan.contains("SCAN i"), "{plan}");
    }
}
