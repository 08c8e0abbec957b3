//! One attempt: an HTTP exchange with one deadline. It includes redirects, and at most one resend after a stale connection.

use std::{cell::Cell, pin::pin};

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use tokio::time::timeout_at;

use crate::ingest::{
    backlog::Backlog,
    config::Config,
    http::{
        answer_head::{Redirect, redirect, unwanted_coding},
        body::{Body, discard},
        client::Client,
        connection::ConnectionError,
        error::AttemptError,
        pool::PooledConnection,
        tally::Tally,
        target::{REDIRECTS_MAX, Target},
    },
    limits::throttle::{Permit, RequestKind},
    outcome::answer::{ReceivedBody, headers_len},
    priority::Priority,
};

/// Only this much of a larger body is read before the backlog has room for all of it. Otherwise many fetchers could each hold a
/// large body.
const SMALL_BODY: usize = 64 * 1024;

/// What an attempt uses, and its bounds.
pub(super) struct Exchange<'a> {
    pub(super) client: &'a Client,
    /// The settings of the caller. The timeout includes redirects and excludes waits of our own.
    pub(super) config: &'a Config,
    pub(super) backlog: &'a Backlog,
    /// Further requests wait with this priority.
    pub(super) priority: Priority,
    /// Whether the source decodes answers with this status.
    pub(super) is_answer: &'a dyn Fn(u16) -> bool,
    /// Whether answers keep their headers.
    pub(super) wants_headers: bool,
}

/// The result of one request of an attempt.
enum AttemptStep {
    /// An answer for the source. Of a large body, only the beginning has been read.
    Answer(AnswerHead, Body),
    /// The server names another URL.
    Redirect(Redirect),
    /// A cool-down began while this request connected. Nothing was sent.
    Cooling,
    /// The server had closed the kept connection. There was no answer.
    Stale,
}

/// What is kept of the head of an answer.
struct AnswerHead {
    status: u16,
    /// Empty unless the source wants them.
    headers: Box<[(String, String)]>,
}

/// Makes one attempt. `permit` is the permit of its first request. Each further request takes a permit of its own; the last one
/// is in `permit` when the attempt ends.
pub(super) async fn attempt<'a>(
    exchange: &Exchange<'a>,
    target: &Target,
    permit: &mut Option<Permit<'a>>,
    tally: &mut Tally,
) -> Result<ReceivedBody, AttemptError> {
    let (client, timeout) = (exchange.client, exchange.config.timeout);
    let is_late = |_| AttemptError::Timeout(timeout);
    let mut redirected_to = None;
    let mut redirects = 0;
    // The server may have closed a kept connection, and then it is unknown whether it read the request.
    let mut may_reuse = !target.is_once;
    let (head, mut body) = loop {
        let target = redirected_to.as_ref().unwrap_or(target);
        let slot = tally.own_wait(client.0.connections.acquire()).await;
        let deadline = tally.deadline(timeout);
        let is_connected = Cell::new(false);
        let step = {
            let request = async {
                let connection = slot.connect(target, may_reuse, tally).await?;
                is_connected.set(true);
                request(exchange, target, connection).await
            };
            // Pinned here, because moving a large future would copy it.
            timeout_at(deadline, pin!(request)).await.map_err(|late| {
                if is_connected.get() {
                    return is_late(late);
                }
                AttemptError::ConnectTimeout {
                    timeout,
                    place: client.0.connections.next_hop(target),
                }
            })??
        };
        match step {
            AttemptStep::Answer(head, body) => break (head, body),
            AttemptStep::Cooling => {}
            AttemptStep::Stale => {
                tally.is_resent = true;
                // Other idle connections may be closed, too. A new one cannot be stale.
                may_reuse = false;
            }
            AttemptStep::Redirect(Redirect { code, target: next }) => {
                redirects += 1;
                if redirects > REDIRECTS_MAX {
                    return Err(next.one_too_many(code));
                }
                tally.is_carried_out |= next.method != target.method;
                redirected_to = Some(next);
            }
        }
        // A further request needs a permit, too. The old permit is given back first. Otherwise requests that wait for their
        // second permit could hold all permits, and wait for ever.
        *permit = None;
        let acquiring = client.throttle().acquire(
            RequestKind::Regular,
            exchange.priority,
            exchange.config.outage_patience,
        );
        let acquired = tally.own_wait(acquiring).await;
        *permit = Some(acquired.map_err(AttemptError::AskedToWait)?);
    };
    let headers_len = headers_len(&head.headers);
    let mut room;
    if body.is_whole() {
        let length = headers_len + body.bytes.len();
        room = tally.own_wait(exchange.backlog.acquire_bytes(length)).await;
    } else {
        let length = headers_len.saturating_add(body.expected_len());
        room = tally.own_wait(exchange.backlog.acquire_bytes(length)).await;
        let deadline = tally.deadline(timeout);
        timeout_at(deadline, pin!(body.read_until(usize::MAX)))
            .await
            .map_err(is_late)??;
        room.shrink_to(headers_len + body.bytes.len());
    }
    Ok(ReceivedBody {
        status: head.status,
        headers: head.headers,
        bytes: client.0.bodies.store(body.bytes),
        room,
    })
}

/// Makes one request over a connection. A status that is no answer for the source counts as soon as the head is there, even if
/// the body breaks off.
async fn request(
    exchange: &Exchange<'_>,
    target: &Target,
    mut connection: PooledConnection,
) -> Result<AttemptStep, AttemptError> {
    if exchange.client.throttle().is_cooling() {
        // The cool-down began while this request connected.
        connection.release();
        return Ok(AttemptStep::Cooling);
    }
    let status = match connection.http.send(target).await {
        Ok(status) => status,
        Err(ConnectionError::Stale) => return Ok(AttemptStep::Stale),
        Err(error) => return Err(error.into()),
    };
    // Informational statuses are no answers (RFC 9110, 15.2).
    let code = status.as_u16();
    if code >= 200 && (exchange.is_answer)(code) {
        // An answer without a body, such as 304, may name the coding of the body that it stands for.
        if connection.http.announced_len() != Some(0)
            && let Some(coding) = unwanted_coding(target, &connection.http.headers)
        {
            discard(connection);
            return Err(AttemptError::Encoded(coding));
        }
        let head = AnswerHead {
            status: code,
            headers: if exchange.wants_headers {
                copied(&connection.http.headers)
            } else {
                Box::default()
            },
        };
        let mut body = Body::new(connection, exchange.config.max_body_len())?;
        body.read_until(SMALL_BODY).await?;
        return Ok(AttemptStep::Answer(head, body));
    }
    let redirect = redirect(target, status, &connection.http);
    discard(connection);
    redirect.map(AttemptStep::Redirect)
}

/// Headers in memory of their own. hyper's keep the buffer alive that they were read into.
fn copied(headers: &HeaderMap) -> Box<[(String, String)]> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let copy = |(name, value): (&HeaderName, _)| (name.as_str().to_owned(), text(value));
    headers.iter().map(copy).collect()
}
