//! An HN-compatible API on loopback that makes up its data from a seed.
//!
//! An item is a pure function of the seed and its id. Nothing is stored, so fifty million items take no more memory than
//! twenty, and the same seed gives the same bytes on every machine. The API serves every path of the [real API] except the
//! event streams, and has faults on demand ([`Faults`]). Use it in tests, for demonstrations, and without a network.
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

use std::{
    io::{Error, ErrorKind, Result},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};

use generate::Generator;
use routes::{Api, handle};

// What an item is:

mod threads;
mod generate;
mod words;
mod rng;

// What is served:

mod lists;
mod routes;

// What goes wrong:

mod faults;
mod latency_range;
mod fixed_window;
mod broken_body;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use faults::Faults;
pub use latency_range::LatencyRange;

/// What to serve. The default is seed 1, a million items, no faults, and any free port.
#[derive(Clone, Debug, PartialEq)]
pub struct MockApi {
    /// Decides every item, list and profile.
    pub seed: u64,
    /// The largest id, from 0 to [`MockApi::LARGEST_ITEM`]. No item refers to a larger id.
    pub max_item: i64,
    /// What goes wrong, and how often.
    pub faults: Faults,
    /// The port on 127.0.0.1. With 0 it takes a free one.
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

    /// Serves on 127.0.0.1, on its own thread, until it is stopped or dropped.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `max_item` or the faults are out of range. `Unsupported` outside of an actix `System` or a tokio
    /// runtime. The error of the operating system if the port is not free.
    pub async fn start(self) -> Result<RunningMockApi> {
        self.check()
            .map_err(|e| Error::new(ErrorKind::InvalidInput, e))?;
        let port = self.port;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
            let why = "the mock API must be started inside an actix System or a tokio runtime";
            Error::new(ErrorKind::Unsupported, why)
        })?;
        let server = HttpServer::new(move || {
            let api = Api::new(Generator::new(self.seed, self.max_item), self.faults);
            App::new()
                .app_data(web::Data::new(api))
                .default_service(web::to(handle))
        })
        .workers(1)
        .disable_signals()
        // Long, so that the server does not close a pooled connection while its client sends the next request.
        .keep_alive(Duration::from_secs(75))
        // When a client gives up a hung request and closes, its connection ends.
        .h1_allow_half_closed(false)
        .bind((Ipv4Addr::LOCALHOST, port))?;
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

/// A mock API that serves. Dropping it stops it, without waiting for the end.
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

    /// Stops at once: closes the port and every connection. Requests in progress are dropped, because the API has nothing to
    /// lose.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

impl Drop for RunningMockApi {
    fn drop(&mut self) {
        // The call sends the command. Only the wait for its completion is left out.
        drop(self.handle.stop(false));
    }
}
