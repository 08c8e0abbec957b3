//! A TCP proxy whose connections a test breaks and restores.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
};

use super::{connection::AcceptedConnection, listener::Listener};

/// Passes bytes between its clients and a server that the test cannot stop, such as the mock API, until the test breaks
/// the connections. It keeps no half-closed connection: when one side closes, it closes the other.
#[derive(Debug)]
pub struct Proxy {
    listener: Listener,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, and opens one connection to `server` for each client. If it cannot, it closes
    /// the client's connection.
    ///
    /// # Panics
    /// If the machine has no free port or thread.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        Self {
            listener: Listener::open(move |client| drop(forward(&client, server))),
        }
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end. It stays the same for the proxy's life.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The address in [`Proxy::url`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    /// Closes every connection and refuses new ones, until [`Proxy::restore`].
    pub fn break_connections(&self) {
        self.listener.close();
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// If another program has taken the port in the meantime.
    pub fn restore(&self) {
        self.listener.reopen();
    }
}

fn forward(client: &AcceptedConnection, server: SocketAddr) -> io::Result<()> {
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
        // The client, the server or the test may end the connection. Each closes the client's side, which wakes this
        // thread. The shutdown then ends both copies.
        client.wait_until_ended();
        server.shutdown(Shutdown::Both)
    })
}
