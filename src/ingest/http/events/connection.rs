//! One open event stream: reads events from its connection, and notices when the connection is dead.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::ingest::{
    http::{
        connection::HttpConnection,
        error::AttemptError,
        events::parser::{EventParser, ServerEvent},
    },
    outcome::failure::FailureKind,
};

/// A connection whose server sends events.
pub(super) struct EventConnection {
    http: Box<HttpConnection>,
    parser: EventParser,
    /// What was received and not parsed yet.
    unread: Bytes,
    /// How long its reader has waited since the last byte came. Time in which the stream is not being read does not count.
    silence: Duration,
}

/// Why an event stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) kind: FailureKind,
    pub(super) message: String,
}

/// Adds the time for which it lives to a silence, also if the reader stops waiting.
struct Waiting<'a> {
    silence: &'a mut Duration,
    began: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *self.silence += self.began.elapsed();
    }
}

impl EventConnection {
    /// The stream that follows the head that `http` has read.
    pub(super) fn new(http: Box<HttpConnection>, parser: EventParser) -> Self {
        Self {
            http,
            parser,
            unread: Bytes::new(),
            silence: Duration::ZERO,
        }
    }

    pub(super) fn parser(&self) -> &EventParser {
        &self.parser
    }

    /// The next event. If its future is dropped, nothing is lost.
    ///
    /// # Errors
    /// The stream has ended, nothing came for `idle_timeout`, or an event is too large.
    pub(super) async fn next_event(&mut self, idle_timeout: Duration) -> Result<ServerEvent, Lost> {
        loop {
            match self.parser.next_event(&mut self.unread) {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => self.unread = self.read(idle_timeout).await?,
                Err(error) => {
                    return Err(Lost {
                        kind: FailureKind::Body,
                        message: error.to_string(),
                    });
                }
            }
        }
    }

    async fn read(&mut self, idle_timeout: Duration) -> Result<Bytes, Lost> {
        let rest = idle_timeout.saturating_sub(self.silence);
        let part = {
            let _waiting = Waiting {
                silence: &mut self.silence,
                began: Instant::now(),
            };
            timeout(rest, self.http.next_part()).await
        };
        let lost = |kind, message| Lost { kind, message };
        match part {
            Ok(Ok(Some(part))) => {
                self.silence = Duration::ZERO;
                Ok(part)
            }
            Ok(Ok(None)) => {
                let message = "the server ended the event stream".to_owned();
                Err(lost(FailureKind::Reset, message))
            }
            Ok(Err(error)) => {
                let error = AttemptError::from(error);
                Err(lost(error.kind(), error.to_string()))
            }
            Err(_) => {
                let silence = humantime::format_duration(idle_timeout);
                let message =
                    format!("nothing came for {silence}, so the event stream counts as dead");
                Err(lost(FailureKind::Timeout, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        task::{LocalSet, yield_now},
        time::sleep,
    };

    use super::*;
    use crate::ingest::{
        http::{connect::Connected, target::Target},
        request::Request,
    };

    const SECOND: Duration = Duration::from_secs(1);

    const IDLE: Duration = Duration::from_secs(45);

    /// An open event stream, and the server's end of it.
    async fn open() -> (EventConnection, DuplexStream) {
        let (ours, mut server) = duplex(64 * 1024);
        let connected = Connected {
            io: Box::new(ours),
            forwarder: None,
        };
        let target = Target::new(Request::get("http://host/")).expect("a URL");
        let http = HttpConnection::new(connected, &target).await;
        let mut http = Box::new(http.expect("a connection"));
        let serve = async {
            server.read_u8().await.expect("a request");
            let head = b"HTTP/1.1 200 OK\r\n\r\n: hello\n";
            server.write_all(head).await.expect("written");
        };
        let (status, ()) = tokio::join!(http.send(&target), serve);
        assert_eq!(status.expect("a head"), 200);
        let parser = EventParser::new(1000, String::new());
        (EventConnection::new(http, parser), server)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_stream_and_any_byte_breaks_it() {
        let test = async {
            let (mut events, mut server) = open().await;
            let began = Instant::now();
            let serve = async {
                for _ in 0..10 {
                    sleep(IDLE - SECOND).await;
                    server.write_all(b":").await.expect("written");
                }
                server
            };
            let (lost, _server) = tokio::join!(events.next_event(IDLE), serve);
            let Lost { kind, message } = lost.expect_err("the stream is dead");
            assert_eq!(kind, FailureKind::Timeout);
            assert_eq!(
                message,
                "nothing came for 45s, so the event stream counts as dead"
            );
            assert_eq!(began.elapsed().as_secs(), 10 * 44 + 45);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_gives_up_every_second_still_notices_silence_and_loses_no_event() {
        let test = async {
            let (mut events, mut server) = open().await;
            let began = Instant::now();
            server.write_all(b"data: o").await.expect("written");
            assert!(timeout(SECOND, events.next_event(IDLE)).await.is_err());
            server.write_all(b"ne\n\ndata: tw").await.expect("written");
            let event = events.next_event(IDLE).await.expect("an event");
            assert_eq!(event.data, "one");
            let lost = loop {
                if let Ok(ended) = timeout(SECOND, events.next_event(IDLE)).await {
                    break ended.expect_err("the stream is dead");
                }
            };
            assert_eq!(lost.kind, FailureKind::Timeout);
            assert_eq!(began.elapsed().as_secs(), 1 + 45);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_reads_is_no_silence() {
        let test = async {
            let (mut events, mut server) = open().await;
            assert!(timeout(SECOND, events.next_event(IDLE)).await.is_err());
            server.write_all(b"data: late\n\n").await.expect("written");
            sleep(100 * IDLE).await;
            yield_now().await;
            let event = events.next_event(IDLE).await.expect("an event");
            assert_eq!(event.data, "late");
        };
        LocalSet::new().run_until(test).await;
    }
}
