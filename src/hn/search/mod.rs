//! Full-text search: the query language, the index, and how results are found and ordered.
//!
//! `read` is the way in. It counts the rows that fit, has `candidates` choose those that are ranked, has `rank` order them, and lets all
//! others follow, the newest first. A search without words goes through `listing` instead, which needs no index.

// What is searched for. Pure.
mod term;
pub(crate) mod query;
pub(crate) mod words;
pub(crate) mod filters;
pub(crate) mod request;

// Where.
pub(crate) mod content;
mod statement;
mod matching;
pub(crate) mod parts;
mod sqlite;
#[cfg(feature = "postgres")]
mod postgres;
pub(crate) mod index;

// What is found, and in which order.
pub(crate) mod highlight;
mod rank;
pub(crate) mod stories;
mod bounds;
pub(crate) mod candidates;
mod listing;
mod suggest;
pub(crate) mod read;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
