//! A search: which items fit, in which order.

use std::collections::HashSet;

use diesel::QueryResult;

use super::{
    bounds::IdBounds,
    candidates::{self, Counted, Rows, Total},
    content::Columns,
    highlight::Highlighter,
    index::{SearchIndex, missing_parts},
    listing,
    matching::Matching,
    parts::IndexPart,
    query::SearchQuery,
    rank::ranked,
    request::{Order, SearchRequest},
    suggest,
};
use crate::{
    hn::{
        HnConnection,
        reads::{self, StoredItem},
    },
    store::sqlite::check_deadline,
};

/// The part of the results that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) hits: Vec<StoredItem>,
    pub(crate) total: Total,
    /// What was searched for.
    pub(crate) query: SearchQuery,
    /// Whether that is not what was asked for, because nothing had those words.
    pub(crate) is_corrected: bool,
}

/// What a search gives.
#[derive(Clone, Debug)]
pub(crate) enum SearchAnswer {
    Found(Found),
    /// There is no index, so no word can be searched for.
    NoIndex,
    /// The index is not complete yet.
    UnfinishedIndex,
    /// A part of the index is missing.
    BrokenIndex(IndexPart),
}

/// Searches, on one snapshot of the database.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn search(
    conn: &mut impl HnConnection,
    request: &SearchRequest,
) -> QueryResult<SearchAnswer> {
    conn.snapshot(|conn| {
        let index = SearchIndex::read(conn)?;
        if request.query.is_empty() {
            let found = match titled(conn, request, index)? {
                Some(found) => found,
                None => list(conn, request)?,
            };
            return Ok(SearchAnswer::Found(found));
        }
        let Some(index) = index else {
            return Ok(SearchAnswer::NoIndex);
        };
        if !index.is_complete() {
            return Ok(SearchAnswer::UnfinishedIndex);
        }
        let mut missing = missing_parts(conn, index)?.into_iter();
        if let Some(part) = missing.find(IndexPart::is_read) {
            return Ok(SearchAnswer::BrokenIndex(part));
        }
        let found = find(conn, request, &request.query, index)?;
        if found.total.count > 0 {
            return Ok(SearchAnswer::Found(found));
        }
        if let Some(completed) = request.query.completed().filter(|_| request.completes) {
            let completed = find(conn, request, &completed, index)?;
            if completed.total.count > 0 {
                return Ok(SearchAnswer::Found(completed));
            }
        }
        if !request.corrects {
            return Ok(SearchAnswer::Found(found));
        }
        let Some(corrected) = suggest::corrected(conn, &request.query)? else {
            return Ok(SearchAnswer::Found(found));
        };
        let again = find(conn, request, &corrected, index)?;
        Ok(SearchAnswer::Found(if again.total.count == 0 {
            found
        } else {
            Found {
                is_corrected: true,
                ..again
            }
        }))
    })
}

/// What `Ask HN` or `Show HN` stands before. No ordinary index leads to these items, and they are rare. `None` if that is not wanted, or if
/// the search index does not help.
fn titled(
    conn: &mut impl HnConnection,
    request: &SearchRequest,
    index: Option<SearchIndex>,
) -> QueryResult<Option<Found>> {
    let index = index.filter(SearchIndex::is_complete);
    let beginning = request.filters.beginning_of_title();
    let (Some(index), Some(beginning)) = (index, beginning) else {
        return Ok(None);
    };
    let reads_rows = conn.dialect().reads_rows_for_titles;
    if reads_rows || !missing_parts(conn, index)?.is_empty() {
        return Ok(None);
    }
    let titles = SearchRequest {
        columns: Columns::TITLE,
        ..request.clone()
    };
    let found = find(conn, &titles, &SearchQuery::phrase(beginning), index)?;
    Ok(Some(Found {
        query: request.query.clone(),
        ..found
    }))
}

fn list(conn: &mut impl HnConnection, request: &SearchRequest) -> QueryResult<Found> {
    let SearchRequest {
        filters,
        order,
        offset,
        limit,
        ..
    } = request;
    let (ids, total) = listing::list(conn, filters, *order, *offset, *limit)?;
    found(conn, request, &request.query, &ids, total)
}

fn find(
    conn: &mut impl HnConnection,
    request: &SearchRequest,
    query: &SearchQuery,
    index: SearchIndex,
) -> QueryResult<Found> {
    // A search that finds no row meets no other check.
    check_deadline()?;
    let rows = Rows {
        matching: Matching {
            query,
            filters: &request.filters,
            content: index.content,
        },
        columns: request.columns,
        bounds: IdBounds::of(conn, &request.filters)?,
    };
    let counted = rows.count(conn)?;
    let ids = match request.order {
        _ if counted.total.count == 0 => Vec::new(),
        Order::Date => match counted.part(request.offset, request.limit) {
            Some(ids) => ids,
            None => rows.newest(conn, request.offset, request.limit)?,
        },
        Order::Relevance => by_relevance(conn, request, query, &rows, &counted)?,
    };
    found(conn, request, query, &ids, counted.total)
}

/// The ranked rows first, then all others, the newest first.
fn by_relevance(
    conn: &mut impl HnConnection,
    request: &SearchRequest,
    query: &SearchQuery,
    rows: &Rows<'_>,
    counted: &Counted,
) -> QueryResult<Vec<i64>> {
    let titles: HashSet<i64> = rows.titles(conn, counted)?.into_iter().collect();
    let newest = counted.ranked();
    let oldest = newest.last().copied();
    let mut ids: Vec<i64> = titles.iter().copied().collect();
    ids.extend(newest.iter().filter(|id| !titles.contains(id)));
    let candidates = candidates::load(conn, &ids, |id| titles.contains(&id))?;
    let mut ids = ranked(candidates, &Highlighter::of(query));
    let ranked = ids.len();
    ids = ids
        .into_iter()
        .skip(request.offset)
        .take(request.limit)
        .collect();
    let missing = request.limit - ids.len();
    if let Some(oldest) = oldest.filter(|_| missing > 0) {
        let offset = request.offset.saturating_sub(ranked);
        let is_ranked = |id: i64| titles.contains(&id);
        ids.extend(rows.below(conn, oldest, is_ranked, offset, missing)?);
    }
    Ok(ids)
}

fn found(
    conn: &mut impl HnConnection,
    request: &SearchRequest,
    query: &SearchQuery,
    ids: &[i64],
    total: Total,
) -> QueryResult<Found> {
    let mut hits = reads::items(conn, ids)?;
    if request.order == Order::Date {
        // Ids are given out in the order of time, but not to the second.
        hits.sort_by_key(|hit| std::cmp::Reverse((hit.item.time, hit.item.id)));
    }
    Ok(Found {
        hits,
        total,
        query: query.clone(),
        is_corrected: false,
    })
}
