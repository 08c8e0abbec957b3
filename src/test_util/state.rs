//! What a scripted server keeps: its scripts and its counters.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Condvar, Mutex},
};

use super::{connection::AcceptedConnection, lock, reply::Reply, request::Request};

/// The counters of a [`ScriptedServer`](super::ScriptedServer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests in total.
    pub requests: usize,
    /// Connections in total.
    pub connections: usize,
    /// Connections that neither side has closed.
    pub open_connections: usize,
    /// Requests that the server has read and not answered in full. A held reply counts. A request whose client has left
    /// does not.
    pub in_flight: usize,
    /// The most requests that were in flight at once. Never more than the client really had in flight.
    pub peak_in_flight: usize,
}

/// The state, and a signal for each change of it.
#[derive(Default)]
pub(super) struct SharedState {
    pub(super) state: Mutex<State>,
    /// Notified of every change of the counters.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// The script of each path.
    pub(super) scripts: HashMap<String, Script>,
    /// Answers the paths that have no script.
    pub(super) otherwise: Option<Otherwise>,
    pub(super) requests: Vec<Request>,
    connections: usize,
    open_connections: usize,
    /// By the connection's number, because a connection has at most one request in flight.
    in_flight: HashMap<usize, Arc<AcceptedConnection>>,
    peak_in_flight: usize,
}

pub(super) type Otherwise = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

pub(super) struct Script {
    pub(super) replies: Vec<Reply>,
    /// How many requests it has answered.
    pub(super) answered: usize,
}

/// Counts a connection as open for as long as the guard lives, even if a callback of the test panics.
pub(super) struct OpenConnectionGuard<'a> {
    shared: &'a SharedState,
    connection: usize,
}

impl<'a> OpenConnectionGuard<'a> {
    pub(super) fn new(shared: &'a SharedState, connection: usize) -> Self {
        shared.update(|state| {
            state.connections += 1;
            state.open_connections += 1;
        });
        Self { shared, connection }
    }
}

impl Drop for OpenConnectionGuard<'_> {
    fn drop(&mut self) {
        self.shared.update(|state| {
            state.open_connections -= 1;
            state.in_flight.remove(&self.connection);
        });
    }
}

impl SharedState {
    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    pub(super) fn choose_reply(&self, path: &str) -> Reply {
        let mut state = lock(&self.state);
        if let Some(scripted) = state.next_scripted_reply(path) {
            return scripted;
        }
        let otherwise = state.otherwise.clone();
        // The test's callback may call the server, so the lock must be free.
        drop(state);
        otherwise.map_or(Reply::status(404), |reply| reply(path))
    }

    pub(super) fn record_request(&self, connection: &Arc<AcceptedConnection>, request: &Request) {
        self.update(|state| {
            state.requests.push(request.clone());
            state.count_in_flight(connection);
        });
    }

    pub(super) fn record_answer(&self, connection: usize) {
        self.update(|state| drop(state.in_flight.remove(&connection)));
    }
}

impl State {
    fn count_in_flight(&mut self, connection: &Arc<AcceptedConnection>) {
        self.in_flight
            .insert(connection.number, Arc::clone(connection));
        if self.in_flight.len() > self.peak_in_flight {
            // A client may give up one connection and use the next before the first one's thread notices. So a new peak
            // counts only the clients that are still there.
            self.in_flight
                .retain(|_, connection| !connection.client_has_left());
            self.peak_in_flight = self.peak_in_flight.max(self.in_flight.len());
        }
    }

    fn next_scripted_reply(&mut self, path: &str) -> Option<Reply> {
        let script = self.scripts.get_mut(path)?;
        let reply = script
            .replies
            .get(script.answered)
            .or(script.replies.last())
            .cloned();
        script.answered += 1;
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

impl fmt::Debug for SharedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedState")
            .field(&lock(&self.state).stats())
            .finish()
    }
}
