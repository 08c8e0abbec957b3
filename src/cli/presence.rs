//! The presence of a run among all that work on its database. The run tells the others that it is under way, takes its share of the
//! rate, keeps to the cool-down that the API asked any of them for, and renews its leases.

use std::{cell::Cell, rc::Rc, time::Duration};

use actix_rt::{task::JoinHandle, time};
use log::{debug, warn};
use tokio::time::Instant;

use super::{
    database,
    exit::CommandError,
    health::Health,
    held_leases::HeldLeases,
    runs_under_way::{RateShare, RunsUnderWay},
    session::Session,
};
use crate::{
    hn::{cool_down, leases, live_runs::SHARE_SECONDS, runs},
    ingest::{Client, Progress},
    store::{StoreConnection, any::AnyPool},
};

/// How often a run looks at what the others say. A cool-down reaches all of them within twice this time.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(400);

/// How often a run says that it is under way.
const BEAT_INTERVAL: Duration = Duration::from_secs(2);

/// A database that nothing could be written to for this long is out of order, for whoever watches this process.
const UNWRITABLE_AFTER: Duration = Duration::from_secs(10);

/// A run that has not seen the others for this long pauses. That is shortly before they take over its share of the rate.
const ALONE_AFTER: Duration = Duration::from_secs(SHARE_SECONDS as u64 - 2);
/// Such a pause lasts for at least this long.
const PAUSE: Duration = Duration::from_secs(2);

/// A look or a sign of life that takes longer is given up, and the next one gets another connection.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A cool-down that ends this little later than the one that all know is the same one.
const SAME_COOL_DOWN: Duration = Duration::from_millis(100);

/// What a run exchanges with the others.
pub(super) struct Presence {
    pool: AnyPool,
    client: Client,
    health: Health,
    command: &'static str,
    /// The run's row in the table `runs`.
    row: i64,
    leases: Option<HeldLeases>,
    /// Up to which id all are settled, if the run follows the API.
    settled_up_to: Option<Rc<Cell<i64>>>,
    sight: Rc<Sight>,
    /// The client's share of the rate now.
    share: RateShare,
    has_warned: bool,
    /// When it last wrote to the database.
    last_written: Instant,
}

/// What a run knows of the others.
struct Sight {
    /// When it last saw what they say.
    last_look: Cell<Instant>,
    /// The end of the cool-down that all runs know of.
    known_end: Cell<Option<Instant>>,
}

/// Keeps a run present until it is dropped.
pub(super) struct KeptPresence([JoinHandle<()>; 2]);

impl Drop for KeptPresence {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// What a run says when it is under way.
struct Beat {
    totals: Progress,
    ids_per_second: u64,
}

impl Presence {
    pub(super) fn new(
        session: &Session<'_>,
        command: &'static str,
        row: i64,
        leases: Option<HeldLeases>,
    ) -> Self {
        let (pool, client) = (session.pool.clone(), session.client.clone());
        let share = RateShare::all(session.config.rate);
        Self {
            leases,
            ..Self::without_leases(pool, client, session.health.clone(), command, row, share)
        }
    }

    /// The presence of a run that holds no leases. `share` is its client's share of the rate now.
    pub(super) fn without_leases(
        pool: AnyPool,
        client: Client,
        health: Health,
        command: &'static str,
        row: i64,
        share: RateShare,
    ) -> Self {
        Self {
            pool,
            client,
            health,
            command,
            row,
            leases: None,
            settled_up_to: None,
            sight: Rc::new(Sight {
                last_look: Cell::new(Instant::now()),
                known_end: Cell::new(None),
            }),
            share,
            has_warned: false,
            last_written: Instant::now(),
        }
    }

    /// Also records up to which id all are settled.
    pub(super) fn with_settled_up_to(self, id: Rc<Cell<i64>>) -> Self {
        Self {
            settled_up_to: Some(id),
            ..self
        }
    }

    /// Looks at what the others say, and keeps to it. Tells them of a cool-down that they do not know.
    pub(super) async fn look(&mut self) {
        let news = self.new_cool_down();
        let looking = database::with_connection_while(waits_on, &self.pool, move |conn| {
            if let Some(rest) = news {
                cool_down::extend(conn, rest).map_err(CommandError::new)?;
            }
            RunsUnderWay::read(conn).map_err(CommandError::new)
        });
        match looking.await {
            Ok(others) => {
                self.sight.last_look.set(Instant::now());
                if self.last_written.elapsed() < UNWRITABLE_AFTER {
                    self.health.note_storage(Ok(()));
                }
                self.keep_to(&others);
            }
            Err(error) => debug!("the other processes of this database are out of sight: {error}"),
        }
        self.health
            .note_cool_down(self.client.throttle().cool_down_rest());
    }

    /// The rest of this process's cool-down, if the others do not know of it.
    fn new_cool_down(&self) -> Option<Duration> {
        let rest = self.client.throttle().cool_down_rest();
        let known_end = self.sight.known_end.get();
        let is_known = known_end.is_some_and(|end| Instant::now() + rest <= end + SAME_COOL_DOWN);
        (!rest.is_zero() && !is_known).then_some(rest)
    }

    fn keep_to(&mut self, others: &RunsUnderWay) {
        if !others.cool_down.is_zero() {
            let end = Instant::now() + others.cool_down;
            self.sight.known_end.set(Some(end));
            self.client.throttle().cool_down_for(others.cool_down);
        }
        let share = others.share(None);
        if self.share != share {
            debug!("the rate is {}/s, shared by {}", share.rate, share.of);
            self.client.throttle().set_rate_share(share.rate, share.of);
            self.share = share;
        }
    }

    /// Says that the run is under way, and renews its leases.
    async fn beat(&mut self, beat: Beat) {
        let (row, command) = (self.row, self.command);
        let leases = self.leases.clone();
        let settled_up_to = self.settled_up_to.as_ref().map(|id| id.get());
        let beating = database::with_connection_while(waits_on, &self.pool, move |conn| {
            let renewal = leases.as_ref().map(HeldLeases::begin_renewal);
            let held = conn
                .write_transaction(|conn| {
                    runs::beat(conn, row, &beat.totals, beat.ids_per_second, settled_up_to)?;
                    let Some(renewal) = &renewal else {
                        return Ok(None);
                    };
                    leases::renew(conn, row, command, renewal).map(Some)
                })
                .map_err(|error: diesel::result::Error| CommandError::new(error))?;
            if let (Some(leases), Some(renewal), Some(held)) = (&leases, renewal, held) {
                leases.end_renewal(&renewal, &held);
            }
            Ok(())
        });
        let written = beating.await;
        match &written {
            Ok(()) => self.last_written = Instant::now(),
            Err(error) if self.last_written.elapsed() >= UNWRITABLE_AFTER => {
                self.health.note_storage(Err(error.to_string()));
            }
            Err(_) => {}
        }
        match written {
            Ok(()) => self.has_warned = false,
            Err(error) if self.has_warned || self.leases.is_none() => {
                debug!("this run cannot say that it is under way: {error}");
            }
            Err(error) => {
                self.has_warned = true;
                warn!(
                    "this run cannot renew its leases: {error}; if that lasts for a minute, others take over its ids"
                );
            }
        }
    }

    /// Goes on until the result is dropped. `totals` are the run's counters.
    pub(super) fn keep(mut self, totals: impl Fn() -> Progress + 'static) -> KeptPresence {
        let (sight, client) = (self.sight.clone(), self.client.clone());
        let pausing = actix_rt::spawn(pause_while_alone(sight, client, self.health.clone()));
        let keeping = actix_rt::spawn(async move {
            let mut looks = time::interval(LOOK_INTERVAL);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let (mut last_beat, mut last_settled) = (Instant::now(), 0);
            loop {
                looks.tick().await;
                self.look().await;
                let since = last_beat.elapsed();
                if since < BEAT_INTERVAL {
                    continue;
                }
                let totals = totals();
                let settled = totals.settled();
                let rate = (settled - last_settled) as f64 / since.as_secs_f64();
                (last_beat, last_settled) = (Instant::now(), settled);
                let ids_per_second = rate.round() as u64;
                self.beat(Beat {
                    totals,
                    ids_per_second,
                })
                .await;
            }
        });
        KeptPresence([pausing, keeping])
    }
}

/// Lets the client make no requests while the run does not see the others. They have taken over its share of the rate by now, and they
/// cannot tell it that the API wants no requests.
async fn pause_while_alone(sight: Rc<Sight>, client: Client, health: Health) {
    let mut checks = time::interval(PAUSE / 2);
    loop {
        checks.tick().await;
        let alone_for = sight.last_look.get().elapsed();
        if alone_for > ALONE_AFTER {
            let seconds = alone_for.as_secs();
            let why = format!("the database has not answered for {seconds} seconds");
            health.note_storage(Err(why));
            client.throttle().cool_down_for(PAUSE);
            let end = Instant::now() + PAUSE;
            let known_end = sight.known_end.get();
            sight.known_end.set(known_end.max(Some(end)));
        }
    }
}

fn waits_on(waited: Duration) -> bool {
    waited < WAIT_MAX && database::may_wait(waited)
}
