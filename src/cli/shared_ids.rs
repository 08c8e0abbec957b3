//! The ids of a range that are not settled, as a stream that claims them lease by lease. So several processes share them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::{
    task::{JoinHandle, spawn},
    time::sleep,
};

use super::{
    database::{may_wait, query_or, server, unless_silent, while_connecting},
    exit::CommandError,
    held_leases::{HeldLeases, Hold},
    id_stream_error::IdStreamError,
    session::Session,
    signals,
};
use crate::{
    hn::{
        coverage::Range,
        leases::{Claim, IdsInOrder, Search, claim},
        plan::{Refetch, RemainingIds},
        process::Process,
    },
    store::{BUSY_WAIT_MAX, any::AnyPool, locks::while_locked_up_to},
};

/// A lease has at most this many ids to fetch.
const LEASE_MOST: usize = 5000;
/// Near the end, a lease has at least this many ids to fetch.
const LEASE_LEAST: usize = 100;
/// A lease is this part of what is left. So the last leases are small, and all processes end at about the same time.
const LEASE_PART: usize = 8;

/// How long to wait for ids that others hold before looking again.
const OTHERS_WAIT: Duration = Duration::from_secs(1);
/// How long to wait for the renewal of a lease before looking again.
const RENEWAL_WAIT: Duration = Duration::from_millis(100);

/// Counts the ids of a range that are still to be fetched. `again` names settled ids that are to be fetched, too.
pub(super) async fn count_left(
    session: &Session<'_>,
    range: Range,
    again: Refetch,
) -> Result<usize, CommandError> {
    let failed = "the database does not tell which ids are left";
    let ids = query_or(failed, &session.pool, move |conn| {
        RemainingIds::plan(conn, range, again)
    });
    Ok(ids.await?.len())
}

/// Claims ids for a run.
pub(super) struct Claimer {
    pool: AnyPool,
    process: Process,
    command: &'static str,
    /// The run's row in the table `runs`.
    row: i64,
    search: Search,
    /// How long a database is waited for that another program has locked.
    busy_wait_max: Duration,
    pub(super) leases: HeldLeases,
}

impl Claimer {
    pub(super) fn new(
        session: &Session<'_>,
        command: &'static str,
        row: i64,
        search: Search,
    ) -> Self {
        Self {
            pool: session.pool.clone(),
            process: session.process.clone(),
            command,
            row,
            busy_wait_max: BUSY_WAIT_MAX,
            leases: HeldLeases::new(search.clone()),
            search,
        }
    }

    /// Waits longer for a database that another program has locked.
    pub(super) fn busy_wait_max(mut self, time: Duration) -> Self {
        self.busy_wait_max = time;
        self
    }

    /// Claims up to `count` ids on another thread, and comes back with them.
    fn start(mut self, count: usize) -> JoinHandle<Result<Claimed, CommandError>> {
        let claim = move || {
            let claim = self.claim(count as u64)?;
            Ok(Claimed {
                claimer: self,
                claim,
            })
        };
        spawn(unless_silent(server(), may_wait, claim))
    }

    fn claim(&mut self, count: u64) -> Result<Claim, CommandError> {
        let (row, command) = (self.row, self.command);
        let (search, process) = (&mut self.search, &self.process);
        let known = self.leases.ranges();
        let busy_wait_max = self.busy_wait_max;
        // After a signal, the wait is short.
        let waits_on = |waited| signals::noted().is_none() || may_wait(waited);
        let claim = while_connecting(&self.pool, |conn| {
            while_locked_up_to(busy_wait_max, waits_on, || {
                claim(conn, search, row, command, process, &known, count)
            })
            .map_err(CommandError::new)
        })?;
        if let Claim::Ids { lease, .. } = claim {
            self.leases.add(lease);
        }
        Ok(claim)
    }
}

/// The end of a claim.
struct Claimed {
    claimer: Claimer,
    claim: Claim,
}

/// The ids that a run claims.
struct SharedIds {
    ids: Pin<Box<dyn Stream<Item = i64> + Send>>,
    /// How many may still come.
    left: Arc<AtomicUsize>,
}

impl Stream for SharedIds {
    type Item = i64;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<i64>> {
        self.ids.as_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left.load(Relaxed);
        (left, Some(left))
    }
}

/// The ids that `claimer` claims, of which at most `left` are left, for this run or for others. A claim that fails sets the error and
/// ends the stream.
pub(super) fn shared_ids(
    claimer: Claimer,
    left: usize,
    error: IdStreamError,
) -> impl Stream<Item = i64> + Send {
    let left = Arc::new(AtomicUsize::new(left));
    let state = HandingOut {
        leases: claimer.leases.clone(),
        left: left.clone(),
        current: None,
        next: Next::Idle(claimer),
        error,
    };
    SharedIds {
        ids: Box::pin(stream::unfold(state, HandingOut::next)),
        left,
    }
}

/// Hands out the ids of one lease after the other.
struct HandingOut {
    leases: HeldLeases,
    left: Arc<AtomicUsize>,
    /// The lease whose ids are being handed out.
    current: Option<Current>,
    next: Next,
    error: IdStreamError,
}

struct Current {
    lease: Range,
    ids: IdsInOrder,
}

/// The next lease.
enum Next {
    /// Nothing is being claimed.
    Idle(Claimer),
    /// It is being claimed while ids of the current one are handed out, so that no fetcher waits for it.
    Started(JoinHandle<Result<Claimed, CommandError>>),
    /// A claim failed.
    Over,
}

impl HandingOut {
    async fn next(mut self) -> Option<(i64, Self)> {
        loop {
            if let Some(current) = &mut self.current {
                match self.leases.hold_of(current.lease) {
                    Hold::Firm => match current.ids.next() {
                        Some(id) => {
                            self.count_down(1);
                            return Some((id, self));
                        }
                        None => {
                            self.leases.note_handed_out(current.lease);
                            self.current = None;
                        }
                    },
                    Hold::Doubtful => sleep(RENEWAL_WAIT).await,
                    Hold::Lost => self.current = None,
                }
                continue;
            }
            let claim = self.claim().await;
            let is_held = matches!(claim, Ok(Claim::HeldByOthers));
            self.leases.set_waits_for_others(is_held);
            match claim {
                Ok(Claim::Ids { lease, ids }) => {
                    self.current = Some(Current { lease, ids });
                    self.claim_ahead();
                }
                Ok(Claim::HeldByOthers) => sleep(OTHERS_WAIT).await,
                Ok(Claim::Nothing) => break,
                Err(CommandError(message)) => {
                    self.error.set(message);
                    break;
                }
            }
        }
        self.left.store(0, Relaxed);
        None
    }

    fn count_down(&self, ids: usize) {
        let left = self.left.load(Relaxed);
        self.left.store(left.saturating_sub(ids), Relaxed);
    }

    fn lease_size(&self) -> usize {
        (self.left.load(Relaxed) / LEASE_PART).clamp(LEASE_LEAST, LEASE_MOST)
    }

    fn claim_ahead(&mut self) {
        let size = self.lease_size();
        self.next = match std::mem::replace(&mut self.next, Next::Over) {
            Next::Idle(claimer) => Next::Started(claimer.start(size)),
            other => other,
        };
    }

    async fn claim(&mut self) -> Result<Claim, CommandError> {
        if let Next::Started(_) = self.next {
            let claim = self.end_claim().await?;
            if matches!(claim, Claim::Ids { .. }) {
                return Ok(claim);
            }
            // That claim was made some time ago. There may be ids to claim by now.
        }
        self.claim_ahead();
        self.end_claim().await
    }

    async fn end_claim(&mut self) -> Result<Claim, CommandError> {
        let Next::Started(claiming) = std::mem::replace(&mut self.next, Next::Over) else {
            return Ok(Claim::Nothing);
        };
        let Claimed { claimer, claim } = claiming.await.map_err(CommandError::new)??;
        self.next = Next::Idle(claimer);
        Ok(claim)
    }
}
