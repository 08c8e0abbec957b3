//! A web server over a mirror: the Hacker News API, and pages to read, from the database.
//!
//! It opens the database for reading only, and runs inside any actix System or tokio runtime:
//!
//! ```no_run
//! use hn_ingest::serve::{ServeConfig, Server};
//!
//! #[tokio::main] // or #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = Server::new("hn.db").config(ServeConfig::default()).start().await?;
//!     println!("{}", server.url());
//!     tokio::signal::ctrl_c().await?;
//!     server.stop().await;
//!     Ok(())
//! }
//! ```
//!
//! | address | answer |
//! |---|---|
//! | `/v0/…` | the [API of Hacker News](https://github.com/HackerNews/API), as Firebase serves it |
//! | `/`, `/newest`, `/item?id=`, … | pages to read, at the addresses of news.ycombinator.com |
//! | `/api/v1/…` | the [search API](https://hn.algolia.com/api) of hn.algolia.com |
//! | `/status` | a dashboard of the ingestion |
//! | `/health` | whether the database can be read, and what the host says of itself ([`Server::health`]) |
//! | `/metrics` | what the host gives ([`Server::metrics`]) |
//!
//! # The API
//!
//! Every path, parameter, header and method is as in the real API, event streams included. What differs:
//!
//! - `X-Fetched-At` says when the record was received from the real API, in Unix seconds. For an item that the API did not have, it is
//!   the time of the last look.
//! - `maxitem` is the largest id that is stored or settled.
//! - `updates` names the hundred items that were fetched last among the thousand newest and those of the lists, and of the profiles of
//!   their authors those that are stored.
//! - A list is as it was last read. One that never was, or was empty, is `null`, as are users that are not stored.
//! - A stream says what changes in the database, within a fraction of a second after the commit.

// The server as its host sees it:

mod config;
mod server;
mod changes;
mod watched_database;

// What every request passes:

mod guard;
mod hosts;
mod errors;
mod layout;
mod assets;

// What is served:

mod routes;
mod hn_data;
mod search_api;
mod record_cache;
mod pages;
mod status;
mod health;

// What all of it shares:

mod state;
pub(crate) mod wording;
mod monitoring;
mod meters;

pub use self::{
    changes::{Changes, Committed},
    config::{ServeConfig, ServeError},
    monitoring::Health,
    server::{RunningServer, Server},
};
