//! Adapts connected sockets to the traits that hyper reads and writes through.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes of one read.
const READ_MAX: usize = 32 * 1024;

/// What a connected socket can do: TCP, or TLS over it.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

pub(super) type BoxedSocket = Box<dyn Io>;

/// A connected socket that notes whether anything was read.
pub(super) struct Socket {
    io: BoxedSocket,
    /// Shared by all sockets of a pool.
    buffer: Rc<ReadBuffer>,
    /// Set whenever a byte arrives. The connection reads and resets it.
    has_read: Rc<Cell<bool>>,
}

/// All sockets of a pool read into this buffer first, and the bytes are then copied into hyper's buffer. That is uninitialized
/// memory, so a direct read would need `unsafe`. The copy costs little.
pub(super) struct ReadBuffer(RefCell<Box<[u8]>>);

impl Default for ReadBuffer {
    fn default() -> Self {
        Self(RefCell::new(vec![0; READ_MAX].into()))
    }
}

impl Socket {
    /// Sets `has_read` whenever a byte arrives.
    pub(super) fn new(io: BoxedSocket, buffer: Rc<ReadBuffer>, has_read: Rc<Cell<bool>>) -> Self {
        Self {
            io,
            buffer,
            has_read,
        }
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut target: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut buffer = this.buffer.0.borrow_mut();
        let length = buffer.len().min(target.remaining());
        let mut read = ReadBuf::new(&mut buffer[..length]);
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut read)).map_err(in_plain_words)?;
        if !read.filled().is_empty() {
            this.has_read.set(true);
            target.put_slice(read.filled());
        }
        Poll::Ready(Ok(()))
    }
}

/// Says what happened if TLS was cut off. The library's own text is a link to its documentation.
fn in_plain_words(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::UnexpectedEof {
        return error;
    }
    let what = "the server closed the connection without a TLS goodbye (close_notify)";
    io::Error::new(error.kind(), what)
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
