//! `items --tree`: items and everything below them, level by level, each id once.
//!
//! The sink sees every item before it is committed, and notes the ids below it. The stream of the run's ids hands out a level
//! when every id of the level above is settled. The ids are in a temporary database of SQLite, so memory does not grow with the
//! tree.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    vec,
};

use actix_rt::task::spawn_blocking;
use diesel::{
    Connection, ConnectionResult, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Text},
};
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

use super::{id_stream_error::IdStreamError, named_ids::Ids};
use crate::{
    hn::{HnSink, Item},
    ingest::{Outcome, Settled, Sink},
    store::any::AnyConnection,
};

/// How many ids of a level are read at a time. A level that is being read gets no more ids: those come from the level above.
const PAGE: i64 = 1000;

/// An id that comes again, from another parent or as its own answer, stays where it was first.
const TABLE: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    CREATE TABLE tree (
        level      BIGINT NOT NULL,
        id         BIGINT NOT NULL UNIQUE,
        is_settled INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (level, id)
    ) WITHOUT ROWID";

/// The ids of a tree that are known so far.
#[derive(Clone)]
pub(super) struct Tree(Arc<Shared>);

struct Shared {
    conn: Mutex<SqliteConnection>,
    /// Ids that were handed out.
    handed_out: AtomicU64,
    /// Ids whose outcome reached the sink.
    settled: AtomicU64,
    /// Notified when an outcome has reached the sink.
    progressed: Notify,
}

impl Tree {
    pub(super) fn new() -> ConnectionResult<Self> {
        // SQLite's name for a temporary database. It is in memory as long as it is small, and is deleted when it is closed.
        let mut conn = SqliteConnection::establish("")?;
        conn.batch_execute(TABLE)
            .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
        Ok(Self(Arc::new(Shared {
            conn: Mutex::new(conn),
            handed_out: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            progressed: Notify::new(),
        })))
    }

    /// The roots, and then everything below them. If the temporary database fails, the ids end, and `error` says why.
    pub(super) fn ids(&self, roots: Ids<i64>, error: IdStreamError) -> Ids<i64> {
        let walk = Walk {
            tree: self.clone(),
            roots: Some(roots),
            level: 0,
            page: Vec::new().into_iter(),
            last: i64::MIN,
        };
        let ids = stream::unfold(Some(walk), move |walk| {
            let error = error.clone();
            async move {
                let mut walk = walk?;
                match walk.next().await {
                    Ok(id) => id.map(|id| (id, Some(walk))),
                    Err(why) => {
                        error.set(format!(
                            "the tree cannot be followed to its end: {why}; what was read is settled"
                        ));
                        None
                    }
                }
            }
        });
        Box::pin(ids)
    }

    /// Works on the temporary database on a blocking thread.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, String> {
        let tree = self.clone();
        let working = spawn_blocking(move || work(&mut tree.lock()));
        let done = working.await.map_err(|panic| panic.to_string())?;
        done.map_err(|error| error.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, SqliteConnection> {
        self.0.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every id that was handed out is settled.
    async fn wait_until_settled(&self) {
        // Only one task waits, so a notification that comes too early is kept for it.
        while self.0.settled.load(SeqCst) < self.0.handed_out.load(SeqCst) {
            self.0.progressed.notified().await;
        }
    }

    /// Notes which ids are settled, and which are below them.
    fn note(&self, batch: &[Settled<i64, Item>]) -> QueryResult<()> {
        let settled = self.lock().transaction(|conn| {
            let mut settled = 0;
            for row in batch {
                if let Outcome::Stored(item) = &row.outcome {
                    let below = [&item.kids, &item.parts];
                    for ids in below.into_iter().flatten() {
                        add_below(conn, row.id, ids)?;
                    }
                }
                // A batch that could not be committed comes again, row by row.
                settled +=
                    sql_query("UPDATE tree SET is_settled = 1 WHERE id = ? AND NOT is_settled")
                        .bind::<BigInt, _>(row.id)
                        .execute(conn)?;
            }
            QueryResult::Ok(settled)
        })?;
        self.0.settled.fetch_add(settled as u64, SeqCst);
        self.0.progressed.notify_one();
        Ok(())
    }
}

/// Where the stream of ids is.
struct Walk {
    tree: Tree,
    /// `None` once all are handed out.
    roots: Option<Ids<i64>>,
    level: i64,
    /// Ids of the level that were read and not handed out.
    page: vec::IntoIter<i64>,
    /// The last id that was read of the level.
    last: i64,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<i64>, String> {
        while let Some(roots) = &mut self.roots {
            match roots.next().await {
                Some(root) => {
                    if self.tree.with(move |conn| add_root(conn, root)).await? {
                        return Ok(Some(self.hand_out(root)));
                    }
                }
                None => self.roots = None,
            }
        }
        if self.page.len() == 0 && self.level > 0 {
            self.read_page().await?;
        }
        if self.page.len() == 0 {
            self.tree.wait_until_settled().await;
            self.level += 1;
            self.last = i64::MIN;
            self.read_page().await?;
        }
        Ok(self.page.next().map(|id| self.hand_out(id)))
    }

    fn hand_out(&self, id: i64) -> i64 {
        self.tree.0.handed_out.fetch_add(1, SeqCst);
        id
    }

    async fn read_page(&mut self) -> Result<(), String> {
        let (level, last) = (self.level, self.last);
        let ids = self.tree.with(move |conn| page(conn, level, last)).await?;
        self.last = ids.last().copied().unwrap_or(last);
        self.page = ids.into_iter();
        Ok(())
    }
}

/// Adds a root. Returns whether it is new.
fn add_root(conn: &mut SqliteConnection, root: i64) -> QueryResult<bool> {
    let added = sql_query("INSERT OR IGNORE INTO tree (level, id) VALUES (0, ?)")
        .bind::<BigInt, _>(root)
        .execute(conn)?;
    Ok(added > 0)
}

/// Adds the ids below an item: `ids` is a JSON array of integers.
fn add_below(conn: &mut SqliteConnection, parent: i64, ids: &str) -> QueryResult<()> {
    sql_query(
        "INSERT OR IGNORE INTO tree (level, id)
         SELECT tree.level + 1, below.value FROM tree, json_each(?) AS below WHERE tree.id = ? AND below.value > 0",
    )
    .bind::<Text, _>(ids)
    .bind::<BigInt, _>(parent)
    .execute(conn)?;
    Ok(())
}

/// The next ids of a level, after `last`.
fn page(conn: &mut SqliteConnection, level: i64, last: i64) -> QueryResult<Vec<i64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let rows: Vec<Row> =
        sql_query("SELECT id FROM tree WHERE level = ? AND id > ? ORDER BY id LIMIT ?")
            .bind::<BigInt, _>(level)
            .bind::<BigInt, _>(last)
            .bind::<BigInt, _>(PAGE)
            .load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Writes items, and notes the ids below them.
pub(super) struct TreeSink {
    items: HnSink<AnyConnection>,
    tree: Tree,
}

impl TreeSink {
    pub(super) fn new(items: HnSink<AnyConnection>, tree: Tree) -> Self {
        Self { items, tree }
    }
}

impl Sink for TreeSink {
    type Id = i64;
    type Record = Item;
    type Connection = AnyConnection;

    fn write(&self, conn: &mut AnyConnection, batch: &[Settled<i64, Item>]) -> QueryResult<()> {
        // First, because the walk waits for every id, also for one whose row cannot be written.
        self.tree.note(batch)?;
        self.items.write(conn, batch)
    }
}
