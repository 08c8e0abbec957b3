//! One HTTP exchange under one deadline: connect, head and body. Fetchers use it, and so does the reading of lists.

use std::time::{Duration, SystemTime};

use awc::{
    ClientResponse,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{
        Uri,
        header::{self, HeaderMap},
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use thiserror::Error;

use super::{connections::Connections, outcome::FailureKind, wire};

/// A response may send us on this often.
const REDIRECTS_MAX: usize = 3;

/// Of a body that nobody wants, this much is read so that its connection can be used again.
const DISCARD_MAX: usize = 64 * 1024;

const CUT_SHORT: &str = "the body was cut short";

/// What is asked for, and within which bounds.
pub(crate) struct Exchange<'a> {
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) deadline: Duration,
    pub(crate) max_body: usize,
}

/// Why an attempt brought no body.
#[derive(Debug, Error)]
pub(crate) enum AttemptError {
    #[error("no whole answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the connection broke: {0}")]
    Reset(String),
    #[error("HTTP status {code}")]
    Status {
        code: u16,
        retry_after: Option<Duration>,
    },
    #[error("the body is larger than {} bytes", .limit)]
    TooLarge { limit: usize },
    #[error("no such request can be sent: {0}")]
    Request(String),
}

impl AttemptError {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Timeout(_) => FailureKind::Timeout,
            Self::Connect(_) | Self::Request(_) => FailureKind::Connect,
            Self::Reset(_) => FailureKind::Reset,
            Self::Status { .. } => FailureKind::Status,
            Self::TooLarge { .. } => FailureKind::Body,
        }
    }

    /// Whether the same request may well succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Connect(_) | Self::Reset(_) => true,
            Self::Status { code, .. } => {
                matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            Self::TooLarge { .. } | Self::Request(_) => false,
        }
    }

    /// Whether the server asks everybody to stay away for a while, not only this request.
    pub(crate) fn is_meant_for_all(&self) -> bool {
        matches!(self, Self::Status { code: 429, .. }) || self.retry_after().is_some()
    }

    /// How long the server asked us to stay away.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Makes one attempt; its deadline covers everything, redirects included.
pub(crate) async fn attempt(
    connections: &Connections,
    exchange: &Exchange<'_>,
) -> Result<Bytes, AttemptError> {
    tokio::time::timeout(exchange.deadline, follow(connections, exchange))
        .await
        .unwrap_or(Err(AttemptError::Timeout(exchange.deadline)))
}

async fn follow(connections: &Connections, exchange: &Exchange<'_>) -> Result<Bytes, AttemptError> {
    let mut url: Uri = exchange
        .url
        .parse()
        .map_err(|error| AttemptError::Request(format!("`{}` is no URL: {error}", exchange.url)))?;
    let mut headers = exchange.headers;
    for _ in 0..=REDIRECTS_MAX {
        let mut response = send(connections, url.clone(), headers).await?;
        let status = response.status();
        if status.is_success() {
            return read(&mut response, exchange.max_body).await;
        }
        let code = status.as_u16();
        let location = response.headers().get(header::LOCATION).cloned();
        let retry_after = retry_after(code, response.headers(), SystemTime::now());
        discard(&mut response).await;
        match location {
            Some(location) if matches!(code, 301 | 302 | 303 | 307 | 308) => {
                let next = redirect(&url, &location)?;
                if next.authority() != url.authority() {
                    headers = &[];
                }
                url = next;
            }
            _ => return Err(AttemptError::Status { code, retry_after }),
        }
    }
    Err(AttemptError::Request(format!(
        "more than {REDIRECTS_MAX} redirects"
    )))
}

async fn send(
    connections: &Connections,
    url: Uri,
    headers: &[(String, String)],
) -> Result<ClientResponse<impl PayloadStream>, AttemptError> {
    let client = connections
        .for_scheme(url.scheme_str())
        .await
        .map_err(AttemptError::Request)?;
    let url = wire::as_plain(url).map_err(|error| AttemptError::Request(error.to_string()))?;
    let mut request = client.get(url);
    for (name, value) in headers {
        request = request.insert_header((name.as_str(), value.as_str()));
    }
    Ok(request.no_decompress().send().await?)
}

/// The body of a response, chunk by chunk.
trait PayloadStream: futures_util::Stream<Item = Result<Bytes, PayloadError>> {}

impl<T: futures_util::Stream<Item = Result<Bytes, PayloadError>>> PayloadStream for T {}

/// Reads the whole body, and makes sure of that: awc takes a connection that closes early for the end of the body. It is read
/// of its own size: a chunk as it comes keeps alive the buffer that it was read into, which is far larger than
/// most records.
async fn read<P: PayloadStream + Unpin>(
    response: &mut ClientResponse<P>,
    limit: usize,
) -> Result<Bytes, AttemptError> {
    let announced = announced(response.headers());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(AttemptError::TooLarge { limit });
    }
    let ends_with_connection =
        announced.is_none() && !response.headers().contains_key(header::TRANSFER_ENCODING);
    let mut body = BytesMut::new();
    while let Some(chunk) = response.next().await {
        let chunk = match chunk {
            Err(error) if ends_with_connection && is_end(&error) => break,
            chunk => chunk?,
        };
        if body.len() + chunk.len() > limit {
            return Err(AttemptError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    if announced.is_some_and(|length| length > body.len() as u64) {
        return Err(AttemptError::Reset(CUT_SHORT.to_owned()));
    }
    Ok(body.freeze())
}

async fn discard<P: PayloadStream + Unpin>(response: &mut ClientResponse<P>) {
    let mut seen = 0;
    while let Some(Ok(chunk)) = response.next().await {
        seen += chunk.len();
        if seen > DISCARD_MAX {
            break;
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
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

fn redirect(from: &Uri, location: &header::HeaderValue) -> Result<Uri, AttemptError> {
    let refuse = |why: &str| {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        AttemptError::Request(format!("redirect from {from} to `{location}`: {why}"))
    };
    let text = location.to_str().map_err(|_| refuse("no URL"))?;
    let base = url::Url::parse(&from.to_string()).map_err(|_| refuse("no base URL"))?;
    let next = base.join(text).map_err(|_| refuse("no URL"))?;
    if base.scheme() == "https" && next.scheme() != "https" {
        return Err(refuse("it leaves https"));
    }
    next.as_str().parse().map_err(|_| refuse("no URL"))
}

impl From<SendRequestError> for AttemptError {
    fn from(error: SendRequestError) -> Self {
        match error {
            SendRequestError::Connect(ConnectError::Disconnected) => {
                Self::Reset("closed before an answer".into())
            }
            SendRequestError::Connect(error) => Self::Connect(with_causes(&error)),
            SendRequestError::Url(_) | SendRequestError::Http(_) => {
                Self::Request(error.to_string())
            }
            error => Self::Reset(with_causes(&error)),
        }
    }
}

impl From<PayloadError> for AttemptError {
    fn from(error: PayloadError) -> Self {
        if is_end(&error) {
            return Self::Reset(CUT_SHORT.to_owned());
        }
        Self::Reset(error.to_string())
    }
}

fn is_end(error: &PayloadError) -> bool {
    match error {
        PayloadError::Io(error) | PayloadError::Incomplete(Some(error)) => wire::is_end(error),
        PayloadError::Incomplete(None) => true,
        _ => false,
    }
}

/// The error and the causes below it that add something, which for TLS is where the reason stands.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
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

    #[test]
    fn a_redirect_may_be_relative_and_never_leaves_https() {
        let to = |from: &str, location: &'static str| {
            let from: Uri = from.parse().expect("a URL");
            redirect(&from, &header::HeaderValue::from_static(location)).map(|uri| uri.to_string())
        };
        assert_eq!(to("http://a/b/c", "d").expect("relative"), "http://a/b/d");
        assert_eq!(
            to("http://a/b", "https://c/").expect("absolute"),
            "https://c/"
        );
        assert!(to("https://a/b", "http://a/b").is_err());
    }
}
