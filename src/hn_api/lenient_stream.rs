//! A connection whose clients need not encode quotes and angle brackets in a query, and may not keep it waiting.
//!
//! The real APIs take `?orderBy="$key"` and `?numericFilters=points>10` as they stand, and that is how people write them for curl. The
//! parser of addresses refuses these signs in a query, so each one is encoded before it is parsed.

use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// A sign as a query may have it, if it may not be there as it stands.
fn encoded_sign(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'"' => Some(b"%22"),
        b'<' => Some(b"%3C"),
        b'>' => Some(b"%3E"),
        _ => None,
    }
}

/// How long a client may keep a connection waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientTimes {
    /// From the first byte of a request's head to its last one.
    pub(super) head: Duration,
    /// While an answer is sent, until the client takes the next bytes.
    pub(super) write: Duration,
}

/// A connection that encodes quotes and angle brackets in the queries that it reads.
pub(crate) struct LenientStream {
    tcp: TcpStream,
    times: ClientTimes,
    requests: Requests,
    /// Bytes that were read and had no room in the buffer, because encoded signs are longer.
    rest: Bytes,
    /// Runs while a head arrives. The server times the first head of a connection only.
    head_timer: Timer,
    /// Runs while the client takes nothing.
    write_timer: Timer,
}

/// How far the requests of a connection were read.
#[derive(Debug)]
struct Requests {
    place: Place,
    /// The beginning of the line of the head at this place.
    line: Vec<u8>,
    /// Whether this head announces a body.
    has_body: bool,
}

/// So much of a line of a head is kept. The lines that matter are shorter, or name a length that is not 0 within it.
const LINE_KEPT: usize = 64;

/// Where in the requests the next byte is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Before a request.
    Between,
    /// In the first line of a request, before any `?`.
    Line,
    /// In the first line of a request, after a `?`.
    Query,
    /// In the other lines of the head.
    Head,
    /// At the beginning of such a line.
    LineStart,
    /// Behind a head that announces a body. Only the server knows where the body ends, so nothing is changed any more.
    Body,
}

impl LenientStream {
    pub(super) fn new(tcp: TcpStream, times: ClientTimes) -> Self {
        Self {
            tcp,
            times,
            requests: Requests::new(),
            rest: Bytes::new(),
            head_timer: Timer::default(),
            write_timer: Timer::default(),
        }
    }

    /// The address of this machine that the client has connected to.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp.local_addr().ok()
    }

    fn give_rest(&mut self, buffer: &mut ReadBuf<'_>) {
        let fits = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(fits));
    }
}

/// What some bytes of a connection are.
#[derive(Debug, PartialEq)]
struct Passed {
    /// The bytes with the signs in queries encoded, if there are any.
    encoded: Option<Vec<u8>>,
    /// Whether a head ended among them.
    head_ended: bool,
}

impl Requests {
    fn new() -> Self {
        Self {
            place: Place::Between,
            line: Vec::with_capacity(LINE_KEPT),
            has_body: false,
        }
    }

    /// Moves on behind these bytes.
    fn pass(&mut self, bytes: &[u8]) -> Passed {
        let mut encoded: Option<Vec<u8>> = None;
        let mut head_ended = false;
        for (at, byte) in bytes.iter().enumerate() {
            if self.place == Place::Query
                && let Some(sign) = encoded_sign(*byte)
            {
                let encoded = encoded.get_or_insert_with(|| bytes[..at].to_vec());
                encoded.extend_from_slice(sign);
                continue;
            }
            if let Some(encoded) = &mut encoded {
                encoded.push(*byte);
            }
            self.place = match (self.place, *byte) {
                (Place::Body, _) => Place::Body,
                // A client may send an empty line before a request.
                (Place::Between, b'\r' | b'\n') => Place::Between,
                (Place::Line | Place::Query, b'\n') => Place::LineStart,
                (Place::Between | Place::Line, b'?') => Place::Query,
                (Place::Between | Place::Line, _) => Place::Line,
                (Place::Query, _) => Place::Query,
                (Place::LineStart, b'\n') => {
                    head_ended = true;
                    if self.has_body {
                        Place::Body
                    } else {
                        Place::Between
                    }
                }
                (Place::LineStart, b'\r') => Place::LineStart,
                (_, b'\n') => {
                    self.has_body |= announces_body(&self.line);
                    self.line.clear();
                    Place::LineStart
                }
                _ => {
                    if self.line.len() < LINE_KEPT {
                        self.line.push(*byte);
                    }
                    Place::Head
                }
            };
        }
        Passed {
            encoded,
            head_ended,
        }
    }
}

/// Whether a line of a head says that a body follows.
fn announces_body(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    let Some((name, value)) = line.split_once(':') else {
        return false;
    };
    match name.trim() {
        "transfer-encoding" => true,
        "content-length" => value.trim() != "0",
        _ => false,
    }
}

/// Ends what takes too long.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn stop(&mut self) {
        self.0 = None;
    }

    /// Waits for the end of the time, which begins with the first call.
    fn poll<T>(&mut self, cx: &mut Context<'_>, time: Duration) -> Poll<Result<T>> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(Error::from(ErrorKind::TimedOut)))
    }
}

impl AsyncRead for LenientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        if !this.rest.is_empty() {
            this.give_rest(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.tcp).poll_read(cx, buffer);
        if read.is_pending() && this.requests.place != Place::Between {
            return this.head_timer.poll(cx, this.times.head);
        }
        ready!(read)?;
        let passed = this.requests.pass(&buffer.filled()[before..]);
        if passed.head_ended {
            this.head_timer.stop();
        }
        if let Some(encoded) = passed.encoded {
            buffer.set_filled(before);
            this.rest = encoded.into();
            this.give_rest(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LenientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write(cx, bytes);
        if written.is_pending() {
            return this.write_timer.poll(cx, this.times.write);
        }
        this.write_timer.stop();
        written
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
    fn quotes_and_angle_brackets_are_encoded_in_queries_only_wherever_the_bytes_are_cut() {
        let requests =
            b"GET /\"a?b=\"c\"` HTTP/1.1\r\nX: \"?\"<\r\n\r\n\r\nGET /?<>\"\" HTTP/1.1\r\n\r\n";
        let wanted = "GET /\"a?b=%22c%22` HTTP/1.1\r\nX: \"?\"<\r\n\r\n\r\nGET /?%3C%3E%22%22 HTTP/1.1\r\n\r\n";
        for cut in 0..requests.len() {
            assert_eq!(
                passed(requests, cut),
                (wanted.into(), Place::Between),
                "{cut}"
            );
        }
    }

    /// The bytes after they came in two parts, and the place behind them.
    fn passed(bytes: &[u8], cut: usize) -> (String, Place) {
        let mut requests = Requests::new();
        let mut seen = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            let passed = requests.pass(part);
            seen.extend(passed.encoded.unwrap_or_else(|| part.to_vec()));
        }
        (String::from_utf8(seen).unwrap(), requests.place)
    }

    #[test]
    fn behind_a_head_with_a_body_nothing_is_changed_wherever_the_bytes_are_cut() {
        for header in [
            "Content-Length: 10",
            "content-length:0010 ",
            "TRANSFER-ENCODING: chunked",
        ] {
            let requests = format!("POST /?a=\"b HTTP/1.1\r\n{header}\r\n\r\n?\"\r\nGET /?\"");
            let wanted = requests.replacen('"', "%22", 1);
            for cut in 0..requests.len() {
                let passed = passed(requests.as_bytes(), cut);
                assert_eq!(passed, (wanted.clone(), Place::Body), "{header} {cut}");
            }
        }
        let none = "POST / HTTP/1.1\r\nContent-Length: 0\r\nX-Content-Length: 5\r\n\r\nGET /?\" HTTP/1.1\r\n\r\n";
        for cut in 0..none.len() {
            let passed = passed(none.as_bytes(), cut);
            assert_eq!(passed, (none.replace('"', "%22"), Place::Between), "{cut}");
        }
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        let mut requests = Requests::new();
        for (bytes, ends, after) in [
            ("GET / HTTP/1.1\r\nHo", false, Place::Head),
            ("st: x\r\n\r\nGE", true, Place::Line),
            ("T / HTTP/1.1\n\n", true, Place::Between),
            ("\r\n", false, Place::Between),
        ] {
            let passed = requests.pass(bytes.as_bytes());
            assert_eq!(
                (passed.head_ended, requests.place),
                (ends, after),
                "{bytes:?}"
            );
        }
    }
}
