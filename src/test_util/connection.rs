//! One accepted connection: it reads, writes, waits, and notices that its client has left.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Instant,
};

use super::latch::Latch;

#[derive(Debug)]
pub(super) struct AcceptedConnection {
    /// Counted from 1 in the order of acceptance.
    pub(super) number: usize,
    stream: TcpStream,
    /// Opens when either side has closed. So nothing waits for a connection that has ended.
    ended: Latch,
}

impl AcceptedConnection {
    pub(super) fn new(number: usize, stream: TcpStream) -> Self {
        // This fails only if the client has left already. The first read finds that out.
        let _ = stream.set_nodelay(true);
        Self {
            number,
            stream,
            ended: Latch::new(),
        }
    }

    /// Ends the reads, writes and waits of every thread that uses this connection.
    pub(super) fn close(&self) {
        self.ended.open();
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits for the latch.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn wait_for(&self, latch: &Latch) -> io::Result<()> {
        Latch::wait_any(&[&self.ended, latch], None);
        self.check_not_ended()
    }

    /// Waits for the deadline. `None` never comes.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> io::Result<()> {
        Latch::wait_any(&[&self.ended], deadline);
        self.check_not_ended()
    }

    /// Waits until either side has closed.
    pub(super) fn wait_until_ended(&self) {
        Latch::wait_any(&[&self.ended], None);
    }

    fn check_not_ended(&self) -> io::Result<()> {
        if self.ended.is_open() {
            Err(ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    /// Whether the client has closed its side, even if the thread that reads this connection has not noticed yet.
    ///
    /// Only one thread at a time may call this: a second one would make the socket blocking again too early.
    pub(super) fn client_has_left(&self) -> bool {
        if self.ended.is_open() || self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = self.stream.peek(&mut [0]);
        let blocking_again = self.stream.set_nonblocking(false);
        let left = match peeked {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        left || blocking_again.is_err()
    }

    /// Like `read`, but the bytes stay in the kernel.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        retry_while_nonblocking(|| self.stream.peek(buffer))
    }
}

impl Read for &AcceptedConnection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        retry_while_nonblocking(|| (&self.stream).read(buffer))
    }
}

impl Write for &AcceptedConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry_while_nonblocking(|| (&self.stream).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// [`AcceptedConnection::client_has_left`] makes the socket non-blocking for a moment. A call in that moment is made
/// again.
fn retry_while_nonblocking<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            done => return done,
        }
    }
}
