//! How a reply gets onto the wire.

use super::connection::Connection;
use super::reply::{Drip, End, Head, Reply};
use super::request::{Request, find};
use std::io::{self, ErrorKind, Write};
use std::time::Instant;

/// The last bytes, written in one go after the request has been counted as answered. Few enough to be with the client in
/// no time, enough for a common reply to be a single write.
const TAIL: usize = 4096;

impl Reply {
    /// Whether a second thread has to listen for the client's leaving while this one plays. Not for a RST, which needs
    /// unread data on the socket (see [`Request::read`]).
    pub(super) fn takes_time(&self) -> bool {
        let waits = !self.latency.is_zero() || self.gate.is_some() || self.drip.is_some();
        self.end != End::Reset && (waits || matches!(self.end, End::Silence | End::Endless(_)))
    }

    /// Answers the request, and returns if the connection can take another one.
    ///
    /// `answered` is called before the last bytes are written: a client that has the whole reply and at once sends its
    /// next request on another connection must not be seen with two requests in flight.
    ///
    /// # Errors
    /// The connection has ended, or the reply wants it closed.
    pub(super) fn play(
        &self,
        connection: &Connection,
        request: &Request,
        answered: impl Fn(),
    ) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            connection.wait(Some(gate), None)?;
        }
        if !self.latency.is_zero() {
            connection.wait(None, request.at.checked_add(self.latency))?;
        }
        let answered = || match self.end {
            End::Whole | End::Close | End::Reset => answered(),
            End::Silence | End::Endless(_) => {}
        };
        let mut wire = self
            .head
            .as_ref()
            .map_or_else(Vec::new, |head| self.encode_head(head));
        let head = wire.len();
        self.encode_body(request, &mut wire);
        let at_once = match self.drip {
            None => wire.len().saturating_sub(TAIL),
            Some(Drip { head_too: true, .. }) => 0,
            // Without a body, the head's last byte completes the reply.
            Some(_) => head.min(wire.len().saturating_sub(1)),
        };
        let (at_once, rest) = wire.split_at(at_once);
        { connection }.write_all(at_once)?;
        self.write_rest(connection, rest, answered)?;
        match self.end {
            End::Whole if request.keep_alive && !self.closes() => Ok(()),
            End::Whole | End::Close | End::Reset => Err(ErrorKind::ConnectionAborted.into()),
            End::Silence => connection.wait(None, None),
            End::Endless(more) => {
                let more = more.repeat(TAIL / more.len());
                loop {
                    self.write_rest(connection, &more, || {})?;
                }
            }
        }
    }

    fn write_rest(
        &self,
        mut connection: &Connection,
        rest: &[u8],
        before_last: impl Fn(),
    ) -> io::Result<()> {
        let Some(Drip { every, .. }) = self.drip.filter(|_| !rest.is_empty()) else {
            before_last();
            return connection.write_all(rest);
        };
        for (at, byte) in rest.iter().enumerate() {
            connection.wait(None, Instant::now().checked_add(every))?;
            if at + 1 == rest.len() {
                before_last();
            }
            connection.write_all(&[*byte])?;
        }
        Ok(())
    }

    fn encode_head(&self, head: &Head) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Scripted\r\n", head.status);
        for (name, value) in &head.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let lied = ["content-length", "transfer-encoding"]
            .iter()
            .any(|name| find(&head.headers, name).is_some());
        let never_has_body = matches!(head.status, 100..=199 | 204 | 304);
        if !never_has_body && !lied {
            text += &if head.chunked {
                "transfer-encoding: chunked\r\n".to_owned()
            } else {
                // A reply that is cut has to lack something.
                let announced = self
                    .body
                    .len()
                    .max(self.cut.map_or(0, |sent| sent.saturating_add(1)));
                format!("content-length: {announced}\r\n")
            };
        }
        text += "\r\n";
        text.into_bytes()
    }

    fn encode_body(&self, request: &Request, wire: &mut Vec<u8>) {
        let body = &self.body[..self.cut.unwrap_or(usize::MAX).min(self.body.len())];
        match &self.head {
            Some(_) if request.method == "HEAD" => {}
            Some(Head { chunked: true, .. }) => {
                for chunk in body.chunks(body.len().div_ceil(3).max(1)) {
                    wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                if self.end == End::Whole {
                    wire.extend_from_slice(b"0\r\n\r\n");
                }
            }
            _ => wire.extend_from_slice(body),
        }
    }

    fn closes(&self) -> bool {
        let said = self
            .head
            .as_ref()
            .and_then(|head| find(&head.headers, "connection"));
        said.is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}
