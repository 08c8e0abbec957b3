//! Everything that knows Hacker News: its API, its items, and the tables that they go to.

pub mod item;
pub mod user;
pub mod record;
mod document;
mod source;
mod users;
pub(crate) mod clock;
pub mod schema;
mod connection;
mod dialect;
pub mod migrations;
mod sink;
mod upsert;
pub mod coverage;
pub mod plan;
pub mod lists;
pub mod failures;
pub(crate) mod refresh;
#[cfg(feature = "cli")]
pub(crate) mod process;
#[cfg(feature = "cli")]
pub(crate) mod runs;
#[cfg(feature = "cli")]
pub(crate) mod leases;
#[cfg(feature = "cli")]
pub(crate) mod cool_down;
#[cfg(feature = "cli")]
pub(crate) mod follow;
#[cfg(feature = "cli")]
pub(crate) mod top_items;
pub(crate) mod live_runs;
#[cfg(feature = "serve")]
pub mod reads;
pub mod status;
pub mod verify;
#[cfg(feature = "serve")]
pub(crate) mod indexes;
#[cfg(feature = "serve")]
pub(crate) mod search;
#[cfg(feature = "cli")]
pub(crate) mod copy;
#[cfg(feature = "cli")]
pub(crate) mod sample;

pub use self::{
    connection::HnConnection,
    item::Item,
    lists::List,
    refresh::{BadLadder, Ladder},
    sink::HnSink,
    source::{BadBaseUrl, HnSource, PUBLIC_API},
    user::User,
    users::{UserSink, UserSource},
};
