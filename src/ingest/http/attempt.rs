//! One HTTP exchange under one deadline: connect, head and body. Fetchers use it, and so does the reading of lists.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use actix_http::{
    ResponseHead,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use awc::http::Uri;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::ingest::{
    backlog::{BytesRoom, Unsaved},
    http::bodies::Bodies,
    http::connection::Broken,
    http::error::AttemptError,
    http::pool::{Connections, Used},
    limits::Pace,
};

/// A response may send us on this often.
const REDIRECTS_MAX: usize = 3;

/// Of a body that nobody wants, so much is read, for so long, that its connection can be used again.
const DISCARD_MAX: usize = 64 * 1024;
const DISCARD_TIME: Duration = Duration::from_millis(100);

/// Larger bodies are read only when there is room for all of them; so many fetchers can't hold so many large bodies at once.
const SMALL: usize = 64 * 1024;

/// What is asked for, and within which bounds.
pub(crate) struct Exchange<'a> {
    /// Or why it is none.
    pub(crate) url: Result<Uri, String>,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) deadline: Duration,
    pub(crate) max_body: usize,
    pub(crate) unsaved: &'a Unsaved,
    pub(crate) bodies: &'a Bodies,
    pub(crate) pace: &'a Pace,
}

/// Makes one attempt. Its deadline covers everything, redirects included, except the waits for room of our own and for the
/// turns of further requests.
pub(crate) async fn attempt(
    connections: &Connections,
    exchange: &Exchange<'_>,
    began: std::time::Instant,
) -> Result<(Bytes, BytesRoom), AttemptError> {
    let late = |_| AttemptError::Timeout(exchange.deadline);
    let mut deadline = Instant::from_std(began) + exchange.deadline;
    let mut url = exchange.url.clone().map_err(AttemptError::Request)?;
    let mut headers = exchange.headers;
    let mut redirects = 0;
    let mut reading = loop {
        let begun = {
            // What is large stays where it is made: each hand that it passes through would copy it.
            let begun = pin!(begin(connections, exchange, &url, headers));
            timeout_at(deadline, begun).await.map_err(late)??
        };
        match begun {
            Begun::Answer(reading) => break reading,
            Begun::Stale => connections.note_resent(),
            Begun::TooEarly => {}
            Begun::Redirect { code, location } => {
                redirects += 1;
                let next = match redirects {
                    0..=REDIRECTS_MAX => super::redirect::target(&url, &location),
                    _ => Err(format!("it is more than the {REDIRECTS_MAX}rd")),
                };
                let next = next.map_err(|why| AttemptError::Redirect { code, why })?;
                if (next.scheme(), next.authority()) != (url.scheme(), url.authority()) {
                    headers = &[];
                }
                url = next;
            }
        }
        // Another request waits for its turn like any.
        let waits = Instant::now();
        exchange.pace.request_turn().await;
        deadline += waits.elapsed();
    };
    if reading.is_whole {
        let room = exchange.unsaved.bytes(reading.body.len()).await;
        return Ok((exchange.bodies.pack(reading.body), room));
    }
    let waits = Instant::now();
    let mut room = exchange.unsaved.bytes(reading.expects()).await;
    deadline += waits.elapsed();
    timeout_at(deadline, pin!(reading.until(usize::MAX)))
        .await
        .map_err(late)??;
    room.shrink_to(reading.body.len());
    Ok((exchange.bodies.pack(reading.body), room))
}

/// What one request comes to.
enum Begun {
    /// A success, and the body as far as it is small.
    Answer(Reading),
    Redirect {
        code: u16,
        location: HeaderValue,
    },
    /// Nobody is to ask at the moment; nothing was sent.
    TooEarly,
    /// The server closed the connection after an earlier answer. Each time one is used up, and a new one is never stale.
    Stale,
}

/// Makes one request. A status that is no success is known once the head is here, whatever becomes of its body.
async fn begin(
    connections: &Connections,
    exchange: &Exchange<'_>,
    url: &Uri,
    headers: &[(String, String)],
) -> Result<Begun, AttemptError> {
    let headers = match headers {
        [] => None,
        some => Some(header_map(some)?),
    };
    let mut used = connections.to(url).await?;
    if exchange.pace.cooling().is_some() {
        // It was asked for while this one connected.
        used.release();
        return Ok(Begun::TooEarly);
    }
    let head = match used.connection.get(url, headers).await {
        Err(Broken::Stale) => return Ok(Begun::Stale),
        head => head?,
    };
    let response = Response {
        head,
        used: Some(used),
    };
    let status = response.head.status;
    if status.is_success() {
        let mut reading = Reading::new(response, exchange.max_body)?;
        reading.until(SMALL).await?;
        return Ok(Begun::Answer(reading));
    }
    let code = status.as_u16();
    let location = response.head.headers.get(header::LOCATION).cloned();
    let retry_after = retry_after(code, &response.head.headers, SystemTime::now());
    let mut discarding = Box::pin(response.discard());
    if (&mut discarding).now_or_never().is_none() {
        actix_rt::spawn(timeout(DISCARD_TIME, discarding));
    }
    match location {
        _ if status.is_informational() => {
            let why = format!("HTTP status {code} is no answer");
            Err(AttemptError::Reset(why))
        }
        Some(location) if matches!(code, 301 | 302 | 303 | 307 | 308) => {
            Ok(Begun::Redirect { code, location })
        }
        _ => Err(AttemptError::Status { code, retry_after }),
    }
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, AttemptError> {
    let refuse = |name: &str| AttemptError::Request(format!("`{name}` can be no header"));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).map_err(|_| refuse(name))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse(name))?;
        map.append(name, value);
    }
    Ok(map)
}

struct Response {
    head: ResponseHead,
    /// Until the body is read.
    used: Option<Used>,
}

impl Response {
    /// The next part of the body; `None` at its end, when the connection is free for others.
    async fn next(&mut self) -> Result<Option<Bytes>, AttemptError> {
        let Some(used) = &mut self.used else {
            return Ok(None);
        };
        let part = used.connection.body().await?;
        if part.is_none() {
            self.used.take().into_iter().for_each(Used::release);
        }
        Ok(part)
    }

    async fn discard(mut self) {
        let mut seen = 0;
        while let Ok(Some(part)) = self.next().await {
            seen += part.len();
            if seen > DISCARD_MAX {
                break;
            }
        }
    }
}

/// A body while it is read. It is read into memory of its own size: a part as it comes keeps alive the buffer that it was
/// read into, which is far larger than most records.
struct Reading {
    response: Response,
    announced: Option<usize>,
    body: BytesMut,
    is_whole: bool,
    limit: usize,
}

impl Reading {
    fn new(response: Response, limit: usize) -> Result<Self, AttemptError> {
        let announced = announced(&response.head.headers);
        if announced.is_some_and(|length| length > limit) {
            return Err(AttemptError::TooLarge { limit });
        }
        Ok(Self {
            response,
            announced,
            body: BytesMut::new(),
            is_whole: false,
            limit,
        })
    }

    /// Reads on until so many bytes are here, or all of them.
    async fn until(&mut self, bytes: usize) -> Result<(), AttemptError> {
        while !self.is_whole && self.body.len() < bytes {
            match self.response.next().await? {
                Some(part) if self.body.len() + part.len() > self.limit => {
                    return Err(AttemptError::TooLarge { limit: self.limit });
                }
                Some(part) => self.body.extend_from_slice(&part),
                None => self.is_whole = true,
            }
        }
        Ok(())
    }

    /// The most bytes that the whole body may have.
    fn expects(&self) -> usize {
        self.announced.unwrap_or(self.limit)
    }
}

/// The length that the head names, if it counts (RFC 9112, 6.3); one past `usize` is past every limit.
fn announced(headers: &HeaderMap) -> Option<usize> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let length: u64 = headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// `Retry-After` counts on 429 and 503: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(code: u16, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if !matches!(code, 429 | 503) {
        return None;
    }
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean longer than anybody waits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_on_429_and_503_only() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 10:00:00 GMT").expect("a date");
        let read = |code, value| retry_after(code, &headers(value), now).map(|wait| wait.as_secs());
        assert_eq!(read(429, "120"), Some(120));
        assert_eq!(read(503, "Mon, 23 Nov 2026 10:02:00 GMT"), Some(120));
        assert_eq!(
            read(503, "Mon, 23 Nov 2026 09:00:00 GMT"),
            Some(0),
            "a date that has passed"
        );
        assert_eq!(read(429, "99999999999999999999999"), Some(u64::MAX));
        assert_eq!(read(500, "120"), None);
        for nonsense in ["", "-1", "1.5", "soon"] {
            assert_eq!(read(429, nonsense), None, "{nonsense}");
        }
    }
}
