//! Keeps the lists of the API in the database as they change, each at most once a minute.

use std::{collections::BTreeMap, time::Duration};

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

    /// Writes what has changed and was not written for a minute. To be called every second.
    pub(super) async fn advance(&mut self) -> Result<(), CommandError> {
        self.write(|next_write| next_write <= Instant::now()).await
    }

    /// Writes all that has changed.
    pub(super) async fn finish(&mut self) -> Result<(), CommandError> {
        self.write(|_| true).await
    }

    async fn write(&mut self, may_write: impl Fn(Instant) -> bool) -> Result<(), CommandError> {
        for kept in self.lists.values_mut() {
            if !may_write(kept.next_write) {
                continue;
            }
            let Some(ids) = kept.changed.clone() else {
                continue;
            };
            kept.next_write = Instant::now() + on_machine(INTERVAL);
            let list = kept.list;
            database::with_connection(&self.pool, move |conn| {
                while_locked(|| list.keep(conn, &ids)).map_err(|error| {
                    CommandError(format!(
                        "the list {} cannot be stored: {error}",
                        list.name()
                    ))
                })
            })
            .await?;
            kept.changed = None;
        }
        Ok(())
    }
}
