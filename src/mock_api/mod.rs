//! An HN-compatible API on loopback that makes up its data from a seed.
//!
//! An item is a pure function of the seed and its id. Nothing is stored, so fifty million items take no more memory than
//! twenty, and the same seed gives the same bytes on every machine. The API serves every path of the [real API], and has faults
//! on demand ([`Faults`]). Use it in tests, for demonstrations, and without a network.
//!
//! By default nothing changes. A [live](Live) API adds items and changes them as its [`Clock`] goes on, and serves event streams.
//! A test moves a [manual](Clock::manual) clock, and asks for any moment with [`MockApi::json_at`]. The page below says what changes
//! when.
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
//!
#![doc = include_str!("../../docs/mock-api.md")]

use std::{
    io::{Error, ErrorKind, Result},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::{Duration, SystemTime},
};

use actix_web::{App, dev::ServerHandle, web};

use clock::micros;
use documents::Documents;
use event_stream::Orders;
use routes::{Api, LiveParts, handle};

use crate::hn_api::{ConnectionSettings, server};

// What an item is:

mod threads;
mod generate;
mod words;
mod rng;

// How a live API changes:

mod live;
mod item_rate;
mod clock;
mod timeline;
mod life;

// What is served:

mod lists;
mod changes;
mod documents;
mod mock_data;
mod routes;
mod event_stream;
mod ways_to_tell;

// What goes wrong:

mod rates;
mod faults;
mod streams;
mod latency_range;
mod fixed_window;
mod broken_body;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod live_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod stream_tests;

pub use clock::Clock;
pub use faults::Faults;
pub use item_rate::ItemRate;
pub use latency_range::LatencyRange;
pub use live::Live;
pub use streams::{StreamEnd, Streams};

const CONNECTIONS: ConnectionSettings = ConnectionSettings {
    threads: 1,
    most: 25_600,
    // Long, so that the server does not close a pooled connection while its client sends the next request.
    keep_alive: Duration::from_secs(75),
    head_timeout: Duration::from_secs(5),
    write_timeout: Duration::from_secs(60),
    stop_seconds: 30,
};

/// What to serve. The default is seed 1, a million items, no faults, and any free port.
#[derive(Clone, Debug, PartialEq)]
pub struct MockApi {
    /// Decides every item, list and profile.
    pub seed: u64,
    /// The largest id, from 0 to [`MockApi::LARGEST_ITEM`]. No item refers to a larger id. In a live API it is the largest one
    /// at the start.
    pub max_item: i64,
    /// What goes wrong, and how often.
    pub faults: Faults,
    /// The port on 127.0.0.1. With 0 it takes a free one.
    pub port: u16,
    /// How it changes as time goes on. `None` is an API that never changes.
    pub live: Option<Live>,
}

impl Default for MockApi {
    fn default() -> Self {
        MockApi {
            seed: 1,
            max_item: 1_000_000,
            faults: Faults::default(),
            port: 0,
            live: None,
        }
    }
}

impl MockApi {
    /// The largest `max_item`.
    pub const LARGEST_ITEM: i64 = u32::MAX as i64;

    /// Makes it live.
    #[must_use]
    pub fn live(self, live: Live) -> Self {
        MockApi {
            live: Some(live),
            ..self
        }
    }

    /// What `GET /v0/PATH.json` answers at a moment, without a server. A path is `item/8863` or `updates`. The time means nothing
    /// to an API that is not live.
    #[must_use]
    pub fn json_at(&self, path: &str, time: SystemTime) -> String {
        let json = self.documents().json(path, micros(time));
        String::from_utf8_lossy(&json).into_owned()
    }

    fn documents(&self) -> Documents {
        let live = self.live.as_ref();
        let timeline = live.map(|live| live.timeline(self.seed, self.max_item, Self::LARGEST_ITEM));
        Documents::new(self.seed, self.max_item, timeline)
    }

    /// Serves on 127.0.0.1, on its own thread, until it is stopped or dropped. The event streams of a live API have two ports of
    /// their own, any free ones.
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
        let orders = Orders::default();
        let mut shards = Vec::new();
        let mut live_parts = None;
        if let Some(live) = &self.live {
            let mut open_shard = || {
                let shard = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let port = shard.local_addr()?.port();
                shards.push(shard);
                Result::Ok(port)
            };
            live_parts = Some(LiveParts {
                clock: live.clock.clone(),
                streams: live.streams,
                orders: orders.clone(),
                shards: [open_shard()?, open_shard()?],
            });
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let listeners = std::iter::once(listener).chain(shards);
        let application = move || {
            let api = Api::new(self.documents(), self.faults, live_parts.clone());
            App::new()
                .app_data(web::Data::new(api))
                .default_service(web::to(handle))
        };
        let server = server(
            listeners,
            CONNECTIONS,
            std::future::pending::<()>,
            application,
        )?;
        let handle = server.handle();
        runtime.spawn(server);
        Ok(RunningMockApi {
            address,
            handle,
            orders,
        })
    }

    fn check(&self) -> std::result::Result<(), String> {
        if !(0..=Self::LARGEST_ITEM).contains(&self.max_item) {
            return Err(format!(
                "the largest item is {}: it must be from 0 to {}",
                self.max_item,
                Self::LARGEST_ITEM
            ));
        }
        if let Some(live) = &self.live {
            live.streams.check()?;
        }
        self.faults.check()
    }
}

/// A mock API that serves. Dropping it stops it, without waiting for the end.
#[derive(Debug)]
pub struct RunningMockApi {
    address: SocketAddr,
    handle: ServerHandle,
    orders: Orders,
}

impl RunningMockApi {
    /// The base URL, `http://127.0.0.1:PORT/v0`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v0", self.address)
    }

    /// Ends every open event stream in this way. Later ones are not concerned.
    pub fn end_streams(&self, how: StreamEnd) {
        self.orders.end_all(how);
    }

    /// How many event streams are open. One that a client has left counts until its connection is found closed.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.orders.open_streams()
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
