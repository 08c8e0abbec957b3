//! The throttle: one queue of requests that wait for a permit to start.

use std::{cell::RefCell, time::Duration};

use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep_until, timeout_at},
};

use crate::ingest::limits::{
    adaptive::AdaptiveLimits,
    rate::RateLimiter,
    retry_budget::RetryBudget,
    signal::{Refusal, Signal},
};

/// A retry that waits for its turn looks again this often whether the API has recovered.
const RECHECK: Duration = Duration::from_millis(100);

/// From this attempt of an id on, its 429 stops all requests even while a rate is being learned: too few requests go through to
/// learn from.
const COOLS_FROM_ATTEMPT: u32 = 3;

/// What a request is to the throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first request for an id, or the next hop of an attempt.
    Regular,
    /// The first request of an id's second or later attempt.
    Retry,
}

/// How an attempt ended, as the throttle sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptEnd {
    pub(crate) signal: Signal,
    /// The number of the attempt among those of its id, from 1.
    pub(crate) attempt: u32,
    /// How long the attempt took, without waits of our own.
    pub(crate) took: Duration,
    /// How long this id backs off. A refusal holds back all others as long.
    pub(crate) backoff: Duration,
}

/// Gives out permits to start requests. It belongs to one client; pipelines that share the client share it.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// The queue: tokio's mutex is fair. Whoever holds it is at the head.
    head: Mutex<()>,
    /// Tells the head that what it waits for may have come earlier.
    changed: Notify,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    cool_until: Option<Instant>,
    rate: RateLimiter,
    retry_budget: RetryBudget,
    in_flight: usize,
    /// With the setting `adaptive` only.
    adaptive: Option<AdaptiveLimits>,
    /// The moment from which the adaptive limits count time.
    epoch: Instant,
}

/// Why the head has to wait.
enum Wait {
    Until(Instant),
    /// For a request to end.
    ForRoom,
}

impl Throttle {
    /// `rate` is in requests per second, 0 is no limit; `adaptive_ceiling` is the highest in-flight limit, if limits adapt.
    pub(crate) fn new(rate: u32, adaptive_ceiling: Option<usize>) -> Self {
        let now = Instant::now();
        Self {
            head: Mutex::new(()),
            changed: Notify::new(),
            state: RefCell::new(State {
                cool_until: None,
                rate: RateLimiter::new(rate, now),
                retry_budget: RetryBudget::default(),
                in_flight: 0,
                adaptive: adaptive_ceiling.map(AdaptiveLimits::new),
                epoch: now,
            }),
        }
    }

    /// Waits until a request may start.
    pub(crate) async fn acquire(&self, kind: Kind) -> Permit<'_> {
        if kind == Kind::Retry {
            self.wait_for_retry_budget().await;
        }
        let _head = self.head.lock().await;
        loop {
            let started = self.state.borrow_mut().start(Instant::now());
            match started {
                Ok(()) => return Permit { throttle: self },
                // Whether the time is over or something changed: look again.
                Err(Wait::Until(time)) => _ = timeout_at(time, self.changed.notified()).await,
                Err(Wait::ForRoom) => self.changed.notified().await,
            }
        }
    }

    async fn wait_for_retry_budget(&self) {
        let reserved = self.state.borrow_mut().retry_budget.reserve(Instant::now());
        let Some(reserved) = reserved else { return };
        loop {
            let now = Instant::now();
            if now >= reserved || self.state.borrow().retry_budget.spacing(now).is_none() {
                return;
            }
            sleep_until(reserved.min(now + RECHECK)).await;
        }
    }

    /// The end of the cool-down, if there is one.
    pub(crate) fn cool_until(&self) -> Option<Instant> {
        self.state.borrow().cool_until
    }

    pub(crate) fn is_cooling(&self) -> bool {
        self.cool_until()
            .is_some_and(|until| until > Instant::now())
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

impl State {
    /// Lets a request start, or says what it waits for.
    fn start(&mut self, now: Instant) -> Result<(), Wait> {
        if let Some(cool_until) = self.cool_until.filter(|until| *until > now) {
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
            self.cool_until = self.cool_until.max(Some(now + end.backoff));
        }
    }

    /// Whether a refusal is meant for all requests, not only for this one.
    fn cools_down(&self, end: &AttemptEnd) -> bool {
        match end.signal {
            Signal::Refused {
                retry_after: Some(_),
                ..
            } => true,
            // While a rate is being learned, requests must go on, or there is nothing to learn from.
            Signal::Refused {
                refusal: Refusal::TooManyRequests,
                ..
            } => match &self.adaptive {
                Some(adaptive) => {
                    adaptive.learned_rate().is_none() && end.attempt >= COOLS_FROM_ATTEMPT
                }
                None => true,
            },
            _ => false,
        }
    }
}

/// The right to have one request in flight. Dropped without [`finish`](Permit::finish), it says nothing about the API.
#[derive(Debug)]
#[must_use = "the request is in flight for as long as its permit lives"]
pub(crate) struct Permit<'a> {
    throttle: &'a Throttle,
}

impl Permit<'_> {
    /// The attempt has ended.
    pub(crate) fn finish(self, end: &AttemptEnd) {
        self.throttle.state.borrow_mut().end(end, Instant::now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.throttle.state.borrow_mut().in_flight -= 1;
        self.throttle.changed.notify_one();
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

    fn end(signal: Signal) -> AttemptEnd {
        AttemptEnd {
            signal,
            attempt: 1,
            took: Duration::from_millis(10),
            backoff: SECOND / 2,
        }
    }

    fn refused(refusal: Refusal, retry_after: Option<Duration>) -> AttemptEnd {
        AttemptEnd {
            backoff: retry_after.unwrap_or(SECOND / 2),
            ..end(Signal::Refused {
                refusal,
                retry_after,
            })
        }
    }

    /// How long a permit has to be waited for.
    async fn wait_for_permit(throttle: &Throttle, kind: Kind) -> Duration {
        let began = Instant::now();
        let _permit = throttle.acquire(kind).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_waits() {
        let throttle = Throttle::new(0, None);
        let mut permits = Vec::new();
        for _ in 0..10_000 {
            permits.push(throttle.acquire(Kind::Regular).await);
        }
        assert_eq!(
            wait_for_permit(&throttle, Kind::Retry).await,
            Duration::ZERO
        );
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_retries_keep_to_the_rate_together() {
        let throttle = Throttle::new(100, None);
        let began = Instant::now();
        for number in 0..1000 {
            let kind = if number % 2 == 0 {
                Kind::Regular
            } else {
                Kind::Retry
            };
            drop(throttle.acquire(kind).await);
        }
        // A twentieth of a second's requests may come at once.
        assert!(began.elapsed() >= 10 * SECOND - SECOND / 20);
        assert!(began.elapsed() <= 10 * SECOND + SECOND / 100);
    }

    #[tokio::test(start_paused = true)]
    async fn no_request_starts_before_the_time_that_a_refusal_named() {
        for refusal in [Refusal::TooManyRequests, Refusal::Unavailable] {
            let throttle = Throttle::new(0, None);
            let permit = throttle.acquire(Kind::Regular).await;
            permit.finish(&refused(refusal, Some(7 * SECOND)));
            assert!(throttle.is_cooling());
            let waited = wait_for_permit(&throttle, Kind::Regular).await;
            assert!((7 * SECOND..8 * SECOND).contains(&waited), "{waited:?}");
            assert!(!throttle.is_cooling());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_without_a_time_holds_all_back_as_long_as_its_id_and_a_503_does_not() {
        let throttle = Throttle::new(0, None);
        let permit = throttle.acquire(Kind::Regular).await;
        permit.finish(&refused(Refusal::Unavailable, None));
        assert_eq!(
            wait_for_permit(&throttle, Kind::Regular).await,
            Duration::ZERO
        );
        let permit = throttle.acquire(Kind::Regular).await;
        permit.finish(&refused(Refusal::TooManyRequests, None));
        assert!(wait_for_permit(&throttle, Kind::Regular).await >= SECOND / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_cool_down_does_not_end_a_longer_one() {
        let throttle = Throttle::new(0, None);
        let permits = (
            throttle.acquire(Kind::Regular).await,
            throttle.acquire(Kind::Regular).await,
        );
        permits
            .0
            .finish(&refused(Refusal::TooManyRequests, Some(9 * SECOND)));
        permits
            .1
            .finish(&refused(Refusal::TooManyRequests, Some(SECOND)));
        assert!(wait_for_permit(&throttle, Kind::Regular).await >= 9 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cool_down_that_begins_while_the_head_waits_for_the_rate_counts_for_it() {
        let throttle = Throttle::new(1, None);
        let permit = throttle.acquire(Kind::Regular).await;
        let (waited, ()) = tokio::join!(wait_for_permit(&throttle, Kind::Regular), async {
            sleep(SECOND / 2).await;
            permit.finish(&refused(Refusal::TooManyRequests, Some(5 * SECOND)));
        });
        assert!(waited >= SECOND / 2 + 5 * SECOND, "{waited:?}");
    }

    /// Requests that wait for a permit, in this order. Each keeps the permit that it gets.
    async fn queue(
        throttle: &Rc<Throttle>,
        count: usize,
        order: &Rc<RefCell<Vec<usize>>>,
    ) -> Vec<JoinHandle<()>> {
        let mut waiting = Vec::new();
        for number in 0..count {
            let (throttle, order) = (throttle.clone(), order.clone());
            waiting.push(spawn_local(async move {
                let permit = throttle.acquire(Kind::Regular).await;
                order.borrow_mut().push(number);
                sleep(SECOND).await;
                drop(permit);
            }));
            yield_now().await;
        }
        waiting
    }

    /// A throttle that lets one request be in flight.
    fn one_at_a_time() -> Rc<Throttle> {
        Rc::new(Throttle::new(0, Some(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn permits_are_given_in_the_order_in_which_they_were_asked_for() {
        let test = async {
            let (throttle, order) = (one_at_a_time(), Rc::default());
            for request in queue(&throttle, 5, &order).await {
                request.await.expect("a permit");
            }
            assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_stops_waiting_holds_up_no_other() {
        for stops in 0..3 {
            let test = async {
                let (throttle, order) = (one_at_a_time(), Rc::default());
                let permit = throttle.acquire(Kind::Regular).await;
                let requests = queue(&throttle, 3, &order).await;
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
            let permit = throttle.acquire(Kind::Regular).await;
            permit.finish(&refused(Refusal::Unavailable, None));
        }
        assert_eq!(throttle.in_flight_limit(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn while_most_attempts_fail_retries_wait_and_first_attempts_do_not() {
        let throttle = Throttle::new(0, None);
        for _ in 0..100 {
            let permit = throttle.acquire(Kind::Regular).await;
            sleep(SECOND / 10).await;
            permit.finish(&end(Signal::Unreachable));
        }
        assert_eq!(
            wait_for_permit(&throttle, Kind::Retry).await,
            Duration::ZERO
        );
        let (retry, regular) = tokio::join!(
            wait_for_permit(&throttle, Kind::Retry),
            wait_for_permit(&throttle, Kind::Regular)
        );
        assert!(retry >= SECOND / 10, "ten retries per second: {retry:?}");
        assert_eq!(regular, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_stop_waiting_when_the_api_has_recovered() {
        let throttle = Throttle::new(0, None);
        for _ in 0..100 {
            let permit = throttle.acquire(Kind::Regular).await;
            permit.finish(&end(Signal::Unreachable));
        }
        let retries = async {
            for _ in 0..30 {
                drop(throttle.acquire(Kind::Retry).await);
            }
        };
        let recovery = async {
            for _ in 0..100 {
                throttle
                    .acquire(Kind::Regular)
                    .await
                    .finish(&end(Signal::Served));
            }
        };
        let began = Instant::now();
        tokio::join!(retries, recovery);
        assert!(began.elapsed() <= 2 * RECHECK, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_rate_is_learned_429s_without_a_time_stop_nobody() {
        let throttle = Throttle::new(0, Some(16));
        let permit = throttle.acquire(Kind::Regular).await;
        permit.finish(&refused(Refusal::TooManyRequests, None));
        assert!(!throttle.is_cooling());
        let permit = throttle.acquire(Kind::Regular).await;
        permit.finish(&AttemptEnd {
            attempt: COOLS_FROM_ATTEMPT,
            ..refused(Refusal::TooManyRequests, None)
        });
        assert!(throttle.is_cooling(), "an id's third 429 does");
    }
}
