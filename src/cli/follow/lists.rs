//! Keeps the lists of the API in the database as they change, each at most once a minute.

use std::{collections::BTreeMap, time::Duration};

use actix_rt::task::JoinHandle;
use tokio::time::Instant;

use crate::{
    cli::{database, exit::CommandError},
    hn::{List, clock::on_machine},
    store::{any::AnyPool, locks::while_locked},
};

const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Lists {
    pool: AnyPool,
    /// By the list's name.
    lists: BTreeMap<&'static str, Kept>,
    /// The write that is under way.
    writing: Option<JoinHandle<Result<(), CommandError>>>,
}

struct Kept {
    list: List,
    /// What is not written yet.
    changed: Option<Vec<i64>>,
    /// When it may be written next.
    next_write: Instant,
}

impl Lists {
    pub(super) fn new(pool: AnyPool) -> Self {
        Self {
            pool,
            lists: BTreeMap::new(),
            writing: None,
        }
    }

    pub(super) fn change(&mut self, list: List, ids: Vec<i64>) {
        let kept = self.lists.entry(list.name()).or_insert_with(|| Kept {
            list,
            changed: None,
            next_write: Instant::now(),
        });
        kept.changed = Some(ids);
    }

    /// Writes what has changed and was not written for a minute. To be called every second. It does not wait for the database.
    pub(super) async fn advance(&mut self) -> Result<(), CommandError> {
        if self
            .writing
            .as_ref()
            .is_some_and(|writing| !writing.is_finished())
        {
            return Ok(());
        }
        let written = self.end_write().await;
        let now = Instant::now();
        self.begin_write(|next_write| next_write <= now);
        written
    }

    /// Writes all that has changed, and waits for it.
    pub(super) async fn finish(&mut self) -> Result<(), CommandError> {
        self.end_write().await?;
        self.begin_write(|_| true);
        self.end_write().await
    }

    async fn end_write(&mut self) -> Result<(), CommandError> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(CommandError::new)?,
            None => Ok(()),
        }
    }

    /// What cannot be written is written at the list's next change.
    fn begin_write(&mut self, may_write: impl Fn(Instant) -> bool) {
        let mut changed = Vec::new();
        for kept in self.lists.values_mut() {
            if may_write(kept.next_write)
                && let Some(ids) = kept.changed.take()
            {
                kept.next_write = Instant::now() + on_machine(INTERVAL);
                changed.push((kept.list, ids));
            }
        }
        if changed.is_empty() {
            return;
        }
        let pool = self.pool.clone();
        self.writing = Some(actix_rt::spawn(async move {
            database::with_connection(&pool, move |conn| {
                for (list, ids) in &changed {
                    while_locked(|| list.keep(conn, ids)).map_err(|error| {
                        CommandError(format!(
                            "the list {} cannot be stored: {error}",
                            list.name()
                        ))
                    })?;
                }
                Ok(())
            })
            .await
        }));
    }
}
