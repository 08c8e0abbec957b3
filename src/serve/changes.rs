//! Telling that the database has changed: to caches, to event streams, and to whoever else wants to know.

use std::{sync::Arc, time::Duration};

use log::{debug, warn};
use tokio::{
    sync::{broadcast, watch},
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use super::watched_database::{Lost, WatchedDatabase};
use crate::store::readers::Readers;

/// How many commits wait for a slow receiver. Beyond that, it misses the oldest ones.
const COMMITS_KEPT: usize = 1024;

/// After an error the database is left alone for this long.
const PAUSE: Duration = Duration::from_secs(2);

/// What `/health` says until the file can be opened again.
const OTHER_FILE: &str = "the database file was removed or replaced";

/// What a commit stored. A pipeline in the same process tells it with [`Changes::publish`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Ids of items.
    pub items: Vec<i64>,
    /// Names of users.
    pub users: Vec<String>,
}

/// Where changes of the database are told. Clones are the same.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    commits: broadcast::Sender<Arc<Committed>>,
}

/// What is known of the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Another number after each change.
    pub(super) version: u64,
    /// The server ends, and nothing more is told.
    pub(super) is_closing: bool,
    /// What is wrong with the database as a whole.
    pub(super) trouble: Option<&'static str>,
}

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: watch::Sender::default(),
            commits: broadcast::Sender::new(COMMITS_KEPT),
        }))
    }
}

impl Changes {
    /// Tells what was committed, so that it is seen at once. Changes that are not told are seen a little later.
    pub fn publish(&self, committed: Committed) {
        self.note_change();
        // Nobody may be interested.
        let _ = self.0.commits.send(Arc::new(committed));
    }

    /// What is told from now on with [`publish`](Self::publish).
    #[must_use]
    pub fn commits(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.0.commits.subscribe()
    }

    pub(super) fn note_change(&self) {
        self.0.state.send_modify(|state| state.version += 1);
    }

    /// Ends whatever follows the changes.
    pub(super) fn close(&self) {
        self.0.state.send_modify(|state| state.is_closing = true);
    }

    /// Waits until the server ends.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let mut state = self.subscribe();
        async move {
            let _ = state.wait_for(|state| state.is_closing).await;
        }
    }

    pub(super) fn state(&self) -> State {
        *self.0.state.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// Looks now and then whether the database has changed, until the task is aborted.
    pub(super) fn watch(&self, readers: Readers, look_every: Duration) -> JoinHandle<()> {
        let changes = self.clone();
        tokio::spawn(async move {
            loop {
                match changes.watch_one_connection(&readers, look_every).await {
                    Lost::OtherFile(why) => {
                        warn!("{why}; it is opened again");
                        changes.note_trouble(Some(OTHER_FILE));
                    }
                    Lost::Written => {}
                    Lost::Failed(why) => {
                        debug!("changes of the database are not seen for a while: {why}");
                        sleep(PAUSE).await;
                        continue;
                    }
                }
                readers.forget_connections();
                changes.note_change();
            }
        })
    }

    fn note_trouble(&self, trouble: Option<&'static str>) {
        self.0.state.send_if_modified(|state| {
            let is_new = state.trouble != trouble;
            state.trouble = trouble;
            is_new
        });
    }

    /// The version means something on one connection only.
    async fn watch_one_connection(&self, readers: &Readers, look_every: Duration) -> Lost {
        let readers = readers.clone();
        let mut seen = None;
        let mut database = match spawn_blocking(move || WatchedDatabase::open(&readers)).await {
            Ok(Ok(database)) => database,
            Ok(Err(error)) => return Lost::Failed(error),
            Err(panic) => return Lost::Failed(panic.to_string()),
        };
        loop {
            let look = spawn_blocking(move || (database.version(), database));
            let version = match look.await {
                Ok((Ok(version), again)) => {
                    database = again;
                    version
                }
                Ok((Err(lost), _)) => return lost,
                Err(panic) => return Lost::Failed(panic.to_string()),
            };
            self.note_trouble(None);
            // The first version counts as a change: records may have been read, and then changed, before it was looked at.
            let before = seen.replace(version);
            if before != seen {
                self.note_change();
            }
            sleep(look_every).await;
        }
    }
}
