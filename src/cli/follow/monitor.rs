//! What the listeners are doing: for the terminal, for metrics and for health.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

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
    /// By the name of the document.
    listening: Rc<RefCell<BTreeMap<&'static str, Listening>>>,
}

impl Monitor {
    pub(super) fn new(health: Health) -> Self {
        Self {
            health,
            listening: Rc::default(),
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
        let mut documents = self.listening.borrow_mut();
        documents.insert(feed.document(), listening)
    }

    pub(super) fn note_heard(&self) {
        self.health.note_heard();
    }

    /// Publishes how long nothing was heard. To be called every second.
    pub(super) fn publish(&self) {
        follow_metrics::set_last_event(self.health.silence());
    }

    /// How the API is listened to, in a few words.
    pub(super) fn summary(&self) -> String {
        let documents = self.listening.borrow();
        let count = |listening| {
            let all = documents.values();
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
