//! Event streams: server-sent events (WHATWG HTML, 9.2), and a stream of them that connects again whenever it breaks.

pub(crate) mod stream;
pub(crate) mod parser;
mod open;
mod connection;
