//! The HTTP shape of the Hacker News API, as Firebase serves it, over any [`HnData`]: paths, parameters, headers, methods and event
//! streams.
//!
//! The mock API and `serve` share it. What they answer differs only in the data, and in the faults that the mock API has on demand.

// What a request asks for:

mod path;
mod query;
mod selection;

// How a connection is read:

mod lenient_stream;
mod http_server;

// Where the answer comes from:

mod data;
mod tree;

// How it is answered:

mod answer;
mod cross_origin;
mod etag;
mod watch;
mod change_events;
mod event_stream;

#[cfg(feature = "serve")]
pub(crate) use self::{answer::refusal, cross_origin::options};
pub(crate) use self::{
    answer::{answer, require_readable},
    cross_origin::with_cross_origin,
    data::{Document, Follow, HnData, Unavailable},
    event_stream::{answer_with_stream, wants_stream},
    http_server::{ConnectionSettings, server},
    path::{DocumentPath, Record},
    tree::{to_json, value_at},
};
#[cfg(feature = "mock-api")]
pub(crate) use self::{
    change_events::{Event, differences, index_keyed, is_container},
    http_server::local_address,
    watch::{Seen, Watch},
};
