//! Words that are spelt almost like one that no item has.

use diesel::{
    QueryResult, RunQueryDsl,
    sql_types::{BigInt, Text},
};
use strsim::osa_distance;

use super::{query::SearchQuery, statement::Statement, words::fold};
use crate::{
    hn::connection::{Backend, HnConnection},
    store::sqlite::check_deadline,
};

/// This many letters at the beginning of a word must be right, so that only the words that begin with them are compared.
const RIGHT_LETTERS: usize = 3;
/// At most this many words are compared.
const LOOKED_AT: i64 = 2000;

/// A word that fewer items than this have may be misspelt itself.
const ITEMS_MIN: i64 = 2;

/// Words that are longer than this may have two wrong letters, shorter ones only one.
const SHORT_WORD: usize = 7;

/// The query with its words spelt as in the index, if that is another one. On PostgreSQL there is no list of words.
pub(super) fn corrected(
    conn: &mut impl HnConnection,
    query: &SearchQuery,
) -> QueryResult<Option<SearchQuery>> {
    match conn.backend() {
        Backend::Sqlite(conn) => corrected_on_sqlite(conn, query),
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => Ok(None),
    }
}

fn corrected_on_sqlite(
    conn: &mut diesel::SqliteConnection,
    query: &SearchQuery,
) -> QueryResult<Option<SearchQuery>> {
    let mut failed = None;
    let corrected = query.with_words(|word| match better(conn, word) {
        Ok(better) => better,
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(Some(corrected).filter(|corrected| corrected != query)),
    }
}

fn better(conn: &mut diesel::SqliteConnection, word: &str) -> QueryResult<Option<String>> {
    let word = fold(word);
    let length = word.chars().count();
    if length <= RIGHT_LETTERS {
        return Ok(None);
    }
    let begin: String = word.chars().take(RIGHT_LETTERS).collect();
    let words =
        Statement::<(Text, BigInt)>::new("SELECT term, doc FROM items_fts_words WHERE term >= ");
    let words = words
        .text(begin.clone())
        .sql(" AND term < ")
        .text(format!("{begin}\u{10ffff}"))
        .sql(format!(" LIMIT {LOOKED_AT}"));
    check_deadline()?;
    let words: Vec<(String, i64)> = words.load(conn)?;
    if words.iter().any(|(known, _)| *known == word) {
        return Ok(None);
    }
    let most_wrong = if length > SHORT_WORD { 2 } else { 1 };
    let near = words.into_iter().filter_map(|(known, items)| {
        let wrong = osa_distance(&known, &word);
        (wrong <= most_wrong && items >= ITEMS_MIN).then_some((wrong, -items, known))
    });
    Ok(near.min().map(|(_, _, known)| known))
}
