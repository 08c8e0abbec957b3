//! Connections, plain or TLS, whose end is an error.
//!
//! awc takes a connection that closes inside a body for the end of that body (3.11). Half a record would then be refused as
//! nonsense instead of asked for again; so these connections tell of their end as an error, which awc passes on. Under awc's
//! own TLS they would be too deep for that: a TLS goodbye ends the body before TCP ends. So TLS is done here as well, and awc
//! is told that it speaks plain HTTP.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_service::{Service, ServiceExt};
use actix_tls::connect::{
    ConnectError, ConnectInfo, Connection, Connector,
    rustls_0_23::{TlsConnector, reexports::AsyncTlsStream},
};
use awc::{
    error::SendRequestError,
    http::{Uri, uri},
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Connects, as awc's own connector does.
pub(crate) fn plain()
-> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, Wire<TcpStream>>, Error = ConnectError>
+ Clone {
    Connector::default().service().map(wrap)
}

/// Connects and shakes hands. Its URLs are those that [`as_plain`] gives.
pub(crate) fn tls(
    config: Arc<rustls::ClientConfig>,
) -> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, Wire<Tls>>, Error = ConnectError> + Clone
{
    let handshake = TlsConnector::service(config);
    Connector::default()
        .service()
        .and_then(move |connection: Connection<Uri, TcpStream>| {
            let shaken = handshake.call(connection);
            async move { shaken.await.map_err(ConnectError::Io) }
        })
        .map(wrap)
}

/// An https URL as the http URL that awc is to take for it: same host, same port.
pub(crate) fn as_plain(url: Uri) -> Result<Uri, uri::InvalidUriParts> {
    let mut parts = url.into_parts();
    if parts.scheme == Some(uri::Scheme::HTTPS) {
        parts.scheme = Some(uri::Scheme::HTTP);
        if let Some(authority) = parts.authority.take_if(|known| known.port().is_none()) {
            // awc leaves 443 out of the Host header.
            parts.authority = format!("{authority}:443").parse().ok();
        }
    }
    Uri::from_parts(parts)
}

fn wrap<S>(connection: Connection<Uri, S>) -> Connection<Uri, Wire<S>> {
    let (stream, uri) = connection.into_parts();
    Connection::new(
        uri,
        Wire {
            stream,
            has_answered: false,
            is_asked: false,
        },
    )
}

/// What TLS makes of a TCP connection.
pub(crate) type Tls = AsyncTlsStream<TcpStream>;

/// Whether an error says no more than that the other side closed.
pub(crate) fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Whether a request failed only because the server had meanwhile closed the connection of an earlier one.
pub(crate) fn is_stale(error: &SendRequestError) -> bool {
    let error = match error {
        SendRequestError::Send(error) => Some(error),
        SendRequestError::Response(error) => error.source().and_then(|cause| cause.downcast_ref()),
        _ => None,
    };
    error
        .and_then(io::Error::get_ref)
        .is_some_and(<dyn Error + Send + Sync>::is::<Stale>)
}

/// A connection that gave answers before closed without a byte of the next.
#[derive(Debug, Error)]
#[error("the server closed the connection after an earlier answer")]
struct Stale;

#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    has_answered: bool,
    /// Since the last byte came, something was sent.
    is_asked: bool,
}

impl<S> Wire<S> {
    fn broken(&self, error: io::Error) -> io::Error {
        if self.has_answered && self.is_asked {
            io::Error::other(Stale)
        } else {
            error
        }
    }

    fn sent(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        self.is_asked = true;
        written.map_err(|error| self.broken(error))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        Poll::Ready(match read {
            Err(error) => Err(self.broken(error)),
            Ok(()) if room > 0 && buffer.filled().len() == before => {
                Err(self.broken(io::ErrorKind::UnexpectedEof.into()))
            }
            Ok(()) => {
                (self.has_answered, self.is_asked) = (true, false);
                Ok(())
            }
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.sent(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bytes));
        Poll::Ready(self.sent(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl ActixStream for Wire<TcpStream> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, cx)
    }
}

impl ActixStream for Wire<Tls> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.stream.get_ref().0, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.stream.get_ref().0, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_https_url_keeps_its_host_its_port_and_its_path_as_plain_http() {
        for (url, plain) in [
            (
                "https://host/v0/a.json?x=1",
                "http://host:443/v0/a.json?x=1",
            ),
            ("https://host:8443/", "http://host:8443/"),
            ("https://[::1]/", "http://[::1]:443/"),
            ("http://host/v0", "http://host/v0"),
        ] {
            let url: Uri = url.parse().expect("a URL");
            assert_eq!(as_plain(url).expect("a URL").to_string(), plain);
        }
    }
}
