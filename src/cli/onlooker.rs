//! A run that writes nothing, among those that work on its database. It keeps to the cool-down that the API asked any of them for, and
//! takes a share of their rate. Where it may, it tells them of itself, so that they leave it this share. While there are no others,
//! it leaves the database untouched.

use std::{cell::RefCell, rc::Rc, time::Duration};

use actix_rt::{task::JoinHandle, time};
use log::{debug, warn};
use tokio::time::Instant;

use super::{
    database::{self, location::Location},
    exit::CommandError,
    health::Health,
    presence::{KeptPresence, LOOK_INTERVAL, Presence},
    runs_under_way::{RateShare, RunsUnderWay},
    session::Session,
};
use crate::{
    hn::{process::Process, runs},
    ingest::{Client, Progress, RunWatch},
    store::{Pool, any::AnyPool, locks::while_locked_and, read_only::ReadConnection},
};

/// A database that could not be written is tried again after this time.
const JOIN_AGAIN: Duration = Duration::from_secs(10);

/// A run that writes nothing, and what it knows of the others.
pub(super) struct Onlooker {
    pool: Pool<ReadConnection>,
    location: Location,
    client: Client,
    health: Health,
    process: Process,
    command: &'static str,
    rate: u32,
    /// The client's share of the rate now.
    share: RateShare,
    /// When it may try to join the others.
    join_after: Instant,
    membership: Option<Membership>,
}

/// The row of a run that has joined the others.
#[derive(Clone)]
struct Membership {
    pool: AnyPool,
    row: i64,
}

/// Looks on until it is dropped.
pub(super) struct KeptOnlooker {
    task: JoinHandle<()>,
    state: Rc<RefCell<State>>,
}

/// What the task has joined so far.
#[derive(Default)]
struct State {
    membership: Option<Membership>,
    _presence: Option<KeptPresence>,
}

impl Drop for KeptOnlooker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Onlooker {
    pub(super) fn new(session: &Session<'_, ReadConnection>, command: &'static str) -> Self {
        Self {
            pool: session.pool.clone(),
            location: session.options.database(),
            client: session.client.clone(),
            health: session.health.clone(),
            process: session.process.clone(),
            command,
            rate: session.config.rate,
            share: RateShare::all(session.config.rate),
            join_after: Instant::now(),
            membership: None,
        }
    }

    /// Looks at what the others say, and keeps to it. Joins them if there are any.
    pub(super) async fn look(&mut self) {
        let looking = database::with_connection(&self.pool, |conn| {
            RunsUnderWay::read(conn).map_err(CommandError::new)
        });
        let others = match looking.await {
            Ok(others) => others,
            Err(error) => {
                debug!("the other processes of this database are out of sight: {error}");
                return;
            }
        };
        let share = others.share(Some(self.rate));
        if self.share != share {
            self.client.throttle().set_rate_share(share.rate, share.of);
            self.share = share;
        }
        if others.live.is_empty() {
            return;
        }
        if !others.cool_down.is_zero() {
            self.client.throttle().cool_down_for(others.cool_down);
        }
        if Instant::now() >= self.join_after {
            self.join().await;
        }
    }

    async fn join(&mut self) {
        let (location, process) = (self.location.clone(), self.process.clone());
        let (command, rate) = (self.command, self.rate);
        let joining = database::blocking(move || {
            let pool = database::join(&location)?;
            let mut conn = database::connection(&pool)?;
            let row = runs::begin(&mut *conn, command, &process, rate, None);
            let row = row.map_err(CommandError::new)?;
            drop(conn);
            Ok(Membership { pool, row })
        });
        match joining.await {
            Ok(membership) => self.membership = Some(membership),
            Err(error) => {
                debug!("this run cannot tell the others of itself: {error}");
                self.join_after = Instant::now() + JOIN_AGAIN;
            }
        }
    }

    /// Goes on until the result is dropped.
    pub(super) fn keep(mut self, watch: RunWatch) -> KeptOnlooker {
        let state = Rc::<RefCell<State>>::default();
        let shared = state.clone();
        let task = actix_rt::spawn(async move {
            let mut looks = time::interval(LOOK_INTERVAL);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let membership = loop {
                if let Some(membership) = self.membership.take() {
                    break membership;
                }
                looks.tick().await;
                self.look().await;
            };
            let Membership { pool, row } = membership.clone();
            let presence = Presence::without_leases(
                pool,
                self.client,
                self.health,
                self.command,
                row,
                self.share,
            );
            *shared.borrow_mut() = State {
                membership: Some(membership),
                _presence: Some(presence.keep(move || watch.progress())),
            };
        });
        KeptOnlooker { task, state }
    }
}

impl KeptOnlooker {
    /// Tells the others that the run has ended, if it has joined them.
    pub(super) async fn end(self, totals: Progress) {
        let State { membership, .. } = self.state.take();
        let Some(Membership { pool, row }) = membership else {
            return;
        };
        let ending = database::with_connection(&pool, move |conn| {
            while_locked_and(database::may_wait, || {
                runs::finish(conn, row, &totals, None)
            })
            .map_err(CommandError::new)
        });
        if let Err(error) = ending.await {
            warn!("the end of this run is not in the table runs: {error}");
        }
    }
}
