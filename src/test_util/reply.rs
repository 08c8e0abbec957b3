//! What the server answers, as a value: a head, a body, and how it goes out.

use super::gate::Gate;
use std::sync::Arc;
use std::time::Duration;

/// One answer of a [`ScriptedServer`](super::ScriptedServer). Whole and at once, unless told otherwise.
#[derive(Clone, Debug)]
pub struct Reply {
    /// `None`: the body is all there is on the wire.
    pub(super) head: Option<Head>,
    pub(super) body: Arc<[u8]>,
    /// Body bytes to send of those announced.
    pub(super) cut: Option<usize>,
    pub(super) end: End,
    pub(super) latency: Duration,
    pub(super) gate: Option<Gate>,
    pub(super) drip: Option<Drip>,
}

#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) chunked: bool,
}

/// What follows the bytes of a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// The next request, or a close if one side asked for it.
    Whole,
    Close,
    Reset,
    Silence,
    /// These bytes again and again.
    Endless(&'static [u8]),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Drip {
    pub(super) every: Duration,
    pub(super) head_too: bool,
}

/// Status and headers.
impl Reply {
    /// 200 with this body as `application/json`. It is sent as it is, JSON or not.
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

    /// This status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let head = Head {
            status,
            headers: Vec::new(),
            chunked: false,
        };
        Self {
            head: Some(head),
            end: End::Whole,
            ..Self::raw([])
        }
    }

    /// This status (301, 302, 303, 307 or 308) and a `Location`.
    #[must_use]
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::status(status).header("location", location)
    }

    /// Never a byte, until the client closes or the server goes down.
    #[must_use]
    pub fn hang() -> Self {
        Self {
            end: End::Silence,
            ..Self::raw([])
        }
    }

    /// No answer but a RST: the client's read fails with `ConnectionReset`. Needs Linux; elsewhere it may be an ordinary
    /// close.
    #[must_use]
    pub fn reset() -> Self {
        Self {
            end: End::Reset,
            ..Self::raw([])
        }
    }

    /// Exactly these bytes in place of an HTTP response, then a close. None at all is a close without an answer.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            head: None,
            body: bytes.into().into(),
            cut: None,
            end: End::Close,
            latency: Duration::ZERO,
            gate: None,
            drip: None,
        }
    }

    /// 200 and a chunked body of blanks that goes on until the client closes.
    #[must_use]
    pub fn endless_body() -> Self {
        const CHUNK: &[u8] = b"20\r\n                                \r\n";
        Self {
            end: End::Endless(CHUNK),
            ..Self::status(200).chunked()
        }
    }

    /// 200 and header after header until the client closes.
    #[must_use]
    pub fn endless_headers() -> Self {
        const HEADER: &[u8] = b"x-endless: and another, and another, and another\r\n";
        Self {
            end: End::Endless(HEADER),
            ..Self::raw("HTTP/1.1 200 Scripted\r\n")
        }
    }

    /// Adds a header. A `content-length` or `transfer-encoding` stands in place of the right one, for lies about the
    /// body; `connection: close` closes after the reply. Without effect where there is no head (`raw`, `hang`, `reset`,
    /// `endless_headers`).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Some(head) = &mut self.head {
            head.headers.push((name.into(), value.into()));
        }
        self
    }

    /// The body in chunks (three, if it is long enough) in place of a `Content-Length`. Without effect where there is no
    /// head.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        if let Some(head) = &mut self.head {
            head.chunked = true;
        }
        self
    }
}

/// When and how fast it goes out.
impl Reply {
    /// Waits this long, from the request's head on, before the first byte.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Waits for the gate before the first byte.
    #[must_use]
    pub fn held_by(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Byte by byte, head and all, with this pause before each byte (zero: one write a byte, without a pause).
    #[must_use]
    pub fn drip(mut self, every: Duration) -> Self {
        self.drip = Some(Drip {
            every,
            head_too: true,
        });
        self
    }

    /// The head at once, then the body like [`Reply::drip`].
    #[must_use]
    pub fn drip_body(mut self, every: Duration) -> Self {
        self.drip = Some(Drip {
            every,
            head_too: false,
        });
        self
    }
}

/// Replies that break off. Each announces the whole body, or one byte more than it sends if that is not enough to make it
/// incomplete; of several of these calls the last one counts.
impl Reply {
    /// Sends `bytes` bytes of the body, then closes.
    #[must_use]
    pub fn cut_at(self, bytes: usize) -> Self {
        Self {
            cut: Some(bytes),
            end: End::Close,
            ..self
        }
    }

    /// Sends `bytes` bytes of the body, then nothing more until the client closes or the server goes down.
    #[must_use]
    pub fn stall_at(self, bytes: usize) -> Self {
        Self {
            cut: Some(bytes),
            end: End::Silence,
            ..self
        }
    }

    /// Sends `bytes` bytes of the body, then a RST, as [`Reply::reset`] does.
    #[must_use]
    pub fn reset_at(self, bytes: usize) -> Self {
        Self {
            cut: Some(bytes),
            end: End::Reset,
            ..self
        }
    }
}
