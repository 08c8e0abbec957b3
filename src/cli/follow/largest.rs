//! The API's largest id. One wrong number must not make the mirror skip ids, so a jump is confirmed by an item.

use std::time::Duration;

use actix_rt::time::sleep;
use log::warn;

use crate::{
    cli::{exit::CommandError, session::Session},
    hn::{HnSource, lists},
    ingest::{Client, Source},
};

/// Without anything to compare it with, a larger number is no id. Hacker News has 50 million items.
const LARGEST: i64 = 1_000_000_000;
/// How far above what the database holds it may be without being confirmed.
const JUMP_MAX: i64 = 10_000;
/// The newest ids may be null for a while, so this many are looked at.
const LOOKED_AT: i64 = 10;

/// How long to wait before an API that is out is asked again.
const OUTAGE_WAIT: Duration = Duration::from_secs(10);

/// Reads it.
pub(super) async fn read(session: &Session<'_>) -> Result<i64, CommandError> {
    let read = lists::max_item(&session.client, &session.source).await;
    read.map_err(|error| session.explain(error))
}

/// Reads it, and waits for an API that is out.
pub(super) async fn read_patiently(session: &Session<'_>) -> i64 {
    let mut has_warned = false;
    loop {
        match read(session).await {
            Ok(id) => return id,
            Err(error) if has_warned => log::debug!("{error}"),
            Err(error) => {
                warn!("{error}; trying again");
                has_warned = true;
            }
        }
        sleep(OUTAGE_WAIT).await;
    }
}

/// Refuses it if it is far above the first id to read, and the API has no item there.
pub(super) async fn check(
    session: &Session<'_>,
    max_item: i64,
    first: Option<i64>,
) -> Result<(), CommandError> {
    let expected = first.map_or(LARGEST, |first| first.saturating_add(JUMP_MAX));
    if max_item <= expected || is_confirmed(&session.client, &session.source, max_item).await {
        return Ok(());
    }
    Err(CommandError(format!(
        "the API says that its largest id is {max_item}, and has no item there; start follow again when it says something else"
    )))
}

/// Whether the API has an item with this id, or with one shortly before it.
pub(super) async fn is_confirmed(client: &Client, source: &HnSource, id: i64) -> bool {
    for id in (id.saturating_sub(LOOKED_AT).max(1)..=id).rev() {
        if let Ok(body) = client.get(&source.url(&id), &[]).await
            && body.trim_ascii() != b"null"
        {
            return true;
        }
    }
    false
}
