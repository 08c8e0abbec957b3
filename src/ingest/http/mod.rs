//! The HTTP side: a client that tries a URL until there is an answer, and how one HTTP/1.1 exchange is made.
//!
//! hyper speaks the protocol, awc connects the sockets. What is here is what neither does: deadlines, permits, a pool of
//! connections, bounded bodies, redirects, and what an answer means for its id.

pub(crate) mod client;
mod attempt;
mod tally;
mod target;
mod retry_after;
mod body;
mod body_arena;
mod pool;
mod connection;
mod socket;
mod connect;
pub(crate) mod error;
