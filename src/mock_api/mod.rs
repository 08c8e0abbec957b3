//! An HN-compatible API on loopback, made of nothing but a seed.
//!
//! An item is a pure function of (seed, id): no storage, so fifty million items cost no more memory than twenty, and the same
//! seed gives the same bytes on every machine. It serves every path of the [real API] except the event streams, and does
//! wrong on demand ([`Faults`]). Run it in tests, for demonstrations, or wherever there is no network.
//!
//! Reading order: `threads` (the shape of a block of ids), `generate` (one item), `words` (what it says), `lists`, `routes`,
//! `faults`.
//!
//! ```
//! # actix_rt::System::new().block_on(async {
//! use hn_ingest::mock_api::MockApi;
//!
//! let api = MockApi { max_item: 50_000_000, ..MockApi::default() }.start().await?;
//! let item = awc::Client::default().get(format!("{}/item/49999999.json", api.url())).send().await;
//! assert!(item.is_ok_and(|answer| answer.status().is_success()));
//! api.stop().await;
//! # std::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! [real API]: https://github.com/HackerNews/API

mod faults;
mod generate;
mod lists;
mod rng;
mod routes;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod threads;
mod words;

pub use faults::{Faults, Latency};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use generate::Generator;
use routes::{Api, handle};
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What to serve. The default: seed 1, a million items, no faults, any free port.
#[derive(Clone, Debug, PartialEq)]
pub struct MockApi {
    /// Decides every item, list and profile.
    pub seed: u64,
    /// The largest id, 0 to [`MockApi::LARGEST_ITEM`]. Items up to it speak of no id beyond it.
    pub max_item: i64,
    /// What goes wrong, and how often.
    pub faults: Faults,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
}

impl Default for MockApi {
    fn default() -> Self {
        MockApi {
            seed: 1,
            max_item: 1_000_000,
            faults: Faults::default(),
            port: 0,
        }
    }
}

impl MockApi {
    /// The largest `max_item`.
    pub const LARGEST_ITEM: i64 = u32::MAX as i64;

    /// Serves on 127.0.0.1 from one thread of its own, until it is stopped or dropped.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when `max_item` or the faults are out of range, `Unsupported` outside of an actix `System` and of any tokio
    /// runtime, and what the system says when the port cannot be had.
    pub async fn start(self) -> Result<RunningMockApi> {
        self.check()
            .map_err(|e| Error::new(ErrorKind::InvalidInput, e))?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
            let why = "the mock API must be started inside an actix System or a tokio runtime";
            Error::new(ErrorKind::Unsupported, why)
        })?;
        let (seed, max_item, faults) = (self.seed, self.max_item, self.faults);
        let server = HttpServer::new(move || {
            let api = Api::new(Generator::new(seed, max_item), faults);
            App::new()
                .app_data(web::Data::new(api))
                .default_service(web::to(handle))
        })
        .workers(1)
        .disable_signals()
        // A pooled connection of a client must not run into our closing it at the same moment.
        .keep_alive(Duration::from_secs(75))
        // A client that gives up a hung request and closes takes its connection with it.
        .h1_allow_half_closed(false)
        .bind((Ipv4Addr::LOCALHOST, self.port))?;
        let address = server.addrs().first().copied();
        let address = address.ok_or_else(|| Error::other("the mock API has no address"))?;
        let server = server.run();
        let handle = server.handle();
        runtime.spawn(server);
        Ok(RunningMockApi { address, handle })
    }

    fn check(&self) -> std::result::Result<(), String> {
        if !(0..=Self::LARGEST_ITEM).contains(&self.max_item) {
            return Err(format!(
                "the largest item is {}: it must be from 0 to {}",
                self.max_item,
                Self::LARGEST_ITEM
            ));
        }
        self.faults.check()
    }
}

/// A mock API that answers. Dropped, it stops too, without waiting until that is done.
#[derive(Debug)]
pub struct RunningMockApi {
    address: SocketAddr,
    handle: ServerHandle,
}

impl RunningMockApi {
    /// The base URL, `http://127.0.0.1:PORT/v0`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v0", self.address)
    }

    /// Stops at once: closes the port and every connection. Requests under way, hung ones among them, are dropped; there is
    /// nothing here that could be lost.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

impl Drop for RunningMockApi {
    fn drop(&mut self) {
        // The command is sent by the call; what is not awaited is only that it has been carried out.
        drop(self.handle.stop(false));
    }
}
