//! Where a run begins to follow: what the database must have for that, the first id, and the gap to what was stored before.

use std::time::Duration;

use log::warn;

use super::{args::COMMAND, fetch_runs::Ids, largest};
use crate::{
    cli::{
        database::{self, NOT_WRITTEN},
        exit::CommandError,
        id_stream_error::IdStreamError,
        session::Session,
        shared_ids::{Claimer, count_left, shared_ids},
    },
    hn::{
        coverage::Range,
        follow::starting_point::StartingPoint,
        indexes::Building,
        plan::Refetch,
        refresh::{self, Ladder},
        runs,
    },
    store::locks::while_locked,
};

/// How often to look whether another process has ended building an index.
const OTHER_BUILD_WAIT: Duration = Duration::from_secs(1);

const UNPREPARED: &str = "the database cannot be prepared for following";

/// The ids that a run finds when it begins.
pub(super) struct Beginning {
    /// From the first id to follow to the largest id of the API. Empty if there is nothing new yet.
    pub(super) known: Range,
    /// Since when nothing has followed the changes, in Unix seconds. `None` if nothing ever did.
    pub(super) left_at: Option<i64>,
    /// Whether the database held nothing that could be followed.
    is_empty: bool,
}

/// Makes sure that there is an index of the items that are due, and reads where to begin.
pub(super) async fn prepare(
    session: &Session<'_>,
    row: i64,
    ladder: &Ladder,
) -> Result<StartingPoint, CommandError> {
    loop {
        let sought = ladder.clone();
        let has_index = database::query_or(UNPREPARED, &session.pool, move |conn| {
            refresh::has_index(conn, &sought)
        });
        if has_index.await? {
            break;
        }
        session.print_note("building the index of what is to be read again");
        let (pool, ladder) = (session.pool.clone(), ladder.clone());
        // However long it takes.
        let building = database::blocking(move || {
            database::while_connecting(&pool, |conn| {
                while_locked(|| refresh::build_index(conn, &ladder))
                    .map_err(|error| CommandError(format!("{UNPREPARED}: {error}")))
            })
        });
        if building.await? == Building::Done {
            break;
        }
        session.print_note("another process is building an index");
        actix_rt::time::sleep(OTHER_BUILD_WAIT).await;
    }
    database::query_or(UNPREPARED, &session.pool, move |conn| {
        StartingPoint::read(conn, COMMAND, row)
    })
    .await
}

impl Beginning {
    /// Decides where the run in this row begins, and records that. `from` is the first id if the user names one, and `max_item` is the
    /// API's largest id. If it is not known or is not confirmed, the run begins with what is known, and the API announces the rest.
    pub(super) async fn record(
        session: &Session<'_>,
        row: i64,
        found: StartingPoint,
        from: Option<i64>,
        max_item: Option<i64>,
    ) -> Result<Self, CommandError> {
        let begins_at = from.or(found.first);
        let max_item = match (max_item, begins_at) {
            (Some(id), _) if largest::is_credible(session, id, found.first).await => id,
            (Some(id), None) => return Err(largest::incredible(id)),
            (None, None) => largest::read(session).await?,
            (max_item, Some(first)) => {
                if let Some(id) = max_item {
                    warn!("{}; it is not used", largest::incredible(id));
                }
                first - 1
            }
        };
        let newest = max_item.saturating_add(1);
        let first = begins_at.unwrap_or(newest);
        let settled = first - 1;
        if first > newest {
            warn!(
                "the API's largest id is {max_item}, and the database holds ids up to {settled}; nothing is new until the API passes that"
            );
        }
        // Before anything is read: this process may be killed at any moment.
        database::query_or(NOT_WRITTEN, &session.pool, move |conn| {
            runs::set_settled_up_to(conn, row, settled)
        })
        .await?;
        Ok(Self {
            known: Range {
                lo: first,
                hi: max_item.max(settled),
            },
            left_at: found.left_at,
            is_empty: found.first.is_none(),
        })
    }

    /// The known ids that are not settled, which the run claims and fetches. `None` if there are none.
    pub(super) async fn gap(
        &self,
        session: &Session<'_>,
        claimer: Claimer,
        error: IdStreamError,
    ) -> Result<Option<Ids>, CommandError> {
        if self.known.lo > self.known.hi {
            return Ok(None);
        }
        let left = count_left(session, self.known, Refetch::default()).await?;
        Ok((left > 0).then(|| Box::pin(shared_ids(claimer, left, error)) as Ids))
    }

    /// Where following begins, for people.
    pub(super) fn describe(&self) -> String {
        let first = self.known.lo;
        if self.is_empty {
            format!("following from item {first} on; backfill fetches what is older")
        } else {
            let left = self.known.hi - first + 1;
            format!("following from item {first} on, {left} below the API's largest")
        }
    }
}
