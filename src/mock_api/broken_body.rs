//! Bodies that break the connection.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

/// A body that ends before its `Content-Length`.
///
/// actix then drops the connection and everything in its buffer, and logs nothing. So `reset` sends nothing, not even the
/// status line. `half` is pending once, so that actix writes the buffer first. Tests check both on the wire.
#[derive(Debug)]
pub(super) struct BrokenBody {
    /// The `Content-Length`.
    declared: u64,
    /// The bytes that are still to be sent.
    half: Option<Bytes>,
    /// Whether actix has had the chance to write its buffer.
    flushed: bool,
}

impl BrokenBody {
    /// Closes the connection without sending a byte of the response.
    pub(super) fn reset() -> Self {
        BrokenBody {
            declared: 1,
            half: None,
            flushed: true,
        }
    }

    /// Sends the head and the first half of `body`, then closes the connection.
    pub(super) fn half(body: &Bytes) -> Self {
        let half = body.slice(..body.len() / 2);
        BrokenBody {
            declared: body.len() as u64,
            half: Some(half),
            flushed: false,
        }
    }
}

impl MessageBody for BrokenBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.declared)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(half)));
        }
        if !self.flushed {
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}
