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
//!
//! A source of yours is tested by ingesting from such a server:
//!
//! ```
//! use hn_ingest::{Builder, Config, hn, test_util::{Reply, ScriptedServer}};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ScriptedServer::start();
//! server.on("/item/1.json", [Reply::status(503), Reply::json(r#"{"id":1}"#)]);
//! server.on("/item/2.json", [Reply::hang()]);
//! server.on("/item/3.json", [Reply::json(r#"{"id":3}"#).cut_at(4), Reply::json("null")]);
//!
//! let source = hn::HnSource::new(&server.url())?; // yours
//! let folder = tempfile::tempdir()?;
//! let report = actix_rt::System::new().block_on(async {
//!     let config = Config { timeout: Duration::from_millis(200), backoff: Duration::ZERO, attempts: 2, ..Config::default() };
//!     let pool = hn_ingest::store::sqlite::open(&folder.path().join("test.db"))?;
//!     hn::migrations::run(&mut *pool.get()?)?;
//!     let pipeline = Builder::new(source, hn::HnSink::new()).config(config).pool(pool).start().await?;
//!     Ok::<_, Box<dyn std::error::Error>>(pipeline.run([1, 2, 3]).await?)
//! })?;
//! assert_eq!((report.totals.stored, report.totals.absent, report.totals.failed), (1, 1, 1));
//! assert_eq!(report.failures[0].kind, "timeout");
//! # Ok(()) }
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
