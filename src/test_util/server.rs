//! The server: what a test tells and asks it, and how it serves a connection.

use super::connection::Connection;
use super::door::Door;
use super::lock;
use super::reply::{End, Reply};
use super::request::Request;
use super::state::{Counted, Script, Shared, State, Stats};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longer than anything a test waits for on a busy machine, shorter than a CI's patience.
const PATIENCE: Duration = Duration::from_secs(10);

/// An HTTP/1.1 server on loopback that plays scripts: see the [module's](super) example.
///
/// It keeps connections alive, and takes a client that closes its sending side for one that has gone. Dropping it closes
/// every connection and ends its threads, whatever they were waiting for.
#[derive(Debug)]
pub struct ScriptedServer {
    door: Door,
    shared: Arc<Shared>,
}

impl ScriptedServer {
    /// Starts a server on a free port of 127.0.0.1. It answers 404 until told otherwise.
    ///
    /// # Panics
    /// If there is no port or thread to be had.
    #[must_use]
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        Self {
            door: Door::open(move |connection| serve(&serving, &connection)),
            shared,
        }
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end. Stays the same for the server's life.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The address behind [`ScriptedServer::url`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Answers requests for this path (with its query, if it has one) with these replies in order; the last one repeats.
    /// Replaces an earlier script of the path.
    ///
    /// # Panics
    /// If there is no reply.
    pub fn on(&self, path: impl Into<String>, replies: impl IntoIterator<Item = Reply>) {
        let replies: Vec<_> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "a script needs a reply");
        lock(&self.shared.state)
            .scripts
            .insert(path.into(), Script { replies, played: 0 });
    }

    /// Answers requests for paths without a script. To make them wait use [`Reply::held_by`]; a `reply` that blocks
    /// itself holds up the server's end, too.
    pub fn otherwise(&self, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        lock(&self.shared.state).otherwise = Some(Arc::new(reply));
    }

    /// Every request so far, in the order in which they were read. They are kept for the server's life.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.state).requests.clone()
    }

    /// How many requests there were for this path.
    #[must_use]
    pub fn hits(&self, path: &str) -> usize {
        lock(&self.shared.state)
            .requests
            .iter()
            .filter(|request| request.path == path)
            .count()
    }

    /// The counters, all of one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        lock(&self.shared.state).stats()
    }

    /// Blocks until at least `count` requests are in flight.
    ///
    /// # Panics
    /// As [`ScriptedServer::wait_for`].
    #[track_caller]
    pub fn wait_in_flight(&self, count: usize) {
        self.wait_for(|stats| stats.in_flight >= count);
    }

    /// Blocks the thread until the condition holds; it is looked at after every change of the counters. In async code
    /// this belongs on a blocking thread, or the client under test may not get to run.
    ///
    /// # Panics
    /// After ten seconds, with the counters as they were then.
    #[track_caller]
    pub fn wait_for(&self, condition: impl Fn(&Stats) -> bool) {
        self.wait_at_most(PATIENCE, condition);
    }

    #[track_caller]
    pub(super) fn wait_at_most(&self, patience: Duration, condition: impl Fn(&Stats) -> bool) {
        let unmet = |state: &mut State| !condition(&state.stats());
        let state = lock(&self.shared.state);
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, patience, unmet);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let seen = state.stats();
        drop(state);
        assert!(!waited.timed_out(), "not so within {patience:?}: {seen:?}");
    }

    /// Closes every connection and refuses new ones, until [`ScriptedServer::come_back`]. Scripts and counters stay.
    pub fn go_down(&self) {
        self.door.shut();
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// If someone else has taken the port meanwhile.
    pub fn come_back(&self) {
        self.door.reopen();
    }
}

/// Answers one connection's requests until it ends.
fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let _counted = Counted::new(shared, connection.number);
    let mut answering: Option<JoinHandle<()>> = None;
    // While a slow reply is played elsewhere, this is where the client's leaving is noticed.
    while let Ok(request) = Request::read(connection) {
        if let Some(previous) = answering.take() {
            let _ = previous.join();
        }
        let reply = shared.choose_reply(&request.path);
        if reply.end != End::Reset && request.take_rest(connection).is_err() {
            break;
        }
        shared.begin(connection, &request);
        let number = connection.number;
        if reply.takes_time() {
            let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
            answering = Some(thread::spawn(move || {
                if reply
                    .play(&connection, &request, || shared.answered(number))
                    .is_err()
                {
                    connection.close();
                }
            }));
        } else if reply
            .play(connection, &request, || shared.answered(number))
            .is_err()
        {
            if reply.end == End::Reset {
                // A close would say goodbye first; the RST comes when the last owner drops the socket.
                return;
            }
            break;
        }
    }
    connection.close();
    if let Some(last) = answering {
        let _ = last.join();
    }
}
