//! What the listeners are doing: for the terminal, for metrics and for health.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use tokio::time::Instant;

use super::feed::Feed;
use crate::cli::{follow_metrics, health::Health};

/// How a document is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    Stream,
    Polling,
    /// Its stream is being opened again.
    Interrupted,
}

/// Shared by all listeners.
#[derive(Clone)]
pub(super) struct Monitor {
    health: Health,
    state: Rc<RefCell<State>>,
}

struct State {
    /// By the name of the document.
    listening: BTreeMap<&'static str, Listening>,
    last_heard: Instant,
}

impl Monitor {
    pub(super) fn new(health: Health) -> Self {
        let state = State {
            listening: BTreeMap::new(),
            last_heard: Instant::now(),
        };
        Self {
            health,
            state: Rc::new(RefCell::new(state)),
        }
    }

    pub(super) fn is_streaming(&self, feed: Feed) {
        if self.set(feed, Listening::Stream) == Some(Listening::Interrupted) {
            follow_metrics::note_reconnect(feed.document());
        }
        follow_metrics::set_listener_up(feed.document(), true);
    }

    /// Returns whether its stream was open.
    pub(super) fn is_interrupted(&self, feed: Feed) -> bool {
        follow_metrics::set_listener_up(feed.document(), false);
        self.set(feed, Listening::Interrupted) == Some(Listening::Stream)
    }

    pub(super) fn is_polling(&self, feed: Feed) {
        self.set(feed, Listening::Polling);
        follow_metrics::set_listener_up(feed.document(), false);
    }

    fn set(&self, feed: Feed, listening: Listening) -> Option<Listening> {
        let mut state = self.state.borrow_mut();
        state.listening.insert(feed.document(), listening)
    }

    pub(super) fn note_heard(&self) {
        self.health.note_heard();
        self.state.borrow_mut().last_heard = Instant::now();
    }

    /// Publishes how long nothing was heard. To be called every second.
    pub(super) fn publish(&self) {
        follow_metrics::set_last_event(self.state.borrow().last_heard.elapsed());
    }

    /// How the API is listened to, in a few words.
    pub(super) fn summary(&self) -> String {
        let state = self.state.borrow();
        let count = |listening| {
            let all = state.listening.values();
            all.filter(|one| **one == listening).count()
        };
        let (streams, polled) = (count(Listening::Stream), count(Listening::Polling));
        match (streams, polled, count(Listening::Interrupted)) {
            (0, 0, _) => "connecting".to_owned(),
            (0, _, 0) => "polling".to_owned(),
            (_, 0, 0) => format!("{streams} streams"),
            (_, _, interrupted) => {
                format!("{streams} streams, {polled} polled, {interrupted} interrupted")
            }
        }
    }
}
