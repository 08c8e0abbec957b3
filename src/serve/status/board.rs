//! The state of the ingestion as it was read last. It is read on one connection at a time. If reading takes long, it is read less often.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::QueryResult;
use log::warn;
use tokio::{
    sync::{Mutex, watch},
    task::spawn_blocking,
    time::timeout,
};

use super::coverage_map::CoverageMap;
use crate::{
    hn::{
        clock,
        coverage::{self, Range, Ranges},
        status::Status,
    },
    store::{
        any::AnyConnection,
        readers::{ReadError, Readers},
    },
};

/// It is read at most this often.
const READ_EVERY: Duration = Duration::from_secs(2);

/// Reading takes at most one part in this many of the time.
const SHARE: u32 = 10;

/// If reading a new state takes longer than this, the last one is the answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the first answer is waited for. Counting the items of a large mirror may take longer.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// What the dashboard shows.
pub(in crate::serve) struct Snapshot {
    pub(in crate::serve) status: Status,
    pub(in crate::serve) map: CoverageMap,
    /// In Unix seconds.
    pub(in crate::serve) read_at: i64,
    finished: Instant,
    took: Duration,
}

impl Snapshot {
    fn read(conn: &mut AnyConnection) -> QueryResult<Self> {
        let began = Instant::now();
        let status = Status::read(conn)?;
        let covered = coverage::all(conn)?;
        let covered = covered.into_iter().collect::<Ranges>().into_vec();
        let highest = status.coverage.highest_known.unwrap_or(0);
        let leases = status.processes.iter().flat_map(|process| &process.leases);
        let leases: Vec<Range> = leases.copied().collect();
        Ok(Self {
            map: CoverageMap::new(highest, &covered, &leases),
            status,
            read_at: clock::now(),
            finished: Instant::now(),
            took: began.elapsed(),
        })
    }

    fn is_fresh(&self) -> bool {
        self.finished.elapsed() < READ_EVERY.max(self.took * SHARE)
    }
}

/// Gives the latest snapshot to everyone.
pub(in crate::serve) struct StatusBoard {
    readers: Readers,
    latest: watch::Sender<Option<Arc<Snapshot>>>,
    /// Held while a snapshot is read, with the connection for it and the generation of that.
    reading: Arc<Mutex<Option<(u64, AnyConnection)>>>,
}

impl StatusBoard {
    pub(in crate::serve) fn new(readers: Readers) -> Self {
        Self {
            readers,
            latest: watch::Sender::new(None),
            reading: Arc::default(),
        }
    }

    /// The latest snapshot, read anew if it is old and that is quick.
    pub(in crate::serve) async fn get(&self) -> Result<Arc<Snapshot>, ReadError> {
        let latest = self.latest.borrow().clone();
        if let Some(snapshot) = latest.as_ref().filter(|snapshot| snapshot.is_fresh()) {
            return Ok(snapshot.clone());
        }
        let mut changes = self.latest.subscribe();
        self.read_anew();
        let patience = if latest.is_some() {
            PATIENCE
        } else {
            FIRST_PATIENCE
        };
        // Unless it was read between the two looks at it.
        let is_another = |now: &Option<Arc<Snapshot>>| match (now, &latest) {
            (Some(now), Some(latest)) => !Arc::ptr_eq(now, latest),
            (now, latest) => now.is_some() != latest.is_some(),
        };
        let waited = timeout(patience, changes.wait_for(is_another)).await;
        let newer = match waited {
            Ok(Ok(newer)) => newer.clone(),
            _ => None,
        };
        newer.or(latest).ok_or(ReadError::TooSlow)
    }

    /// Begins to read a snapshot, unless one is being read.
    fn read_anew(&self) {
        let Ok(mut conn) = self.reading.clone().try_lock_owned() else {
            return;
        };
        let (readers, latest) = (self.readers.clone(), self.latest.clone());
        tokio::spawn(async move {
            let read = spawn_blocking(move || {
                let generation = readers.generation();
                let mut own = match conn.take() {
                    Some((of, own)) if of == generation => own,
                    _ => readers
                        .patient_connection()
                        .map_err(|error| error.to_string())?,
                };
                let snapshot = Snapshot::read(&mut own).map_err(|error| error.to_string())?;
                // A connection that failed is not used again.
                *conn = Some((generation, own));
                latest.send_replace(Some(Arc::new(snapshot)));
                Ok::<_, String>(())
            });
            match read.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!("the status cannot be read: {error}"),
                Err(panic) => warn!("reading the status panicked: {panic}"),
            }
        });
    }
}
