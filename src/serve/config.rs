//! The settings of a server, and why one cannot start.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use thiserror::Error;

use crate::store::{StoreError, readers::ReadLimits};

/// How to serve. The default is port 8080 of 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeConfig {
    /// The address to listen at. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Names under which it may be asked, beside `localhost` and addresses. Without any, a server at an address that others reach answers
    /// to every name. A server at a loopback address does not: a page of another site could have its own name lead to this machine (DNS
    /// rebinding), and read everything through the user's browser.
    pub allowed_hosts: Vec<String>,
    /// Threads that answer. 0 is one for each core.
    pub threads: usize,
    /// Connections of one thread. More wait until others end.
    pub connections: usize,
    /// How the database is read.
    pub reads: ReadLimits,
    /// Event streams at once.
    pub streams: usize,
    /// The longest address of a request, in bytes.
    pub longest_uri: usize,
    /// How long a connection may stay open without a request.
    pub keep_alive: Duration,
    /// How long the head of a request may take to arrive.
    pub head_timeout: Duration,
    /// How long a client may take nothing of an answer that is being sent.
    pub write_timeout: Duration,
    /// How long requests may go on after [`stop`](super::RunningServer::stop).
    pub drain: Duration,
    /// How often the server looks whether the database has changed.
    pub look_every: Duration,
    /// The bytes of records that are kept in memory.
    pub cache_bytes: usize,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            allowed_hosts: Vec::new(),
            threads: 0,
            connections: 1024,
            reads: ReadLimits::default(),
            streams: 256,
            longest_uri: 4096,
            keep_alive: Duration::from_secs(75),
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            look_every: Duration::from_millis(200),
            cache_bytes: 64 << 20,
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The address cannot be used.
    #[error("cannot serve at {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// There is no actix System and no tokio runtime.
    #[error("a server must be started inside an actix System or a tokio runtime")]
    NoRuntime,
}
