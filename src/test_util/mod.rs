//! A scripted HTTP server: it tests a client on a real socket against everything that can go wrong there.
//!
//! A [`ScriptedServer`] answers each path with a list of [`Reply`]s and counts what it sees. A [`Latch`] holds replies back
//! until the test opens it. A [`Proxy`] breaks and restores the connections to any other server. None of them needs an
//! async runtime, so they work beside actix, tokio or plain threads.
//!
//! No test needs a sleep: a latch decides when a reply is sent, and [`ScriptedServer::wait_for`] waits until the server has
//! seen a certain number of requests or connections.
//!
//! These are tools for tests. They panic with a message if the machine has no free port or thread, or if a test misuses
//! them.
//!
//! ```
//! use hn_ingest::test_util::{Reply, ScriptedServer};
//! use std::{io::{Read, Write}, net::TcpStream};
//!
//! let server = ScriptedServer::start();
//! server.on(
//!     "/v0/item/1.json",
//!     [Reply::status(503).header("retry-after", "0"), Reply::json(r#"{"id":1}"#)],
//! );
//!
//! // Any client works. Your own Source would get `server.url()`.
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
//! To test your own source, ingest from such a server:
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
//! let source = hn::HnSource::new(&server.url())?; // or your own
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

use std::sync::{Mutex, MutexGuard, PoisonError};

// What a test uses:

mod server;
mod reply;
mod latch;
mod request;
mod proxy;

// How it works:

mod listener;
mod connection;
mod state;
mod write_reply;

#[cfg(test)]
mod tests;

pub use latch::Latch;
pub use proxy::Proxy;
pub use reply::Reply;
pub use request::Request;
pub use server::ScriptedServer;
pub use state::Stats;

/// Locks a mutex even if a thread panicked while it held it: a test that panics in a callback must still be able to drop
/// its server.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
