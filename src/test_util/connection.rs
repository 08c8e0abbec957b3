//! One accepted socket: reading and writing it, and knowing when its client has gone.

use super::gate::Gate;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Connection {
    /// Counted from 1 in the order of acceptance.
    pub(super) number: usize,
    stream: TcpStream,
    /// Opens when either side has closed, so that whoever waits on this connection's behalf stops waiting.
    gone: Gate,
}

impl Connection {
    pub(super) fn new(number: usize, stream: TcpStream) -> Self {
        // Fails only if the client has gone already, which the first read will tell.
        let _ = stream.set_nodelay(true);
        Self {
            number,
            stream,
            gone: Gate::new(),
        }
    }

    /// Ends all reading, writing and waiting on this connection, whichever thread is at it.
    pub(super) fn close(&self) {
        self.gone.open();
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits for the gate or the deadline; without either, until the connection ends.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn wait(&self, gate: Option<&Gate>, deadline: Option<Instant>) -> io::Result<()> {
        match gate {
            Some(gate) => Gate::wait_any(&[&self.gone, gate], deadline),
            None => Gate::wait_any(&[&self.gone], deadline),
        }
        if self.gone.is_open() {
            Err(ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    /// Whether the client has closed its side, even if the thread that reads this connection has not run since. Not to
    /// be called by two threads at once: one would put the socket back into blocking mode under the other's feet.
    pub(super) fn client_has_left(&self) -> bool {
        if self.gone.is_open() || self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let seen = self.stream.peek(&mut [0]);
        let blocking_again = self.stream.set_nonblocking(false);
        let left = match seen {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        left || blocking_again.is_err()
    }

    /// Like `read`, but what was read stays in the kernel.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        blocking(|| self.stream.peek(buffer))
    }
}

impl Read for &Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        blocking(|| (&self.stream).read(buffer))
    }
}

impl Write for &Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        blocking(|| (&self.stream).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A call that comes while [`Connection::client_has_left`] looks finds the socket non-blocking for a moment.
fn blocking<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            done => return done,
        }
    }
}
