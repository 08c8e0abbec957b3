//! A TCP proxy whose connections a test breaks and restores.

use super::connection::Connection;
use super::door::Door;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

/// Passes bytes between its clients and a server that is not ours to stop, such as the mock API, until the test breaks
/// the connections. It does not keep half-closed connections: when one side closes, both are closed.
#[derive(Debug)]
pub struct Proxy {
    door: Door,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, and connects to `server` once for each client. A client whose connection
    /// cannot be passed on is closed.
    ///
    /// # Panics
    /// If there is no port or thread to be had.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        Self {
            door: Door::open(move |client| drop(pass(&client, server))),
        }
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end. Stays the same for the proxy's life.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The address behind [`Proxy::url`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Closes every connection and refuses new ones, until [`Proxy::restore`].
    pub fn break_connections(&self) {
        self.door.shut();
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// If someone else has taken the port meanwhile.
    pub fn restore(&self) {
        self.door.reopen();
    }
}

fn pass(client: &Connection, server: SocketAddr) -> io::Result<()> {
    let server = &TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut { client }, &mut { server });
            client.close();
        });
        scope.spawn(|| {
            let _ = io::copy(&mut { server }, &mut { client });
            client.close();
        });
        // Whoever ended it, the test included: one close wakes this thread, and the next both others.
        let _ = client.wait(None, None);
        server.shutdown(Shutdown::Both)
    })
}
