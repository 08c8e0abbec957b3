//! The throttle: requests wait in its queues for a permit to start.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep_until, timeout_at},
};

use crate::ingest::{
    limits::{
        adaptive::AdaptiveLimits,
        cool_down::{AskedToWait, SharedCoolDown},
        rate::RateLimiter,
        retry_budget::RetryBudget,
        signal::Signal,
    },
    priority::Priority,
};

/// A retry that waits for the retry budget checks this often whether the API has recovered.
const RECHECK: Duration = Duration::from_millis(100);

/// With `adaptive`, a 429 for an id's first or second attempt stops no other request: a rate is learned from their answers. From
/// this attempt on, a 429 stops all requests if no rate is known yet: too few requests succeed to learn one.
const COOLS_FROM_ATTEMPT: u32 = 3;

/// Whether a request has to wait for the retry budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// It does not wait: the first request for an id, or a further request of an attempt (a redirect or a resend).
    Regular,
    /// It waits: the first request of an id's second or later attempt.
    Retry,
}

/// How an attempt ended, as the throttle sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptEnd {
    pub(crate) signal: Signal,
    /// The number of this attempt, counted per id from 1.
    pub(crate) attempt: u32,
    /// How long the attempt took, without waits of our own.
    pub(crate) took: Duration,
    /// How long this id waits before its next attempt. If the API refused the request, all other requests may have to wait as
    /// long.
    pub(crate) backoff: Duration,
}

/// Gives out permits to start requests. Each client has one. Pipelines that share a client share its throttle.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// A queue for each priority, the lowest first. The first request of the highest queue that is not empty is next.
    queues: [Queue; Priority::ALL.len()],
    /// All that decides whether a request may start. Never borrowed across an `await`.
    state: RefCell<ThrottleState>,
}

/// The requests of one priority, first come, first served.
#[derive(Debug, Default)]
struct Queue {
    /// Tokio's mutex is fair; the request that holds it is at the head.
    head: Mutex<()>,
    /// How many requests wait, the one at the head included.
    waiting: Cell<usize>,
    /// Wakes the request at the head: the reason to wait may be gone.
    changed: Notify,
}

/// A request's place in a queue. When it leaves, the next request is woken.
struct Place<'a> {
    throttle: &'a Throttle,
    queue: &'a Queue,
}

#[derive(Debug)]
struct ThrottleState {
    /// No request starts during it.
    cool_down: SharedCoolDown,
    /// How many requests may start in a second.
    rate: RateLimiter,
    /// Limits retries while most attempts fail.
    retry_budget: RetryBudget,
    /// Requests that hold a permit.
    in_flight: usize,
    /// Learns limits from the API's answers. `None` without the setting `adaptive`.
    adaptive: Option<AdaptiveLimits>,
    /// The adaptive limits count time from here.
    epoch: Instant,
}

/// What the request at the head of a queue waits for.
enum Wait {
    /// A cool-down or the rate: until this time.
    Until(Instant),
    /// The in-flight limit, or a request of a higher priority: until another request ends or starts.
    ForRoom,
    /// A cool-down that is longer than the request waits.
    TooLong(AskedToWait),
}

impl Throttle {
    /// `rate` is in requests per second; 0 is no limit. `adaptive_ceiling` is the highest in-flight limit; `None` if limits do
    /// not adapt.
    pub(crate) fn new(rate: u32, adaptive_ceiling: Option<usize>) -> Self {
        let now = Instant::now();
        Self {
            queues: Default::default(),
            state: RefCell::new(ThrottleState {
                cool_down: SharedCoolDown::default(),
                rate: RateLimiter::new(rate, now),
                retry_budget: RetryBudget::default(),
                in_flight: 0,
                adaptive: adaptive_ceiling.map(AdaptiveLimits::new),
                epoch: now,
            }),
        }
    }

    /// Changes the rate to one of `of` equal parts of `rate` requests per second; 0 is no limit. Requests that wait already keep to
    /// the new rate.
    pub(crate) fn set_rate_share(&self, rate: u32, of: usize) {
        let mut state = self.state.borrow_mut();
        let share = f64::from(rate) / of as f64;
        state.rate.set_configured(share, Instant::now());
        drop(state);
        self.wake_next();
    }

    /// Starts no request for at least this long.
    #[cfg(feature = "cli")]
    pub(crate) fn cool_down_for(&self, rest: Duration) {
        let now = Instant::now();
        self.state.borrow().cool_down.extend(now, now + rest);
        self.wake_next();
    }

    /// How long no request starts from now on.
    #[cfg(feature = "cli")]
    pub(crate) fn cool_down_rest(&self) -> Duration {
        self.cool_down().rest(Instant::now())
    }

    /// Raises the highest in-flight limit, if limits adapt.
    pub(crate) fn raise_ceiling(&self, ceiling: usize) {
        if let Some(adaptive) = &mut self.state.borrow_mut().adaptive {
            adaptive.raise_ceiling(ceiling);
        }
        self.wake_next();
    }

    /// Wakes the request that is next.
    fn wake_next(&self) {
        let mut highest_first = self.queues.iter().rev();
        if let Some(queue) = highest_first.find(|queue| queue.waiting.get() > 0) {
            queue.changed.notify_one();
        }
    }

    /// Whether no request of a higher priority waits.
    fn is_next(&self, priority: Priority) -> bool {
        let higher = &self.queues[priority.index() + 1..];
        !higher.iter().any(|queue| queue.waiting.get() > 0)
    }

    /// Waits until a request may start. A caller that stops waiting loses its place in the queue.
    ///
    /// # Errors
    /// A cool-down is longer than `patience`.
    pub(crate) async fn acquire(
        &self,
        kind: RequestKind,
        priority: Priority,
        patience: Duration,
    ) -> Result<Permit<'_>, AskedToWait> {
        // Before it queues, because others may wait for a long cool-down at the head of the queue.
        self.state
            .borrow()
            .check_patience(Instant::now(), patience)?;
        if kind == RequestKind::Retry {
            self.wait_for_retry_budget(priority).await;
        }
        let queue = &self.queues[priority.index()];
        queue.waiting.update(|waiting| waiting + 1);
        let _place = Place {
            throttle: self,
            queue,
        };
        let _head = queue.head.lock().await;
        loop {
            let wait = if self.is_next(priority) {
                let started = self.state.borrow_mut().start(Instant::now(), patience);
                let Err(wait) = started else {
                    return Ok(Permit { throttle: self });
                };
                wait
            } else {
                Wait::ForRoom
            };
            let changed = queue.changed.notified();
            match wait {
                Wait::TooLong(asked) => return Err(asked),
                // Check again, both when the time is over and when something changed.
                Wait::Until(time) => _ = timeout_at(time, changed).await,
                Wait::ForRoom => changed.await,
            }
        }
    }

    async fn wait_for_retry_budget(&self, priority: Priority) {
        let now = Instant::now();
        let reserved = self.state.borrow_mut().retry_budget.reserve(priority, now);
        let Some(reserved) = reserved else { return };
        let mut reservation = RetryReservation {
            throttle: self,
            priority,
            spacing: reserved.spacing,
            is_used: false,
        };
        loop {
            let now = Instant::now();
            if now >= reserved.at || self.state.borrow().retry_budget.spacing(now).is_none() {
                reservation.is_used = true;
                return;
            }
            sleep_until(reserved.at.min(now + RECHECK)).await;
        }
    }

    /// The cool-down, for the circuit breakers of the runs on this throttle.
    pub(crate) fn cool_down(&self) -> SharedCoolDown {
        self.state.borrow().cool_down.clone()
    }

    pub(crate) fn is_cooling(&self) -> bool {
        let state = self.state.borrow();
        state.cool_down.ends_at(Instant::now()).is_some()
    }

    /// How many requests may be in flight; `None` if any number may.
    pub(crate) fn in_flight_limit(&self) -> Option<usize> {
        self.state
            .borrow()
            .adaptive
            .as_ref()
            .map(AdaptiveLimits::in_flight_limit)
    }
}

impl ThrottleState {
    /// Refuses a cool-down that is longer than `patience`.
    fn check_patience(&self, now: Instant, patience: Duration) -> Result<(), AskedToWait> {
        AskedToWait::check(self.cool_down.rest(now), patience)
    }

    /// Counts a request as started, or returns what it has to wait for.
    fn start(&mut self, now: Instant, patience: Duration) -> Result<(), Wait> {
        self.check_patience(now, patience).map_err(Wait::TooLong)?;
        if let Some(cool_until) = self.cool_down.ends_at(now) {
            return Err(Wait::Until(cool_until));
        }
        if let Some(adaptive) = &self.adaptive
            && self.in_flight >= adaptive.in_flight_limit()
        {
            return Err(Wait::ForRoom);
        }
        self.rate.take(now).map_err(Wait::Until)?;
        self.in_flight += 1;
        Ok(())
    }

    fn end(&mut self, end: &AttemptEnd, now: Instant) {
        self.retry_budget.record(end.signal, now);
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.record(now - self.epoch, end.signal, end.took, self.in_flight);
            self.rate.set_learned(adaptive.learned_rate(), now);
        }
        if self.cools_down(end) {
            self.cool_down.extend(now, now + end.backoff);
        }
    }

    /// Whether the end of an attempt begins a cool-down for all requests.
    fn cools_down(&self, end: &AttemptEnd) -> bool {
        match end.signal {
            // While a rate is learned, requests must go on: their answers are what the rate is learned from.
            Signal::TooManyRequests { retry_after: None } => {
                self.adaptive.as_ref().is_none_or(|adaptive| {
                    adaptive.learned_rate().is_none() && end.attempt >= COOLS_FROM_ATTEMPT
                })
            }
            signal => signal.retry_after().is_some(),
        }
    }
}

/// A time that a retry waits for. A retry that stops waiting gives it back, so that others need not wait behind it.
struct RetryReservation<'a> {
    throttle: &'a Throttle,
    priority: Priority,
    /// How much time the reservation takes.
    spacing: Duration,
    is_used: bool,
}

impl Drop for RetryReservation<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            let mut state = self.throttle.state.borrow_mut();
            state.retry_budget.give_back(self.priority, self.spacing);
        }
    }
}

/// The right to have one request in flight.
///
/// A permit that is dropped without [`finish`](Permit::finish) tells the throttle nothing about the API.
#[derive(Debug)]
#[must_use = "the request is in flight for as long as its permit lives"]
pub(crate) struct Permit<'a> {
    throttle: &'a Throttle,
}

impl Permit<'_> {
    /// Takes the end of the attempt into account and gives the permit back.
    pub(crate) fn finish(self, end: &AttemptEnd) {
        self.throttle.state.borrow_mut().end(end, Instant::now());
    }

    /// Gives the permit back before a request was made with it. It does not count toward the rate.
    pub(crate) fn give_back(self) {
        self.throttle.state.borrow_mut().rate.give_back();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.throttle.state.borrow_mut().in_flight -= 1;
        self.throttle.wake_next();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.waiting.update(|waiting| waiting - 1);
        self.throttle.wake_next();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::{
        task::{JoinHandle, LocalSet, spawn_local, yield_now},
        time::sleep,
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const PATIENCE: Duration = Duration::from_secs(600);

    async fn take_permit(throttle: &Throttle, kind: RequestKind) -> Permit<'_> {
        let permit = throttle.acquire(kind, Priority::Normal, PATIENCE).await;
        permit.expect("no cool-down is longer than the patience")
    }

    fn end(signal: Signal) -> AttemptEnd {
        AttemptEnd {
            signal,
            attempt: 1,
            took: Duration::from_millis(10),
            backoff: SECOND / 2,
        }
    }

    fn too_many(retry_after: Option<Duration>) -> AttemptEnd {
        AttemptEnd {
            backoff: retry_after.unwrap_or(SECOND / 2),
            ..end(Signal::TooManyRequests { retry_after })
        }
    }

    fn unavailable(retry_after: Option<Duration>) -> AttemptEnd {
        AttemptEnd {
            signal: Signal::Unavailable { retry_after },
            ..too_many(retry_after)
        }
    }

    /// Takes a permit and gives it back. Returns how long it waited.
    async fn wait_for_permit(throttle: &Throttle, kind: RequestKind) -> Duration {
        let began = Instant::now();
        let _permit = take_permit(throttle, kind).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_waits() {
        let throttle = Throttle::new(0, None);
        let mut permits = Vec::new();
        for _ in 0..10_000 {
            permits.push(take_permit(&throttle, RequestKind::Regular).await);
        }
        assert_eq!(
            wait_for_permit(&throttle, RequestKind::Retry).await,
            Duration::ZERO
        );
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_retries_keep_to_the_rate_together() {
        let throttle = Throttle::new(100, None);
        let began = Instant::now();
        for number in 0..1000 {
            let kind = if number % 2 == 0 {
                RequestKind::Regular
            } else {
                RequestKind::Retry
            };
            drop(take_permit(&throttle, kind).await);
        }
        // The burst: a twentieth of a second's requests may start at once.
        assert!(began.elapsed() >= 10 * SECOND - SECOND / 20);
        assert!(began.elapsed() <= 10 * SECOND + SECOND / 100);
    }

    #[tokio::test(start_paused = true)]
    async fn no_request_starts_before_the_time_that_a_refusal_named() {
        for refused in [too_many, unavailable] {
            let throttle = Throttle::new(0, None);
            let permit = take_permit(&throttle, RequestKind::Regular).await;
            permit.finish(&refused(Some(7 * SECOND)));
            assert!(throttle.is_cooling());
            let waited = wait_for_permit(&throttle, RequestKind::Regular).await;
            assert!((7 * SECOND..8 * SECOND).contains(&waited), "{waited:?}");
            assert!(!throttle.is_cooling());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_does_not_wait_for_a_cool_down_that_is_longer_than_its_patience() {
        let throttle = Throttle::new(0, None);
        let refusal = too_many(Some(3600 * SECOND));
        take_permit(&throttle, RequestKind::Regular)
            .await
            .finish(&refusal);
        let asked = throttle
            .acquire(RequestKind::Regular, Priority::Normal, PATIENCE)
            .await;
        assert_eq!(asked.expect_err("an hour").rest, 3600 * SECOND);
        sleep(3000 * SECOND).await;
        let waited = wait_for_permit(&throttle, RequestKind::Regular).await;
        assert!((600 * SECOND..601 * SECOND).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_patience_still_waits_for_a_short_cool_down() {
        let throttle = Throttle::new(0, None);
        let refusal = unavailable(Some(10 * SECOND));
        take_permit(&throttle, RequestKind::Regular)
            .await
            .finish(&refusal);
        let waited = throttle.acquire(RequestKind::Regular, Priority::Normal, Duration::ZERO);
        assert!(waited.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_rate_counts_at_once_even_for_requests_that_wait() {
        let throttle = Throttle::new(1, None);
        drop(take_permit(&throttle, RequestKind::Regular).await);
        let began = Instant::now();
        tokio::join!(
            async {
                for _ in 0..100 {
                    drop(take_permit(&throttle, RequestKind::Regular).await);
                }
            },
            async {
                sleep(SECOND / 4).await;
                throttle.set_rate_share(100, 1);
            }
        );
        let took = began.elapsed();
        assert!(took < 2 * SECOND, "100 requests took {took:?}");
        throttle.set_rate_share(0, 1);
        assert_eq!(
            wait_for_permit(&throttle, RequestKind::Regular).await,
            Duration::ZERO
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_without_retry_after_delays_all_requests_as_long_as_its_id_and_a_503_does_not() {
        let throttle = Throttle::new(0, None);
        let permit = take_permit(&throttle, RequestKind::Regular).await;
        permit.finish(&unavailable(None));
        assert_eq!(
            wait_for_permit(&throttle, RequestKind::Regular).await,
            Duration::ZERO
        );
        let permit = take_permit(&throttle, RequestKind::Regular).await;
        permit.finish(&too_many(None));
        assert!(wait_for_permit(&throttle, RequestKind::Regular).await >= SECOND / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_cool_down_does_not_end_a_longer_one() {
        let throttle = Throttle::new(0, None);
        let permits = (
            take_permit(&throttle, RequestKind::Regular).await,
            take_permit(&throttle, RequestKind::Regular).await,
        );
        permits.0.finish(&too_many(Some(9 * SECOND)));
        permits.1.finish(&too_many(Some(SECOND)));
        assert!(wait_for_permit(&throttle, RequestKind::Regular).await >= 9 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cool_down_delays_a_request_that_already_waits_for_the_rate() {
        let throttle = Throttle::new(1, None);
        let permit = take_permit(&throttle, RequestKind::Regular).await;
        let (waited, ()) = tokio::join!(wait_for_permit(&throttle, RequestKind::Regular), async {
            sleep(SECOND / 2).await;
            permit.finish(&too_many(Some(5 * SECOND)));
        });
        assert!(waited >= SECOND / 2 + 5 * SECOND, "{waited:?}");
    }

    /// Puts requests of these priorities into the queues. Each writes its number to `order` when it gets its permit, and keeps
    /// the permit for a second.
    async fn queue(
        throttle: &Rc<Throttle>,
        priorities: impl IntoIterator<Item = Priority>,
        order: &Rc<RefCell<Vec<usize>>>,
    ) -> Vec<JoinHandle<()>> {
        let mut waiting = Vec::new();
        for (number, priority) in priorities.into_iter().enumerate() {
            let (throttle, order) = (throttle.clone(), order.clone());
            waiting.push(spawn_local(async move {
                let permit = throttle.acquire(RequestKind::Regular, priority, PATIENCE);
                let permit = permit.await.expect("no cool-down");
                order.borrow_mut().push(number);
                sleep(SECOND).await;
                drop(permit);
            }));
            yield_now().await;
        }
        waiting
    }

    /// A throttle that allows one request in flight.
    fn one_at_a_time() -> Rc<Throttle> {
        Rc::new(Throttle::new(0, Some(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn requests_get_their_permits_in_the_order_in_which_they_asked() {
        let test = async {
            let (throttle, order) = (one_at_a_time(), Rc::default());
            for request in queue(&throttle, [Priority::Normal; 5], &order).await {
                request.await.expect("a permit");
            }
            assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_a_higher_priority_come_first_whatever_they_wait_for() {
        use Priority::{High, Low, Normal};
        for throttle in [Throttle::new(0, Some(1)), Throttle::new(1, None)] {
            let test = async {
                let (throttle, order) = (Rc::new(throttle), Rc::default());
                let first = take_permit(&throttle, RequestKind::Regular).await;
                let priorities = [Low, Normal, Low, High, Normal, High];
                let requests = queue(&throttle, priorities, &order).await;
                requests[5].abort();
                drop(first);
                for request in requests {
                    _ = request.await;
                }
                assert_eq!(*order.borrow(), [3, 1, 4, 0, 2]);
            };
            LocalSet::new().run_until(test).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_late_is_not_behind_those_of_a_lower_priority() {
        let test = async {
            let (throttle, order) = (Rc::new(Throttle::new(10, None)), Rc::default());
            let waiting = queue(&throttle, [Priority::Low; 64], &order).await;
            sleep(SECOND).await;
            let began = Instant::now();
            let urgent = throttle.acquire(RequestKind::Regular, Priority::High, PATIENCE);
            drop(urgent.await);
            assert!(began.elapsed() <= SECOND / 5, "{:?}", began.elapsed());
            for request in waiting {
                request.await.expect("a permit");
            }
            assert_eq!(*order.borrow(), (0..64).collect::<Vec<_>>());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_stops_waiting_delays_no_other() {
        for stops in 0..3 {
            let test = async {
                let (throttle, order) = (one_at_a_time(), Rc::default());
                let permit = take_permit(&throttle, RequestKind::Regular).await;
                let requests = queue(&throttle, [Priority::Normal; 3], &order).await;
                requests[stops].abort();
                yield_now().await;
                drop(permit);
                for request in requests {
                    _ = request.await;
                }
                assert_eq!(order.borrow().len(), 2, "{stops} stopped");
            };
            LocalSet::new().run_until(test).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_may_always_be_in_flight() {
        let throttle = one_at_a_time();
        for _ in 0..100 {
            let permit = take_permit(&throttle, RequestKind::Regular).await;
            permit.finish(&unavailable(None));
        }
        assert_eq!(throttle.in_flight_limit(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn while_most_attempts_fail_retries_wait_and_first_attempts_do_not() {
        let throttle = Throttle::new(0, None);
        for _ in 0..100 {
            let permit = take_permit(&throttle, RequestKind::Regular).await;
            sleep(SECOND / 10).await;
            permit.finish(&end(Signal::Unreachable));
        }
        assert_eq!(
            wait_for_permit(&throttle, RequestKind::Retry).await,
            Duration::ZERO
        );
        let (retry, regular) = tokio::join!(
            wait_for_permit(&throttle, RequestKind::Retry),
            wait_for_permit(&throttle, RequestKind::Regular)
        );
        assert!(retry >= SECOND / 10, "ten retries per second: {retry:?}");
        assert_eq!(regular, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_that_stop_waiting_hold_up_no_later_ones() {
        let throttle = Throttle::new(0, None);
        for _ in 0..100 {
            let permit = take_permit(&throttle, RequestKind::Regular).await;
            sleep(SECOND / 10).await;
            permit.finish(&end(Signal::Unreachable));
        }
        let waiting = (0..50).map(|_| take_permit(&throttle, RequestKind::Retry));
        let all = futures_util::future::join_all(waiting);
        assert!(tokio::time::timeout(SECOND / 100, all).await.is_err());
        let waited = wait_for_permit(&throttle, RequestKind::Retry).await;
        assert!(waited <= SECOND / 5, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn retries_stop_waiting_when_the_api_has_recovered() {
        let throttle = Throttle::new(0, None);
        for _ in 0..100 {
            let permit = take_permit(&throttle, RequestKind::Regular).await;
            permit.finish(&end(Signal::Unreachable));
        }
        let retries = async {
            for _ in 0..30 {
                drop(take_permit(&throttle, RequestKind::Retry).await);
            }
        };
        let recovery = async {
            for _ in 0..100 {
                take_permit(&throttle, RequestKind::Regular)
                    .await
                    .finish(&end(Signal::Served));
            }
        };
        let began = Instant::now();
        tokio::join!(retries, recovery);
        assert!(began.elapsed() <= 2 * RECHECK, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_rate_is_learned_only_an_ids_third_429_stops_all_requests() {
        let throttle = Throttle::new(0, Some(16));
        let permit = take_permit(&throttle, RequestKind::Regular).await;
        permit.finish(&too_many(None));
        assert!(!throttle.is_cooling());
        let permit = take_permit(&throttle, RequestKind::Regular).await;
        permit.finish(&AttemptEnd {
            attempt: COOLS_FROM_ATTEMPT,
            ..too_many(None)
        });
        assert!(throttle.is_cooling(), "an id's third 429 does");
    }
}
