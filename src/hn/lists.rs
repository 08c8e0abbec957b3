//! The API's lists of ids, its largest id, and the table that keeps each list as last read.

use diesel::{ExpressionMethods, Insertable, QueryResult, RunQueryDsl};
use thiserror::Error;

use super::{
    clock::now,
    connection::{HnConnection, on_backend},
    document::{compression, without_byte_order_mark},
    schema::lists,
    source::HnSource,
};
use crate::ingest::{Client, Failure};

/// Rows of one statement, well under SQLite's 32,766 bound values.
const ROWS: usize = 1000;

/// The lists of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// `topstories.json`: up to 500 ids, jobs included.
    Top,
    /// `newstories.json`: up to 500 ids.
    New,
    /// `beststories.json`.
    Best,
    /// `askstories.json`: up to 200 ids.
    Ask,
    /// `showstories.json`: up to 200 ids.
    Show,
    /// `jobstories.json`: up to 200 ids.
    Job,
}

/// Why a list or the largest id could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListError {
    /// The API did not answer.
    #[error("cannot read {url}: {failure}")]
    Unreachable {
        /// The requested URL.
        url: String,
        /// Why there was no answer.
        failure: Failure,
    },
    /// The answer is something else.
    #[error("{url} is no {expected}: {source}")]
    Unexpected {
        /// The requested URL.
        url: String,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl List {
    /// All lists.
    pub const ALL: [Self; 6] = [
        Self::Top,
        Self::New,
        Self::Best,
        Self::Ask,
        Self::Show,
        Self::Job,
    ];

    /// The name that commands and the table `lists` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Top => "top",
            Self::New => "new",
            Self::Best => "best",
            Self::Ask => "ask",
            Self::Show => "show",
            Self::Job => "job",
        }
    }

    /// The name of its document.
    pub fn document(self) -> &'static str {
        match self {
            Self::Top => "topstories",
            Self::New => "newstories",
            Self::Best => "beststories",
            Self::Ask => "askstories",
            Self::Show => "showstories",
            Self::Job => "jobstories",
        }
    }

    /// Reads the whole list, in rank order. `null` is an empty list, because Firebase keeps no empty arrays.
    ///
    /// # Errors
    /// The API does not answer, or answers something else than a list of ids.
    pub async fn read(self, client: &Client, source: &HnSource) -> Result<Vec<i64>, ListError> {
        let url = source.document(self.document());
        let ids: Option<_> = document(client, url, "list of ids").await?;
        Ok(ids.unwrap_or_default())
    }

    /// Writes the list as read, in place of the one that was read before.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub fn keep(self, conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<()> {
        #[derive(Insertable)]
        #[diesel(table_name = lists, treat_none_as_default_value = false)]
        struct Entry {
            list: &'static str,
            rank: i64,
            id: i64,
            fetched_at: i64,
        }
        let (list, fetched_at) = (self.name(), now());
        let entries: Vec<_> = (1..)
            .zip(ids)
            .map(|(rank, &id)| Entry {
                list,
                rank,
                id,
                fetched_at,
            })
            .collect();
        conn.write_transaction(|conn| {
            // Two programs may read the same list at once.
            conn.lock_ledger()?;
            on_backend!(conn, |conn| diesel::delete(lists::table)
                .filter(lists::list.eq(list))
                .execute(conn))?;
            for rows in entries.chunks(ROWS) {
                on_backend!(conn, |conn| diesel::insert_into(lists::table)
                    .values(rows)
                    .execute(conn))?;
            }
            Ok(())
        })
    }
}

/// The largest id that the API has at present.
///
/// # Errors
/// The API does not answer, or answers something else than a number above 0.
pub async fn max_item(client: &Client, source: &HnSource) -> Result<i64, ListError> {
    let (url, expected) = (source.document("maxitem"), "number of items");
    match document(client, url.clone(), expected).await? {
        none @ ..=0_i64 => Err(ListError::Unexpected {
            url,
            expected,
            source: serde::de::Error::custom(format_args!("it is {none}")),
        }),
        largest => Ok(largest),
    }
}

async fn document<T: serde::de::DeserializeOwned>(
    client: &Client,
    url: String,
    expected: &'static str,
) -> Result<T, ListError> {
    match client.get(&url, &[]).await {
        Ok(body) => serde_json::from_slice(without_byte_order_mark(&body)).map_err(|error| {
            let source = match compression(&body) {
                Some(format) => serde::de::Error::custom(format_args!(
                    "it is compressed ({format}), which was not asked for, so something on the way may change answers (a proxy, a cache)"
                )),
                None => error,
            };
            ListError::Unexpected {
                url,
                expected,
                source,
            }
        }),
        Err(failure) => Err(ListError::Unreachable { url, failure }),
    }
}
