//! One HTTP/1.1 connection: hyper implements the protocol, over a connected socket.
//!
//! hyper applies these rules of RFC 9112 and RFC 9110:
//!
//! - 9112, 6.3, rule 1: an answer with status 204 or 304 has no body, whatever lengths its head names.
//! - 9112, 6.3, rule 3, and 6.1: Transfer-Encoding overrides Content-Length. In an HTTP/1.0 answer, Transfer-Encoding is an
//!   error.
//! - 9112, 6.3, rule 5: Content-Lengths that differ are an error. Equal ones count as one.
//! - 9112, 6.3, rule 8: without a length, the body ends with the connection.
//! - 9112, 9.3: HTTP/1.0 or `Connection: close` ends the connection after the answer. `Connection: Upgrade` does not.
//! - 9110, 15.2: informational answers are skipped, whatever their heads say. 101 is returned as an answer, and ends the
//!   connection.
//!
//! hyper also closes a connection if bytes come that answer no request, such as bytes after the end of an answer.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderValue},
    http::uri::{Authority, Scheme},
};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio_util::io::InspectReader;

use crate::ingest::{
    config::ProxyServer,
    http::{
        bad_head::{self, BUFFER_MAX, HEADERS_MAX},
        connect::Connected,
        error::{AttemptError, with_causes},
        target::Target,
    },
};

const USER_AGENT: HeaderValue = HeaderValue::from_static(super::USER_AGENT);

/// Asks for a body without compression. Without this header, a server may use any coding (RFC 9110, 12.5.3).
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("identity");

/// A connection to a server, and the answer that is being read from it.
pub(super) struct HttpConnection {
    /// With `authority`: the origin that this is connected to.
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    /// The proxy that passes requests on. It wants whole URLs, and perhaps credentials.
    pub(super) forwarder: Option<ProxyServer>,
    /// The `Host` header of every request.
    host: HeaderValue,
    /// The headers of the answer while its body is read. Afterwards they are empty, and the next request uses their memory.
    pub(super) headers: HeaderMap,
    /// Sends requests to hyper's task, which reads and writes the socket.
    sender: SendRequest<RequestBody>,
    /// Whether a byte arrived since the last request was sent.
    has_read: Rc<Cell<bool>>,
    /// What hyper had not parsed when the connection ended: the head that it could not parse, for example.
    unread: Rc<RefCell<Bytes>>,
    /// Whether the server has answered a request on this connection.
    has_answered: bool,
    /// The rest of the body. `None` before an answer and after the end of its body.
    body: Option<Incoming>,
    /// Whether the body has no length and none of it has come yet. If the connection now ends, the body counts as cut short.
    may_be_cut_short: bool,
    /// Whether the answer has both Transfer-Encoding and Content-Length.
    has_two_lengths: bool,
}

/// Why there is no answer, or only part of one.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    /// The server had closed the connection after an earlier answer. It has not begun to answer this request.
    #[error("the server closed the connection after an earlier answer")]
    Stale,
    /// The connection ended before the first byte of a body without a length.
    #[error("the connection broke: the body was cut short")]
    CutShort,
    /// Transfer-Encoding counts, but a Content-Length beside it is no number. Either may be the work of an attacker.
    #[error("the connection broke: invalid content-length parsed: `Content-Length: {0}`")]
    BadLength(String),
    /// The answer is not HTTP, or its head cannot be taken.
    #[error("the connection broke: {0}")]
    BadHead(String),
    /// The connection broke.
    #[error("the connection broke: {}", with_causes(.0))]
    Http(#[from] hyper::Error),
}

impl HttpConnection {
    /// Takes over a connected socket.
    pub(super) async fn new(connected: Connected, target: &Target) -> Result<Self, AttemptError> {
        let has_read = Rc::new(Cell::new(false));
        let notes = has_read.clone();
        // It is called with no bytes at the end of the stream.
        let note_read = move |bytes: &[u8]| notes.set(notes.get() || !bytes.is_empty());
        let socket = InspectReader::new(connected.io, note_read);
        let (sender, connection) = http1::Builder::new()
            // RFC 9112, 5.2: a user agent replaces a folded line by a space.
            .allow_obsolete_multiline_headers_in_responses(true)
            // RFC 9112, 5.1: a space before the colon is removed.
            .allow_spaces_after_header_name_in_responses(true)
            // Lines that are no headers mean nothing to this client, so it skips them, as curl does.
            .ignore_invalid_headers_in_responses(true)
            .max_headers(HEADERS_MAX)
            .max_buf_size(BUFFER_MAX)
            // A request is one small buffer. `writev` takes longer than a plain write.
            .writev(false)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(ConnectionError::Http)?;
        let unread = Rc::<RefCell<Bytes>>::default();
        let left = unread.clone();
        // This task ends when the sender is dropped or the connection is closed. Its errors reach the request in flight.
        actix_rt::spawn(async move {
            if let Ok(parts) = connection.without_shutdown().await {
                left.replace(parts.read_buf);
            }
        });
        let (scheme, authority) = target.origin();
        Ok(Self {
            scheme: scheme.cloned(),
            authority: authority.cloned(),
            forwarder: connected.forwarder,
            host: target.host_header()?,
            headers: HeaderMap::new(),
            sender,
            has_read,
            unread,
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

    /// Whether another request can be made: the last answer is complete, or no request was made yet.
    pub(super) fn is_reusable(&self) -> bool {
        // RFC 9112, 6.1: after an answer with both kinds of length, the connection must be closed.
        self.body.is_none()
            && !self.has_two_lengths
            && (self.sender.is_ready() || !self.has_answered)
    }

    /// Whether an idle connection is closed: the server closed it, or sent bytes that answer no request.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request to this server, and waits for the head of the answer.
    pub(super) async fn send(&mut self, target: &Target) -> Result<StatusCode, ConnectionError> {
        let request = self.request(target);
        self.has_read.set(false);
        let (head, body) = match self.sender.send_request(request).await {
            Ok(response) => response.into_parts(),
            // hyper had not begun to send the request, or the server had not begun to answer it. So it may be sent again (RFC
            // 9112, 9.3.1). A request that must not be sent twice comes over a new connection. An answer that cannot be parsed is
            // not stale: bytes of it were read.
            Err(error) if self.has_answered && (error.is_canceled() || !self.has_read.get()) => {
                return Err(ConnectionError::Stale);
            }
            Err(error) if error.is_parse() => {
                let head = self.unread.borrow();
                return Err(ConnectionError::BadHead(bad_head::explain(&error, &head)));
            }
            Err(error) => return Err(error.into()),
        };
        let is_timeout = head.status == StatusCode::REQUEST_TIMEOUT;
        if self.has_answered && is_timeout && asks_to_close(&head.headers) {
            // Some servers send this when they close an idle connection. It is not the answer to this request.
            return Err(ConnectionError::Stale);
        }
        self.has_answered = true;
        let is_encoded = head.headers.contains_key(header::TRANSFER_ENCODING);
        self.has_two_lengths = is_encoded && head.headers.contains_key(header::CONTENT_LENGTH);
        if self.has_two_lengths
            && let Some(bad) = bad_head::bad_length(&head.headers)
        {
            return Err(ConnectionError::BadLength(bad));
        }
        self.may_be_cut_short = !is_encoded && body.size_hint().exact().is_none();
        self.headers = head.headers;
        self.body = (!body.is_end_stream()).then_some(body);
        Ok(head.status)
    }

    /// Makes the request for a target. The target's headers replace those that every request has.
    fn request(&mut self, target: &Target) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody(target.body.clone()));
        *request.method_mut() = target.method.clone();
        if self.forwarder.is_some() {
            // RFC 9112, 3.2.2: the absolute form.
            *request.uri_mut() = target.uri.clone();
        } else if let Some(path) = target.uri.path_and_query() {
            *request.uri_mut() = path.clone().into();
        }
        let mut headers = mem::take(&mut self.headers);
        headers.clear();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT_ENCODING, ACCEPT_ENCODING);
        if !target.headers.is_empty() {
            for name in target.headers.keys() {
                headers.remove(name);
            }
            headers.extend(target.headers.clone());
        }
        let has_body_by_method = [Method::POST, Method::PUT, Method::PATCH];
        if target.body.is_empty() && has_body_by_method.contains(&target.method) {
            // RFC 9110, 8.6. hyper announces bodies that are not empty.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let authorization = self
            .forwarder
            .as_ref()
            .and_then(|proxy| proxy.authorization.as_ref());
        if let Some(authorization) = authorization {
            headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        *request.headers_mut() = headers;
        request
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
            // Other frames are trailers, which are ignored.
            if let Some(Ok(part)) = frame.map(Frame::into_data) {
                self.may_be_cut_short = false;
                return Ok(Some(part));
            }
        }
        if self.may_be_cut_short {
            // Without a length, this would be an empty body. But most likely the server died after the head.
            return Err(ConnectionError::CutShort);
        }
        // Their values keep the buffer alive that they were read into.
        self.headers.clear();
        Ok(None)
    }
}

/// The body of a request. Nothing of it is copied.
#[derive(Debug)]
struct RequestBody(Bytes);

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let whole = mem::take(&mut self.0);
        Poll::Ready((!whole.is_empty()).then(|| Ok(Frame::data(whole))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// Whether the server closes the connection after this answer.
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
