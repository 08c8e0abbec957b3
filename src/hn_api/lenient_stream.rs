//! A connection whose clients need not encode the quotes in an address.
//!
//! The real API takes `?orderBy="$key"` as it stands, and that is how people write it for curl. The parser of addresses refuses a quote in
//! a query, so each one is turned into a sign that it lets through, and [`query`](super::query) turns it back.

use std::{
    io::Result,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Stands for a quote in a query. No parameter of the API has one.
pub(super) const QUOTE: char = '`';

/// A connection that replaces the quotes in the queries that it reads.
pub(crate) struct LenientStream {
    tcp: TcpStream,
    place: Place,
}

/// Where in the requests the next byte is. A body may be taken for a request. That does no harm, because no body is read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the first line of a request, before any `?`.
    Line,
    /// In the first line of a request, after a `?`.
    Query,
    /// In the other lines of the head.
    Head,
    /// At the beginning of such a line.
    LineStart,
}

impl LenientStream {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            place: Place::Line,
        }
    }

    /// The address of this machine that the client has connected to.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp.local_addr().ok()
    }
}

impl Place {
    /// Replaces quotes in queries. Returns the place after the bytes.
    fn pass(self, bytes: &mut [u8]) -> Self {
        let mut place = self;
        for byte in bytes {
            place = match (place, *byte) {
                (Self::Line | Self::Query, b'\n') => Self::LineStart,
                (Self::Line, b'?') => Self::Query,
                (Self::Query, b'"') => {
                    *byte = QUOTE as u8;
                    Self::Query
                }
                (Self::Line | Self::Query, _) => place,
                (Self::LineStart, b'\n') => Self::Line,
                (Self::LineStart, b'\r') => Self::LineStart,
                (_, b'\n') => Self::LineStart,
                _ => Self::Head,
            };
        }
        place
    }
}

impl AsyncRead for LenientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buffer))?;
        this.place = this.place.pass(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LenientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_replaced_in_queries_only_wherever_the_bytes_are_cut() {
        let requests = b"GET /\"a?b=\"c\" HTTP/1.1\r\nX: \"?\"\r\n\r\nGET /?\"\" HTTP/1.1\r\n\r\n";
        let wanted = b"GET /\"a?b=`c` HTTP/1.1\r\nX: \"?\"\r\n\r\nGET /?`` HTTP/1.1\r\n\r\n";
        for cut in 0..requests.len() {
            let mut bytes = requests.to_vec();
            let (first, second) = bytes.split_at_mut(cut);
            let place = Place::Line.pass(first).pass(second);
            assert_eq!((&bytes[..], place), (&wanted[..], Place::Line), "{cut}");
        }
    }
}
