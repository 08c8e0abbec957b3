//! One HTTP/1.1 connection, kept from request to request together with its codec and with the head that all its requests share.

use std::{
    cell::Cell,
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_codec::{AsyncRead, ReadBuf};
use actix_http::{
    RequestHead, RequestHeadType, ResponseHead, ServiceConfig, StatusCode,
    body::BodySize,
    error::{ParseError, PayloadError},
    h1::ClientCodec,
    header::{self, HeaderMap, HeaderValue, InvalidHeaderValue},
};
use awc::{
    BoxedSocket,
    http::{Uri, uri},
};
use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio_util::io::poll_read_buf;

use super::codec::{Codec, Part, Request};

/// With less room a read is not worth its call.
const ROOM_MIN: usize = 4 * 1024;
const ROOM: usize = 32 * 1024;

/// Small, so that it is cheap to pass on.
pub(crate) struct Connection {
    socket: BoxedSocket,
    codec: Box<Codec>,
    unread: BytesMut,
    shared: Rc<Shared>,
    request: Rc<RequestHead>,
    has_answered: bool,
    /// The server closes it after this answer.
    is_last: bool,
}

/// What the connections of an arbiter share.
#[derive(Default)]
pub(crate) struct Shared {
    /// It keeps a clock.
    config: ServiceConfig,
    /// Buffers that a connection borrows while there is something in them: a thousand that wait need none.
    to_read: Cell<BytesMut>,
    to_write: Cell<BytesMut>,
}

/// Why an answer does not come, or breaks off.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    /// The connection had given answers before, and closed without a byte of this one.
    #[error("the server closed the connection after an earlier answer")]
    Stale,
    #[error("closed before an answer")]
    NoAnswer,
    #[error("the body was cut short")]
    CutShort,
    #[error("{0}")]
    Head(#[from] ParseError),
    #[error("{0}")]
    Body(#[from] PayloadError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Connection {
    /// # Errors
    /// The URL's host can't be put into a header.
    pub(crate) fn new(
        socket: BoxedSocket,
        shared: Rc<Shared>,
        url: &Uri,
    ) -> Result<Self, InvalidHeaderValue> {
        const AGENT: &str = concat!("hn-ingest/", env!("CARGO_PKG_VERSION"));
        let mut request = RequestHead::default();
        let headers = &mut request.headers;
        headers.insert(header::HOST, host(url)?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        request.uri = url.clone();
        let codec = Codec::Head(ClientCodec::new(shared.config.clone()));
        Ok(Self {
            socket,
            codec: Box::new(codec),
            unread: BytesMut::new(),
            shared,
            request: Rc::new(request),
            has_answered: false,
            is_last: false,
        })
    }

    pub(crate) fn leads_to(&self, url: &Uri) -> bool {
        let to = &self.request.uri;
        (to.scheme(), to.authority()) == (url.scheme(), url.authority())
    }

    /// Resolves when the server says something that it was not asked for, or hangs up.
    pub(crate) async fn speaks(&mut self) {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let io = &mut self.socket;
        // Be it a byte, the end or an error: the connection is of no use any more.
        let _ = poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, &mut byte)).await;
    }

    /// Asks for what is at a URL of this server; `headers` go before those that every request has.
    pub(crate) async fn get(
        &mut self,
        url: &Uri,
        headers: Option<HeaderMap>,
    ) -> Result<ResponseHead, Broken> {
        let head = self.exchange(url, headers).await.map_err(|error| {
            // A server may close a connection at any time, and a part of an answer is what shows that it did not.
            if self.has_answered && self.unread.is_empty() {
                Broken::Stale
            } else {
                error
            }
        })?;
        self.is_last = !head.keep_alive();
        if self.has_answered && self.is_last && head.status == StatusCode::REQUEST_TIMEOUT {
            // It is said of a connection that was idle for too long, before the server read what it is asked now.
            return Err(Broken::Stale);
        }
        self.has_answered = true;
        self.codec.expect_body_of(&head);
        Ok(head)
    }

    async fn exchange(
        &mut self,
        url: &Uri,
        headers: Option<HeaderMap>,
    ) -> Result<ResponseHead, Broken> {
        Rc::make_mut(&mut self.request).uri = url.clone();
        let request = RequestHeadType::Rc(self.request.clone(), headers);
        self.send(Request::Item((request, BodySize::None))).await?;
        loop {
            match self.part().await? {
                // Others may come before the one that is meant (RFC 9110, 15.2).
                Some(Part::Head(head))
                    if head.status.is_informational()
                        && head.status != StatusCode::SWITCHING_PROTOCOLS =>
                {
                    // It is no stale connection on which an answer began.
                    self.has_answered = false;
                }
                Some(Part::Head(head)) => return Ok(head),
                Some(Part::Body(_) | Part::End) | None => return Err(Broken::NoAnswer),
            }
        }
    }

    async fn send(&mut self, request: Request) -> Result<(), Broken> {
        let mut unsent = self.shared.to_write.take();
        self.codec.encode(request, &mut unsent)?;
        self.socket.write_all(&unsent).await?;
        self.socket.flush().await?;
        unsent.clear();
        self.shared.to_write.set(unsent);
        Ok(())
    }

    /// What comes next; `None` when the connection is closed.
    async fn part(&mut self) -> Result<Option<Part>, Broken> {
        loop {
            let part = self.codec.decode(&mut self.unread)?;
            self.give_back();
            if part.is_some() {
                return Ok(part);
            }
            if poll_fn(|cx| self.poll_read(cx)).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.unread.is_empty() {
            self.unread = self.shared.to_read.take();
        }
        if self.unread.capacity() - self.unread.len() < ROOM_MIN {
            self.unread.reserve(ROOM);
        }
        let read = poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.unread);
        self.give_back();
        read
    }

    fn give_back(&mut self) {
        if self.unread.is_empty() && self.unread.capacity() > 0 {
            self.shared.to_read.set(mem::take(&mut self.unread));
        }
    }

    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// It breaks off, or makes no sense.
    pub(crate) async fn body(&mut self) -> Result<Option<Bytes>, Broken> {
        match *self.codec {
            Codec::Head(_) | Codec::Nothing => return Ok(None),
            Codec::Body(_) | Codec::UntilClosed { .. } => {}
        }
        match self.part().await? {
            Some(Part::Body(part)) => Ok(Some(part)),
            Some(Part::End | Part::Head(_)) => Ok(None),
            // Who closes right after the head has rather died than answered nothing.
            None if matches!(*self.codec, Codec::UntilClosed { is_empty: false }) => Ok(None),
            None => Err(Broken::CutShort),
        }
    }

    /// Whether it can be asked again. What came beyond the end of an answer can only be taken for another's.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(*self.codec, Codec::Head(_)) && !self.is_last && self.unread.is_empty()
    }
}

/// A URL's host, and its port unless that is its scheme's own.
fn host(url: &Uri) -> Result<HeaderValue, InvalidHeaderValue> {
    let host = url.host().unwrap_or_default();
    match url.port_u16() {
        Some(port) if port != default_port(url) => format!("{host}:{port}").parse(),
        _ => host.parse(),
    }
}

fn default_port(url: &Uri) -> u16 {
    if url.scheme() == Some(&uri::Scheme::HTTPS) {
        443
    } else {
        80
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_names_the_port_unless_it_is_the_schemes_own() {
        for (url, expected) in [
            ("http://host/v0", "host"),
            ("http://host:80/", "host"),
            ("http://host:443/", "host:443"),
            ("https://host:443/", "host"),
            ("https://host:8443/", "host:8443"),
            ("http://user:secret@[::1]:8080/", "[::1]:8080"),
        ] {
            let url = url.parse().expect("a URL");
            assert_eq!(host(&url).expect("a header"), expected, "{url}");
        }
    }
}
