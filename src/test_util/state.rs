//! What a server knows: its scripts, and what it has counted.

use super::connection::Connection;
use super::lock;
use super::reply::Reply;
use super::request::Request;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};

/// What a server has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests in total.
    pub requests: usize,
    /// Connections in total.
    pub connections: usize,
    /// Connections that neither side has closed.
    pub open_connections: usize,
    /// Requests that have been read and whose reply is not complete. A held reply counts; one whose client has gone
    /// does not.
    pub in_flight: usize,
    /// The most requests that were ever in flight at once. Never more than the client really had.
    pub peak_in_flight: usize,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Told of every change of the counters.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) scripts: HashMap<String, Script>,
    pub(super) otherwise: Option<Otherwise>,
    pub(super) requests: Vec<Request>,
    connections: usize,
    open_connections: usize,
    /// By number: a connection has one request in flight at most.
    in_flight: HashMap<usize, Arc<Connection>>,
    peak_in_flight: usize,
}

pub(super) type Otherwise = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

pub(super) struct Script {
    pub(super) replies: Vec<Reply>,
    pub(super) played: usize,
}

/// Counts a connection as open for as long as it lives, even if a callback of the test panics.
pub(super) struct Counted<'a> {
    shared: &'a Shared,
    number: usize,
}

impl<'a> Counted<'a> {
    pub(super) fn new(shared: &'a Shared, number: usize) -> Self {
        shared.change(|state| {
            state.connections += 1;
            state.open_connections += 1;
        });
        Self { shared, number }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.open_connections -= 1;
            state.in_flight.remove(&self.number);
        });
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    pub(super) fn choose_reply(&self, path: &str) -> Reply {
        let mut state = lock(&self.state);
        if let Some(scripted) = state.next_reply(path) {
            return scripted;
        }
        let otherwise = state.otherwise.clone();
        // The callback is the test's, and may ask the server something.
        drop(state);
        otherwise.map_or(Reply::status(404), |reply| reply(path))
    }

    pub(super) fn begin(&self, connection: &Arc<Connection>, request: &Request) {
        self.change(|state| {
            state.requests.push(request.clone());
            state.count(connection);
        });
    }

    pub(super) fn answered(&self, connection: usize) {
        self.change(|state| drop(state.in_flight.remove(&connection)));
    }
}

impl State {
    fn count(&mut self, connection: &Arc<Connection>) {
        self.in_flight
            .insert(connection.number, Arc::clone(connection));
        if self.in_flight.len() > self.peak_in_flight {
            // A client that gave up on one connection and went on with the next may be here before the thread that
            // serves the first has noticed. Before a record is taken for one, look who is still there.
            self.in_flight
                .retain(|_, connection| !connection.client_has_left());
            self.peak_in_flight = self.peak_in_flight.max(self.in_flight.len());
        }
    }

    fn next_reply(&mut self, path: &str) -> Option<Reply> {
        let script = self.scripts.get_mut(path)?;
        let reply = script
            .replies
            .get(script.played)
            .or(script.replies.last())
            .cloned();
        script.played += 1;
        reply
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.len(),
            connections: self.connections,
            open_connections: self.open_connections,
            in_flight: self.in_flight.len(),
            peak_in_flight: self.peak_in_flight,
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared")
            .field(&lock(&self.state).stats())
            .finish()
    }
}
