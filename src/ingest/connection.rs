//! One HTTP/1.1 connection, kept from request to request together with its codec and with the head that all its requests share.

use std::{io, pin::Pin, rc::Rc};

use actix_codec::{AsyncRead, BytesCodec, Framed, ReadBuf};
use actix_http::{
    RequestHead, RequestHeadType, ResponseHead, ServiceConfig, StatusCode,
    body::BodySize,
    error::{ParseError, PayloadError},
    h1::{ClientCodec, ClientPayloadCodec, Message, MessageType},
    header::{self, HeaderMap, HeaderValue},
};
use awc::{
    BoxedSocket,
    http::{Uri, uri},
};
use bytes::Bytes;
use futures_util::{StreamExt, future::poll_fn};
use thiserror::Error;

type Request = Message<(RequestHeadType, BodySize)>;

/// A connection on which `C` is the way to read what comes next.
pub(crate) struct Connection<C = ClientCodec> {
    framed: Framed<BoxedSocket, C>,
    request: Rc<RequestHead>,
    has_answered: bool,
}

/// Why there is no head of a response.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    /// The connection had given answers before, and closed without a byte of this one.
    #[error("the server closed the connection after an earlier answer")]
    Stale,
    #[error("closed before an answer")]
    Closed,
    #[error("{0}")]
    Broken(#[from] ParseError),
    #[error("{0}")]
    Unsent(#[from] io::Error),
}

/// A body while it comes.
pub(crate) enum Body {
    /// Nothing of it is left to read, and the connection is at rest.
    Read(Connection),
    /// Its head told how to see its end.
    Framed(Connection<ClientPayloadCodec>),
    /// It ends with its connection (RFC 9112, 6.3).
    UntilClosed(Connection<BytesCodec>),
    /// There is no more of it, nor of its connection.
    Gone,
}

impl Connection {
    /// # Errors
    /// The URL's host can't be put into a header.
    pub(crate) fn new(
        socket: BoxedSocket,
        config: ServiceConfig,
        url: &Uri,
    ) -> Result<Self, header::InvalidHeaderValue> {
        const AGENT: HeaderValue =
            HeaderValue::from_static(concat!("hn-ingest/", env!("CARGO_PKG_VERSION")));
        let mut request = RequestHead::default();
        request.headers.insert(header::HOST, host(url)?);
        request.headers.insert(header::USER_AGENT, AGENT);
        request.uri = url.clone();
        Ok(Self {
            framed: Framed::new(socket, ClientCodec::new(config)),
            request: Rc::new(request),
            has_answered: false,
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
        let io = self.framed.io_mut();
        // Be it a byte, the end or an error: the connection is of no use any more.
        let _ = poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, &mut byte)).await;
    }

    /// Asks for what is at a URL of this server; `headers` go before those that every request has.
    pub(crate) async fn get(
        mut self,
        url: &Uri,
        headers: Option<HeaderMap>,
    ) -> Result<(ResponseHead, Body), NoAnswer> {
        Rc::make_mut(&mut self.request).uri = url.clone();
        let request = RequestHeadType::Rc(self.request.clone(), headers);
        let mut framed = Pin::new(&mut self.framed);
        let sent = framed
            .as_mut()
            .write(Request::Item((request, BodySize::None)));
        let sent = match sent {
            Ok(()) => poll_fn(|cx| framed.as_mut().flush::<Request>(cx)).await,
            refused => refused,
        };
        if let Err(error) = sent {
            return Err(self.closed_early().unwrap_or(NoAnswer::Unsent(error)));
        }
        loop {
            let head = match self.framed.next().await {
                Some(Ok(head)) => head,
                Some(Err(error)) => {
                    return Err(self.closed_early().unwrap_or(NoAnswer::Broken(error)));
                }
                None => return Err(self.closed_early().unwrap_or(NoAnswer::Closed)),
            };
            // Others may come before the one that is meant (RFC 9110, 15.2).
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                let body = self.body(&head);
                return Ok((head, body));
            }
        }
    }

    /// What an error means on a connection that gave answers before, unless a part of this one came.
    fn closed_early(&self) -> Option<NoAnswer> {
        (self.has_answered && self.framed.is_read_buf_empty()).then_some(NoAnswer::Stale)
    }

    fn body(mut self, head: &ResponseHead) -> Body {
        self.has_answered = true;
        match self.framed.codec_ref().message_type() {
            MessageType::Stream => Body::Gone,
            MessageType::None if tells_its_length(head) => self.at_rest(),
            MessageType::Payload if tells_its_length(head) => Body::Framed(
                self.with_codec(|framed| framed.into_map_codec(ClientCodec::into_payload_codec)),
            ),
            MessageType::None | MessageType::Payload => {
                Body::UntilClosed(self.with_codec(|framed| framed.replace_codec(BytesCodec)))
            }
        }
    }

    /// After an answer. What came beyond its end can only be taken for another's.
    fn at_rest(self) -> Body {
        if self.framed.codec_ref().keep_alive() && self.framed.is_read_buf_empty() {
            Body::Read(self)
        } else {
            Body::Gone
        }
    }
}

impl<C> Connection<C> {
    fn with_codec<D>(
        self,
        exchange: impl FnOnce(Framed<BoxedSocket, C>) -> Framed<BoxedSocket, D>,
    ) -> Connection<D> {
        Connection {
            framed: exchange(self.framed),
            request: self.request,
            has_answered: self.has_answered,
        }
    }
}

impl Body {
    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// It breaks off, or makes no sense.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, PayloadError> {
        match self {
            Self::Framed(connection) => match connection.framed.next().await {
                Some(Ok(Some(part))) => Ok(Some(part)),
                Some(Ok(None)) => {
                    if let Self::Framed(connection) = std::mem::replace(self, Self::Gone) {
                        *self = connection
                            .with_codec(|framed| {
                                framed.into_map_codec(ClientPayloadCodec::into_message_codec)
                            })
                            .at_rest();
                    }
                    Ok(None)
                }
                Some(Err(error)) => Err(error),
                None => Err(PayloadError::Incomplete(None)),
            },
            Self::UntilClosed(connection) => {
                let part = connection.framed.next().await.transpose()?;
                Ok(part.map(bytes::BytesMut::freeze))
            }
            Self::Read(_) | Self::Gone => Ok(None),
        }
    }
}

fn tells_its_length(head: &ResponseHead) -> bool {
    head.status == StatusCode::NO_CONTENT
        || head.status == StatusCode::NOT_MODIFIED
        || head.headers.contains_key(header::CONTENT_LENGTH)
        || head.headers.contains_key(header::TRANSFER_ENCODING)
}

/// A URL's host, and its port unless that is its scheme's own.
fn host(url: &Uri) -> Result<HeaderValue, header::InvalidHeaderValue> {
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
