//! The server: what a test tells it and asks it, and how it serves a connection.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    connection::AcceptedConnection,
    listener::Listener,
    lock,
    reply::{AfterReply, Reply},
    request::Request,
    state::{OpenConnectionGuard, Script, SharedState, State, Stats},
    write_reply::{takes_time, write_reply},
};

/// How long [`ScriptedServer::wait_for`] waits. Long enough for a busy machine, and shorter than the time limit of a CI
/// job.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// An HTTP/1.1 server on loopback that answers by scripts. The [module](super) has an example.
///
/// It keeps connections alive. A client that closes its sending side counts as gone. Dropping the server closes every
/// connection and ends its threads, whatever they wait for.
#[derive(Debug)]
pub struct ScriptedServer {
    listener: Listener,
    shared: Arc<SharedState>,
}

impl ScriptedServer {
    /// Starts a server on a free port of 127.0.0.1. It answers 404 until it has a script.
    ///
    /// # Panics
    /// If the machine has no free port or thread.
    #[must_use]
    pub fn start() -> Self {
        let shared = Arc::new(SharedState::default());
        let serving = Arc::clone(&shared);
        Self {
            listener: Listener::open(move |connection| serve(&serving, &connection)),
            shared,
        }
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end. It stays the same for the server's life.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The address in [`ScriptedServer::url`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    /// Answers the requests for this path (with its query, if it has one) with these replies in order. The last reply
    /// repeats. Replaces an earlier script of the path.
    ///
    /// # Panics
    /// If `replies` is empty.
    pub fn on(&self, path: impl Into<String>, replies: impl IntoIterator<Item = Reply>) {
        let replies: Vec<_> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "a script needs at least one reply");
        let script = Script {
            replies,
            answered: 0,
        };
        lock(&self.shared.state).scripts.insert(path.into(), script);
    }

    /// Answers the requests for paths that have no script.
    ///
    /// Use [`Reply::held_by`] to make them wait. If `reply` itself blocks, the server cannot be dropped until it returns.
    pub fn otherwise(&self, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        lock(&self.shared.state).otherwise = Some(Arc::new(reply));
    }

    /// Every request so far, in the order in which the server read them. It keeps them for its whole life.
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

    /// The counters, all read at the same moment.
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

    /// Blocks the thread until the condition holds. The condition is checked after every change of the counters.
    ///
    /// In async code, call this on a blocking thread. Otherwise the client under test may not run.
    ///
    /// # Panics
    /// After ten seconds. The message has the counters of that moment.
    #[track_caller]
    pub fn wait_for(&self, condition: impl Fn(&Stats) -> bool) {
        self.wait_at_most(WAIT_LIMIT, condition);
    }

    #[track_caller]
    pub(super) fn wait_at_most(&self, limit: Duration, condition: impl Fn(&Stats) -> bool) {
        let unmet = |state: &mut State| !condition(&state.stats());
        let state = lock(&self.shared.state);
        let waited = self.shared.changed.wait_timeout_while(state, limit, unmet);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let stats = state.stats();
        drop(state);
        assert!(
            !waited.timed_out(),
            "the server's counters did not meet the condition within {limit:?}: {stats:?}"
        );
    }

    /// Closes every connection and refuses new ones, until [`ScriptedServer::come_back`]. Scripts and counters stay.
    pub fn go_down(&self) {
        self.listener.close();
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// If another program has taken the port in the meantime.
    pub fn come_back(&self) {
        self.listener.reopen();
    }
}

/// Answers the requests of one connection until it ends.
fn serve(shared: &Arc<SharedState>, connection: &Arc<AcceptedConnection>) {
    let _open = OpenConnectionGuard::new(shared, connection.number);
    let mut writer: Option<JoinHandle<()>> = None;
    // While another thread writes a slow reply, this read notices that the client leaves.
    while let Ok(mut request) = Request::read(connection) {
        if let Some(previous) = writer.take() {
            let _ = previous.join();
        }
        let reply = shared.choose_reply(&request.path);
        // A reset needs the unread byte.
        if reply.after != AfterReply::Reset && request.read_rest(connection).is_err() {
            break;
        }
        shared.record_request(connection, &request);
        if takes_time(&reply) {
            let shared = Arc::clone(shared);
            let connection = Arc::clone(connection);
            writer = Some(thread::spawn(move || {
                let answered = || shared.record_answer(connection.number);
                if write_reply(&reply, &connection, &request, answered).is_err() {
                    connection.close();
                }
            }));
        } else {
            let answered = || shared.record_answer(connection.number);
            if write_reply(&reply, connection, &request, answered).is_err() {
                if reply.after == AfterReply::Reset {
                    // A close would send a FIN first. The RST is sent when the last owner drops the socket.
                    return;
                }
                break;
            }
        }
    }
    connection.close();
    if let Some(last) = writer {
        let _ = last.join();
    }
}
