//! A scripted HTTP server, to test a client against all that can go wrong on a real socket.
//!
//! [`ScriptedServer`] plays a list of [`Reply`]s for a path and counts what it sees; a [`Gate`] holds a reply back until
//! the test lets it go; a [`Proxy`] breaks and restores the connections to any other server. None of it depends on a
//! runtime: it works beside actix, tokio or plain threads. No test needs a sleep: a gate decides when a reply goes out,
//! and [`ScriptedServer::wait_for`] waits until the server has seen what the test is waiting for.
//!
//! These are tools for tests: where the machine fails them (no port or thread to be had) or a test misuses them, they
//! panic and say why.
//!
//! ```
//! use hn_ingest::test_util::{Reply, ScriptedServer};
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! let server = ScriptedServer::start();
//! server.on(
//!     "/v0/item/1.json",
//!     [Reply::status(503).header("retry-after", "0"), Reply::json(r#"{"id":1}"#)],
//! );
//!
//! // Any client will do: a Source of yours would be given `server.url()`.
//! let get = |path: &str| {
//!     let mut stream = TcpStream::connect(server.addr())?;
//!     write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n")?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer)?;
//!     Ok::<_, std::io::Error>(answer)
//! };
//! assert!(get("/v0/item/1.json")?.starts_with("HTTP/1.1 503"));
//! assert!(get("/v0/item/1.json")?.ends_with(r#"{"id":1}"#));
//! assert!(get("/v0/item/2.json")?.starts_with("HTTP/1.1 404"));
//!
//! assert_eq!(server.hits("/v0/item/1.json"), 2);
//! assert_eq!(server.stats().peak_in_flight, 1);
//! # Ok::<(), std::io::Error>(())
//! ```

mod reply;
pub use reply::Reply;

mod gate;
pub use gate::Gate;

mod server;
pub use server::ScriptedServer;

mod state;
pub use state::Stats;

mod request;
pub use request::Request;

mod proxy;
pub use proxy::Proxy;

mod connection;
mod door;
mod play;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A test that panics in a callback must still be able to drop its server: poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
