//! One attempt: an HTTP exchange under one deadline, with the redirects that it is sent on and the resend of a stale connection.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hyper::{HeaderMap, header::LOCATION};
use tokio::time::timeout_at;

use crate::ingest::{
    backlog::{Backlog, BytesPermit},
    http::{
        body::{Body, discard},
        body_arena::BodyArena,
        connection::ConnectionError,
        error::AttemptError,
        pool::{ConnectionPool, PooledConnection, Reuse},
        retry_after::retry_after,
        tally::Tally,
        target::{REDIRECTS_MAX, Target},
    },
    limits::throttle::{Permit, RequestKind, Throttle},
};

/// Larger bodies are read only when the backlog has room for all of them. Many fetchers could otherwise hold a large body each.
const SMALL_BODY: usize = 64 * 1024;

/// What every attempt of a pipeline works with, and within which bounds.
pub(super) struct Exchange<'a> {
    pub(super) connections: &'a ConnectionPool,
    pub(super) bodies: &'a BodyArena,
    pub(super) throttle: &'a Throttle,
    pub(super) backlog: &'a Backlog,
    /// From connecting to the last byte, redirects included, waits of our own excluded.
    pub(super) timeout: Duration,
    /// The largest body, in bytes.
    pub(super) max_body: usize,
}

/// What one request of an attempt led to.
enum AttemptStep {
    /// A success, and its body as far as it is small.
    Answer(Body),
    /// The server names another place.
    Redirect { code: u16, target: Target },
    /// The API asked meanwhile to be left alone. Nothing was sent.
    Cooling,
    /// The connection had been closed since its last answer. Nothing was answered.
    Stale,
}

/// Makes one attempt. `permit` is the right to start its first request; each further request takes a permit of its own, and the
/// last one is left in `permit`.
pub(super) async fn attempt<'a>(
    exchange: &Exchange<'a>,
    target: &Target,
    permit: &mut Option<Permit<'a>>,
    tally: &mut Tally,
) -> Result<(Bytes, BytesPermit), AttemptError> {
    let is_late = |_| AttemptError::Timeout(exchange.timeout);
    let mut redirected_to = None;
    let mut redirects = 0;
    let mut reuse = Reuse::Allowed;
    let mut body = loop {
        let target = redirected_to.as_ref().unwrap_or(target);
        let slot = tally.own_wait(exchange.connections.acquire()).await;
        let deadline = tally.deadline(exchange.timeout);
        let step = {
            let request = async {
                let connection = slot.connect(target, reuse, tally).await?;
                request(exchange, target, connection).await
            };
            // Pinned here, since moving a large future copies it.
            timeout_at(deadline, pin!(request))
                .await
                .map_err(is_late)??
        };
        match step {
            AttemptStep::Answer(body) => break body,
            AttemptStep::Cooling => {}
            AttemptStep::Stale => {
                tally.resends += 1;
                // Other idle connections may be closed, too; a new one is not.
                reuse = Reuse::Forbidden;
            }
            AttemptStep::Redirect { code, target } => {
                redirects += 1;
                if redirects > REDIRECTS_MAX {
                    return Err(target.one_too_many(code));
                }
                redirected_to = Some(target);
            }
        }
        // A further request waits for a permit like any other. The place in flight is free meanwhile, or requests that wait for
        // their second permit could hold all places.
        *permit = None;
        *permit = Some(
            tally
                .own_wait(exchange.throttle.acquire(RequestKind::Regular))
                .await,
        );
    };
    let mut room;
    if body.is_whole() {
        room = tally
            .own_wait(exchange.backlog.acquire_bytes(body.len()))
            .await;
    } else {
        room = tally
            .own_wait(exchange.backlog.acquire_bytes(body.expected_len()))
            .await;
        let deadline = tally.deadline(exchange.timeout);
        timeout_at(deadline, pin!(body.read_all()))
            .await
            .map_err(is_late)??;
        room.shrink_to(body.len());
    }
    Ok((exchange.bodies.store(body.into_bytes()), room))
}

/// Makes one request over a connection. A status other than success is known once the head is there, however its body ends.
async fn request(
    exchange: &Exchange<'_>,
    target: &Target,
    mut connection: PooledConnection,
) -> Result<AttemptStep, AttemptError> {
    if exchange.throttle.is_cooling() {
        // The API asked to be left alone while this one connected.
        connection.release();
        return Ok(AttemptStep::Cooling);
    }
    let status = match connection.get(target).await {
        Err(ConnectionError::Stale) => return Ok(AttemptStep::Stale),
        status => status?,
    };
    if status.is_success() {
        let mut body = Body::new(connection, exchange.max_body)?;
        body.read_until(SMALL_BODY).await?;
        return Ok(AttemptStep::Answer(body));
    }
    let refused = refusal(target, status.as_u16(), connection.headers());
    discard(connection);
    refused
}

/// What an answer other than a success means.
fn refusal(target: &Target, code: u16, headers: &HeaderMap) -> Result<AttemptStep, AttemptError> {
    if code < 200 {
        let why = format!("the server answered with HTTP status {code}, which was not asked for");
        return Err(AttemptError::Reset(why));
    }
    if let (301 | 302 | 303 | 307 | 308, Some(location)) = (code, headers.get(LOCATION)) {
        let target = target.redirected(code, location.as_bytes())?;
        return Ok(AttemptStep::Redirect { code, target });
    }
    Err(AttemptError::Status {
        code,
        retry_after: retry_after(code, headers, SystemTime::now()),
    })
}
