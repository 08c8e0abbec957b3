//! What the server answers, as a value: a head, a body, and how and when the bytes are sent.

use std::{sync::Arc, time::Duration};

use super::latch::Latch;

/// One answer of a [`ScriptedServer`](super::ScriptedServer). By default it is complete and sent at once.
#[derive(Clone, Debug)]
pub struct Reply {
    /// `None` sends the body without a head: raw bytes.
    pub(super) head: Option<Head>,
    pub(super) body: Arc<[u8]>,
    /// How many bytes of the announced body are sent. `None` sends them all.
    pub(super) cut: Option<usize>,
    /// Bytes that follow the head and body, each part after a wait.
    pub(super) later_parts: Vec<LaterPart>,
    pub(super) after: AfterReply,
    /// How long to wait before the first byte.
    pub(super) latency: Duration,
    /// The latch to wait for before the first byte.
    pub(super) held_by: Option<Latch>,
    pub(super) drip: Option<Drip>,
}

#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) chunked: bool,
    /// Whether later parts belong to the chunked body.
    pub(super) is_stream: bool,
}

/// Bytes that are sent after a reply's head and body.
#[derive(Clone, Debug)]
pub(super) struct LaterPart {
    pub(super) wait: PartWait,
    pub(super) bytes: Arc<[u8]>,
}

/// What a [`LaterPart`] waits for.
#[derive(Clone, Debug)]
pub(super) enum PartWait {
    Pause(Duration),
    Latch(Latch),
}

/// What the server does with the connection after the bytes of a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AfterReply {
    /// It reads the next request. After a reply with a head it closes instead if the request or the head says so.
    NextRequest,
    Close,
    Reset,
    /// It sends nothing more and keeps the connection open.
    Silence,
    /// It sends these bytes again and again.
    Repeat(&'static [u8]),
}

/// Sending byte by byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drip {
    /// The pause before each byte.
    pub(super) every: Duration,
    /// Whether the head is sent byte by byte too.
    pub(super) head_too: bool,
}

/// Status and headers.
/// A chunk of a kibibyte of spaces: its size in hexadecimal, the spaces, and the line ends around them.
const CHUNK: [u8; 1031] = {
    let mut chunk = [b' '; 1031];
    chunk[0] = b'4';
    chunk[1] = b'0';
    chunk[2] = b'0';
    chunk[3] = b'\r';
    chunk[4] = b'\n';
    chunk[1029] = b'\r';
    chunk[1030] = b'\n';
    chunk
};

impl Reply {
    /// 200 with this body as `application/json`. The body is not checked: it need not be JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::body(body).header("content-type", "application/json")
    }

    /// 200 with this body and no content type.
    #[must_use]
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into().into(),
            ..Self::status(200)
        }
    }

    /// 200 with this body as `text/event-stream`, in chunks. What [`Reply::then_after`] and [`Reply::then_when`] add belongs to
    /// the body. It ends after the last part, unless [`Reply::then_silence`] or its like says otherwise.
    #[must_use]
    pub fn event_stream(body: impl Into<Vec<u8>>) -> Self {
        let mut reply = Self::body(body).header("content-type", "text/event-stream");
        if let Some(head) = &mut reply.head {
            head.chunked = true;
            head.is_stream = true;
        }
        reply
    }

    /// This status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let head = Head {
            status,
            headers: Vec::new(),
            chunked: false,
            is_stream: false,
        };
        Self {
            head: Some(head),
            ..Self::raw_kept([])
        }
    }

    /// This status (301, 302, 303, 307 or 308) and a `Location` header.
    #[must_use]
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::status(status).header("location", location)
    }

    /// Sends nothing until the client closes or the server goes down.
    #[must_use]
    pub fn hang() -> Self {
        Self {
            after: AfterReply::Silence,
            ..Self::raw([])
        }
    }

    /// Sends a TCP RST and no bytes: the client's read fails with `ConnectionReset`. On other systems than Linux it may be
    /// an ordinary close.
    #[must_use]
    pub fn reset() -> Self {
        Self {
            after: AfterReply::Reset,
            ..Self::raw([])
        }
    }

    /// Sends exactly these bytes in place of an HTTP response, then closes. With no bytes it closes without an answer.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            after: AfterReply::Close,
            ..Self::raw_kept(bytes)
        }
    }

    /// Sends exactly these bytes in place of an HTTP response, and keeps the connection open for the next request.
    ///
    /// It stays open whatever the bytes or the request's `Connection` header say, so that a test sees which side closes.
    #[must_use]
    pub fn raw_kept(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            head: None,
            body: bytes.into().into(),
            cut: None,
            later_parts: Vec::new(),
            after: AfterReply::NextRequest,
            latency: Duration::ZERO,
            held_by: None,
            drip: None,
        }
    }

    /// 200 and a chunked body of spaces that has no end. It stops when the client closes.
    #[must_use]
    pub fn endless_body() -> Self {
        Self {
            after: AfterReply::Repeat(&CHUNK),
            ..Self::status(200).chunked()
        }
    }

    /// 200 and headers that have no end. They stop when the client closes.
    #[must_use]
    pub fn endless_headers() -> Self {
        const HEADER: &[u8] = b"x-endless: and another, and another, and another\r\n";
        Self {
            after: AfterReply::Repeat(HEADER),
            ..Self::raw("HTTP/1.1 200 Scripted\r\n")
        }
    }

    /// Adds a header.
    ///
    /// A `content-length` or `transfer-encoding` replaces the right one, so that a test can announce a wrong body.
    /// `connection: close` closes after the reply. Has no effect on a reply without a head (`raw`, `raw_kept`, `hang`,
    /// `reset`, `endless_headers`).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Some(head) = &mut self.head {
            head.headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sends the body in chunks (three, if it is long enough) instead of with a `Content-Length`. Has no effect on a reply
    /// without a head.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        if let Some(head) = &mut self.head {
            head.chunked = true;
        }
        self
    }
}

/// When and how fast the bytes are sent.
impl Reply {
    /// Waits this long before the first byte, counted from the moment at which the request's head had been read.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Waits for the latch before the first byte.
    #[must_use]
    pub fn held_by(mut self, latch: &Latch) -> Self {
        self.held_by = Some(latch.clone());
        self
    }

    /// Sends head and body byte by byte, with this pause before each byte. With a pause of zero each byte is a write of its
    /// own.
    #[must_use]
    pub fn drip(mut self, every: Duration) -> Self {
        self.drip = Some(Drip {
            every,
            head_too: true,
        });
        self
    }

    /// Sends the head at once, then the body as [`Reply::drip`] does.
    #[must_use]
    pub fn drip_body(mut self, every: Duration) -> Self {
        self.drip = Some(Drip {
            every,
            head_too: false,
        });
        self
    }
}

/// Replies in several parts.
///
/// Each call adds bytes that are sent as they are, after everything that was there before, and before the connection is
/// closed or kept. So a test can split a reply at any byte, or send surplus bytes after a complete one:
///
/// ```
/// use hn_ingest::test_util::{Latch, Reply};
/// use std::time::Duration;
///
/// let in_two_parts = Reply::raw_kept("HTTP/1.1 200 OK\r\nContent-Le")
///     .then_after(Duration::from_millis(5), "ngth: 2\r\n\r\n{}");
/// let latch = Latch::new();
/// let surplus_bytes_later = Reply::json("{}").then_when(&latch, "HTTP/1.1 200 OK\r\n\r\n");
/// ```
///
/// The server answers the connection's next request only after the last part. A raw reply and an
/// [event stream](Reply::event_stream) are in flight until their last part. Any other reply is in flight until its own body is
/// complete, because what follows it belongs to no request.
impl Reply {
    /// Then sends these bytes, after a pause.
    #[must_use]
    pub fn then_after(self, pause: Duration, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(PartWait::Pause(pause), bytes)
    }

    /// Then sends these bytes, when the latch is open.
    #[must_use]
    pub fn then_when(self, latch: &Latch, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(PartWait::Latch(latch.clone()), bytes)
    }

    /// Then sends nothing more until the client closes or the server goes down.
    #[must_use]
    pub fn then_silence(self) -> Self {
        Self {
            after: AfterReply::Silence,
            ..self
        }
    }

    /// Then closes the connection. An [event stream](Reply::event_stream) is not complete then.
    #[must_use]
    pub fn then_close(self) -> Self {
        Self {
            after: AfterReply::Close,
            ..self
        }
    }

    /// Then sends a TCP RST, as [`Reply::reset`] does.
    #[must_use]
    pub fn then_reset(self) -> Self {
        Self {
            after: AfterReply::Reset,
            ..self
        }
    }

    fn then(mut self, wait: PartWait, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into().into();
        self.later_parts.push(LaterPart { wait, bytes });
        self
    }
}

/// Replies that break off.
///
/// Each announces the whole body, or one byte more than it sends if that is needed to make it incomplete. If several of
/// these are called, the last one counts.
impl Reply {
    /// Sends `bytes` bytes of the body, then closes.
    #[must_use]
    pub fn cut_at(self, bytes: usize) -> Self {
        Self {
            cut: Some(bytes),
            after: AfterReply::Close,
            ..self
        }
    }

    /// Sends `bytes` bytes of the body, then nothing more until the client closes or the server goes down.
    #[must_use]
    pub fn stall_at(self, bytes: usize) -> Self {
        Self {
            cut: Some(bytes),
            after: AfterReply::Silence,
            ..self
        }
    }

    /// Sends `bytes` bytes of the body, then a TCP RST, as [`Reply::reset`] does.
    #[must_use]
    pub fn reset_at(self, bytes: usize) -> Self {
        Self {
            cut: Some(bytes),
            after: AfterReply::Reset,
            ..self
        }
    }
}
