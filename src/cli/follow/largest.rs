//! The API's largest id. One wrong number must not make the mirror skip ids, so a jump is confirmed by an item.

use std::time::Duration;

use actix_rt::time::{sleep, timeout};
use log::warn;

use crate::{
    cli::{exit::CommandError, session::Session},
    hn::{HnSource, lists},
    ingest::{Client, Source},
    store::message::in_words,
};

/// Without anything to compare it with, a larger number is no id. Hacker News has 50 million items.
const LARGEST: i64 = 1_000_000_000;
/// How far above what the database holds it may be without being confirmed.
const JUMP_MAX: i64 = 10_000;
/// The newest ids may be null for a while, so this many are looked at.
const LOOKED_AT: i64 = 10;

/// How long the API has for confirming it.
const CONFIRMATION: Duration = Duration::from_secs(10);

/// How long a process that takes over waits for it.
const TAKE_OVER_WAIT: Duration = Duration::from_secs(10);

/// At the first start, an API that asks for a longer pause than this is not waited for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Reads it.
pub(super) async fn read(session: &Session<'_>) -> Result<i64, CommandError> {
    let reading = lists::max_item(&session.client, &session.source);
    tokio::select! {
        read = reading => read.map_err(|error| session.explain(error)),
        rest = long_pause(&session.client) => {
            let rest = in_words(Duration::from_secs(rest.as_secs() + 1));
            Err(CommandError(format!("the API asks to wait {rest}; start follow again after that")))
        }
    }
}

/// Reads it for a process that takes over. `None` if the API is out, which must not keep the process from following.
pub(super) async fn read_to_take_over(session: &Session<'_>) -> Option<i64> {
    match timeout(TAKE_OVER_WAIT, read(session)).await {
        Ok(Ok(id)) => Some(id),
        Ok(Err(error)) => {
            warn!("{error}");
            None
        }
        Err(_) => {
            warn!("the API does not tell its largest id; following begins without it");
            None
        }
    }
}

/// Waits until the API has asked for a long pause. Returns the rest of that.
async fn long_pause(client: &Client) -> Duration {
    loop {
        let rest = client.throttle().cool_down_rest();
        if rest > PAUSE_MAX {
            return rest;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Whether it is near the first id to read, or the API has an item there.
pub(super) async fn is_credible(session: &Session<'_>, max_item: i64, first: Option<i64>) -> bool {
    let expected = first.map_or(LARGEST, |first| first.saturating_add(JUMP_MAX));
    max_item <= expected || is_confirmed(&session.client, &session.source, max_item).await
}

/// The message about one that is not credible.
pub(super) fn incredible(max_item: i64) -> CommandError {
    CommandError(format!(
        "the API says that its largest id is {max_item}, and has no item there"
    ))
}

/// Whether the API soon gives an item with this id, or with one shortly before it.
pub(super) async fn is_confirmed(client: &Client, source: &HnSource, id: i64) -> bool {
    let confirming = async {
        for id in (id.saturating_sub(LOOKED_AT).max(1)..=id).rev() {
            if let Ok(body) = client.get(&source.url(&id), &[]).await
                && body.trim_ascii() != b"null"
            {
                return true;
            }
        }
        false
    };
    timeout(CONFIRMATION, confirming).await == Ok(true)
}
