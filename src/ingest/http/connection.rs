//! One HTTP/1.1 connection: hyper speaks the protocol over a socket that awc connected.
//!
//! What hyper does of RFC 9112, so that nothing here has to:
//!
//! - 6.3, rule 1: an answer with status 204 or 304 has no body, whatever lengths its head names.
//! - 6.3, rule 3 and 6.1: Transfer-Encoding goes before Content-Length. An HTTP/1.0 answer with Transfer-Encoding is an error.
//! - 6.3, rule 5: differing Content-Lengths are an error, equal ones are taken for one.
//! - 6.3, rule 8: without a length, the body ends with the connection.
//! - 9.3: a connection is kept unless HTTP/1.0 or `Connection: close` ends it. `Connection: Upgrade` does not.
//! - RFC 9110, 15.2: informational answers are skipped, whatever their heads say. 101 is given out; it ends the connection.
//! - Bytes that come while nothing is asked, such as those behind the end of an answer, make the connection unusable.

use std::{cell::Cell, future::poll_fn, mem, pin::Pin, rc::Rc};

use awc::BoxedSocket;
use bytes::Bytes;
use hyper::{
    HeaderMap, Request, StatusCode,
    body::{Body, Frame, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderValue},
    http::uri::{Authority, Scheme},
};
use thiserror::Error;

use crate::ingest::http::{
    error::{AttemptError, with_causes},
    socket::{ReadBuffer, Socket},
    target::Target,
};

/// The largest head of an answer, and the largest part of a body that hyper gives out at once.
const BUFFER_MAX: usize = 64 * 1024;

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("hn-ingest/", env!("CARGO_PKG_VERSION")));

/// Without this header, a server may use any coding (RFC 9110, 12.5.3).
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("identity");

/// A connection to a server, and the answer that is being read from it.
pub(super) struct Connection {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    /// The `Host` header of every request.
    host: HeaderValue,
    /// The headers of the answer while its body is read. Afterwards empty: the next request uses their memory.
    headers: HeaderMap,
    /// Hands requests to hyper's task, which reads and writes the socket.
    sender: SendRequest<String>,
    /// Whether a byte arrived since the last request was sent.
    has_read: Rc<Cell<bool>>,
    /// Whether there was an answer on this connection.
    has_answered: bool,
    /// The rest of the body. `None` while there is no answer, and at the end of the body.
    body: Option<Incoming>,
    /// Whether the body ends only with the connection, and none of it has come yet.
    may_be_cut_short: bool,
    /// Whether the answer named both kinds of length.
    has_two_lengths: bool,
}

/// Why there is no answer, or only part of one.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    /// The server had closed the connection after an earlier answer: nothing of this answer came.
    #[error("the server closed the connection after an earlier answer")]
    Stale,
    #[error("the connection broke: the body was cut short")]
    CutShort,
    #[error("the connection broke: {}", with_causes(.0))]
    Http(#[from] hyper::Error),
}

impl Connection {
    /// Takes over a connected socket.
    pub(super) async fn new(
        io: BoxedSocket,
        buffer: Rc<ReadBuffer>,
        target: &Target,
    ) -> Result<Self, AttemptError> {
        let has_read = Rc::new(Cell::new(false));
        let (sender, connection) = http1::Builder::new()
            // RFC 9112, 5.2: a user agent replaces a folded line by a space.
            .allow_obsolete_multiline_headers_in_responses(true)
            .max_buf_size(BUFFER_MAX)
            .handshake(Socket::new(io, buffer, has_read.clone()))
            .await
            .map_err(ConnectionError::Http)?;
        // It ends when the sender is dropped or the connection is closed. Its error also reaches the request that it concerns.
        actix_rt::spawn(connection);
        let (scheme, authority) = target.origin();
        Ok(Self {
            scheme: scheme.cloned(),
            authority: authority.cloned(),
            host: target.host()?,
            headers: HeaderMap::new(),
            sender,
            has_read,
            has_answered: false,
            body: None,
            may_be_cut_short: false,
            has_two_lengths: false,
        })
    }

    /// Whether this connects to the server that a target names.
    pub(super) fn leads_to(&self, target: &Target) -> bool {
        (self.scheme.as_ref(), self.authority.as_ref()) == target.origin()
    }

    /// Whether another request can be made: after an answer, or because none was made yet.
    pub(super) fn is_reusable(&self) -> bool {
        // RFC 9112, 6.1: after both kinds of length, the end of the answer cannot be trusted.
        self.body.is_none()
            && !self.has_two_lengths
            && (self.sender.is_ready() || !self.has_answered)
    }

    /// Whether an idle connection was closed: by the server, or because it sent something that was not asked for.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks for a target of this server, and waits for the head of the answer.
    pub(super) async fn get(&mut self, target: &Target) -> Result<StatusCode, ConnectionError> {
        let request = self.request(target);
        self.has_read.set(false);
        let (head, body) = match self.sender.send_request(request).await {
            Ok(response) => response.into_parts(),
            // Either hyper had not begun to send the request, or the server had not begun to answer it (RFC 9112, 9.3.1). An
            // answer that cannot be parsed is neither.
            Err(error) if self.has_answered && (error.is_canceled() || !self.has_read.get()) => {
                return Err(ConnectionError::Stale);
            }
            Err(error) => return Err(error.into()),
        };
        let is_timeout = head.status == StatusCode::REQUEST_TIMEOUT;
        if self.has_answered && is_timeout && asks_to_close(&head.headers) {
            // Some servers say this when they close an idle connection. It answers no request.
            return Err(ConnectionError::Stale);
        }
        self.has_answered = true;
        let is_encoded = head.headers.contains_key(header::TRANSFER_ENCODING);
        self.has_two_lengths = is_encoded && head.headers.contains_key(header::CONTENT_LENGTH);
        self.may_be_cut_short = !is_encoded && body.size_hint().exact().is_none();
        self.headers = head.headers;
        self.body = (!body.is_end_stream()).then_some(body);
        Ok(head.status)
    }

    fn request(&mut self, target: &Target) -> Request<String> {
        // An empty string is an empty body.
        let mut request = Request::new(String::new());
        if let Some(path) = target.uri().path_and_query() {
            *request.uri_mut() = path.clone().into();
        }
        let mut headers = mem::take(&mut self.headers);
        headers.clear();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT_ENCODING, ACCEPT_ENCODING);
        if !target.headers().is_empty() {
            target
                .headers()
                .keys()
                .for_each(|name| _ = headers.remove(name));
            headers.extend(target.headers().clone());
        }
        *request.headers_mut() = headers;
        request
    }

    /// The headers of the answer, until its body is read.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How many bytes of body are still to come, if the head says so.
    pub(super) fn announced_len(&self) -> Option<u64> {
        let body = self.body.as_ref();
        body.map_or(Some(0), |body| body.size_hint().exact())
    }

    /// The next part of the body; `None` at its end.
    pub(super) async fn next_part(&mut self) -> Result<Option<Bytes>, ConnectionError> {
        while let Some(body) = &mut self.body {
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
            let frame = frame.transpose()?;
            if frame.is_none() || body.is_end_stream() {
                self.body = None;
            }
            // Trailers are of no use.
            if let Some(Ok(part)) = frame.map(Frame::into_data) {
                self.may_be_cut_short = false;
                return Ok(Some(part));
            }
        }
        if self.may_be_cut_short {
            // A server that closes the connection right after the head has died rather than answered with nothing.
            return Err(ConnectionError::CutShort);
        }
        // The headers would keep alive the buffer that they were read into.
        self.headers.clear();
        Ok(None)
    }
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

impl From<ConnectionError> for AttemptError {
    fn from(error: ConnectionError) -> Self {
        Self::Reset(error.to_string())
    }
}

#[cfg(test)]
mod tests;
