//! Tests of the adaptive limits against simulated servers, in simulated time.

use std::{collections::VecDeque, time::Duration};

use super::{AdaptiveLimits, learned_rate::LearnedRate};
use crate::ingest::limits::signal::Signal;

const REFUSED_429: Signal = Signal::TooManyRequests { retry_after: None };

const REFUSED_503: Signal = Signal::Unavailable { retry_after: None };

const CEILING: usize = 64;
const STEP: Duration = Duration::from_millis(1);
const BACKOFF: Duration = Duration::from_millis(500);
const SIMULATED_TIME: Duration = Duration::from_secs(30);

/// One request, as the simulated server sees it.
struct SimulatedRequest {
    starts: Duration,
    /// Requests in flight, this one included.
    in_flight: usize,
    /// Requests accepted during the last second.
    last_second: usize,
}

/// Returns how a request ends and how long it takes.
type Server = fn(SimulatedRequest) -> (Signal, Duration);

struct NamedServer {
    name: &'static str,
    server: Server,
}

const SERVERS: [NamedServer; 6] = [
    NamedServer {
        name: "503 past 8 in flight",
        server: |request| refuse_past(8, &request),
    },
    NamedServer {
        name: "429 past 200 a second",
        server: |request| match request.last_second {
            ..200 => served(20),
            _ => (REFUSED_429, ms(1)),
        },
    },
    NamedServer {
        name: "latency grows with load",
        server: |request| {
            let load = request.in_flight as f64 / 8.0;
            (Signal::Served, ms(10).mul_f64(1.0 + load * load))
        },
    },
    NamedServer {
        name: "stalls for five seconds",
        server: |request| match request.starts.as_secs() {
            5..10 => (Signal::Unreachable, ms(5000)),
            _ => served(20),
        },
    },
    NamedServer {
        name: "healthy",
        server: |_| served(20),
    },
    NamedServer {
        name: "refuses all for five seconds",
        server: |request| match request.starts.as_secs() {
            5..10 => (REFUSED_503, ms(1)),
            _ => served(20),
        },
    },
];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn served(millis: u64) -> (Signal, Duration) {
    (Signal::Served, ms(millis))
}

fn refuse_past(most: usize, request: &SimulatedRequest) -> (Signal, Duration) {
    if request.in_flight <= most {
        served(20)
    } else {
        (REFUSED_503, ms(1))
    }
}

/// Chooses a tenth of all requests, by a hash of their time and of the number in flight.
fn is_unlucky(request: &SimulatedRequest) -> bool {
    let seed = request.starts.as_millis() as u64 * 64 + request.in_flight as u64;
    (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).is_multiple_of(10)
}

struct SimulationResult {
    answers: u32,
    /// 429 and 503.
    refusals: u32,
    limit: usize,
    rate: Option<f64>,
}

struct InFlight {
    began: Duration,
    ends: Duration,
    signal: Signal,
}

fn adaptive(server: Server) -> SimulationResult {
    simulate(server, Some(AdaptiveLimits::new(CEILING)), CEILING)
}

fn fixed(server: Server, fetchers: usize) -> u32 {
    simulate(server, None, fetchers).answers
}

/// Simulates fetchers: each makes its next request at once after an answer, and after a backoff otherwise.
fn simulate(
    server: Server,
    mut limits: Option<AdaptiveLimits>,
    fetchers: usize,
) -> SimulationResult {
    let (mut answers, mut refusals) = (0, 0);
    let mut in_flight: Vec<InFlight> = Vec::new();
    let mut backing_off: Vec<Duration> = Vec::new();
    let mut accepted: VecDeque<Duration> = VecDeque::new();
    let mut next_start = Duration::ZERO;
    let mut now = Duration::ZERO;
    while now < SIMULATED_TIME {
        now += STEP;
        while let Some(index) = in_flight.iter().position(|request| request.ends <= now) {
            let count = in_flight.len();
            let ended = in_flight.remove(index);
            if let Some(limits) = &mut limits {
                limits.record(now, ended.signal, now - ended.began, count);
            }
            if ended.signal == Signal::Served {
                answers += 1;
            } else {
                refusals += u32::from(ended.signal != Signal::Unreachable);
                backing_off.push(now + BACKOFF);
            }
        }
        backing_off.retain(|until| *until > now);
        while accepted
            .front()
            .is_some_and(|at| now - *at >= Duration::from_secs(1))
        {
            accepted.pop_front();
        }
        let limit = limits
            .as_ref()
            .map_or(fetchers, AdaptiveLimits::in_flight_limit);
        let rate = limits.as_ref().and_then(AdaptiveLimits::learned_rate);
        while in_flight.len() < limit
            && in_flight.len() + backing_off.len() < fetchers
            && next_start <= now
        {
            if let Some(rate) = rate {
                let earliest = next_start.max(now.saturating_sub(STEP));
                next_start = earliest + Duration::from_secs_f64(1.0 / rate);
            }
            let (signal, takes) = server(SimulatedRequest {
                starts: now,
                in_flight: in_flight.len() + 1,
                last_second: accepted.len(),
            });
            if signal == Signal::Served {
                accepted.push_back(now);
            }
            in_flight.push(InFlight {
                began: now,
                ends: now + takes,
                signal,
            });
        }
    }
    SimulationResult {
        answers,
        refusals,
        limit: limits
            .as_ref()
            .map_or(fetchers, AdaptiveLimits::in_flight_limit),
        rate: limits.as_ref().and_then(AdaptiveLimits::learned_rate),
    }
}

#[test]
fn answers_are_within_a_tenth_of_the_best_fixed_limit_on_every_kind_of_server() {
    for NamedServer { name, server } in SERVERS {
        let best = [1, 2, 4, 8, 16, 32, 64].map(|fetchers| fixed(server, fetchers));
        let best = best.into_iter().max().expect("seven numbers");
        let SimulationResult {
            answers, refusals, ..
        } = adaptive(server);
        assert!(
            f64::from(answers) >= 0.9 * f64::from(best),
            "{name}: {answers} of {best}"
        );
        assert!(
            refusals < answers / 20 + 100,
            "{name}: {refusals} refused, {answers} answered"
        );
    }
}

#[test]
fn a_healthy_server_is_used_by_all_fetchers_and_no_rate_is_learned() {
    let outcome = adaptive(|_| served(20));
    assert_eq!(
        (outcome.refusals, outcome.limit, outcome.rate),
        (0, CEILING, None)
    );
}

#[test]
fn a_handful_of_attempts_changes_nothing() {
    let mut limits = AdaptiveLimits::new(CEILING);
    let before = (limits.in_flight_limit(), limits.learned_rate());
    let signals = [
        Signal::Served,
        REFUSED_503,
        REFUSED_429,
        Signal::Unreachable,
        Signal::Unreachable,
    ];
    for (index, signal) in (1..).zip(signals.repeat(3)) {
        limits.record(ms(100) * index, signal, ms(50), 1);
        assert_eq!((limits.in_flight_limit(), limits.learned_rate()), before);
    }
}

#[test]
fn each_refusal_lowers_the_limit_at_once_so_that_no_waiting_request_takes_its_place() {
    let mut limits = AdaptiveLimits::new(16);
    for refused in 1..=8 {
        limits.record(ms(1), REFUSED_503, ms(1), 17 - refused);
        assert_eq!(limits.in_flight_limit(), 16 - refused);
    }
}

#[test]
fn refusals_lower_no_limit_while_no_other_request_is_served() {
    let mut limits = AdaptiveLimits::new(16);
    for window in 0..3 {
        let start = ms(200) * window;
        for _ in 0..20 {
            limits.record(start + ms(105), Signal::Served, ms(5), 16);
        }
        limits.record(start + ms(150), REFUSED_503, ms(1), 1);
    }
    limits.record(ms(1000), Signal::Served, ms(5), 1);
    assert_eq!(limits.in_flight_limit(), 16);
}

#[test]
fn attempts_from_before_a_lower_limit_do_not_lower_it_again() {
    let mut limits = AdaptiveLimits::new(16);
    let fail = |limits: &mut AdaptiveLimits| {
        for _ in 0..20 {
            limits.record(ms(1000), Signal::Unreachable, ms(900), 16);
        }
    };
    fail(&mut limits);
    assert_eq!(limits.in_flight_limit(), 8);
    fail(&mut limits);
    assert_eq!(limits.in_flight_limit(), 8);
}

#[test]
fn after_an_outage_the_first_good_window_brings_the_limit_back() {
    let mut limits = AdaptiveLimits::new(16);
    for second in 1..=5 {
        for _ in 0..20 {
            limits.record(ms(1000) * second, Signal::Unreachable, ms(10), 16);
        }
    }
    assert_eq!(limits.in_flight_limit(), 1);
    for index in 1..=20 {
        limits.record(ms(6000) + ms(20) * index, Signal::Served, ms(20), 1);
    }
    assert_eq!(limits.in_flight_limit(), 16);
}

#[test]
fn random_503s_do_not_slow_a_run_down_for_good() {
    let server: Server = |request| {
        if is_unlucky(&request) {
            (REFUSED_503, ms(1))
        } else {
            served(20)
        }
    };
    let (answers, best) = (adaptive(server).answers, fixed(server, CEILING));
    assert!(answers * 2 >= best, "{answers} of {best}");
}

#[test]
fn random_failures_do_not_slow_a_run_down() {
    let server: Server = |request| {
        if is_unlucky(&request) {
            (Signal::Unreachable, ms(5))
        } else {
            served(20)
        }
    };
    let (answers, best) = (adaptive(server).answers, fixed(server, CEILING));
    assert!(answers * 10 >= best * 9, "{answers} of {best}");
}

#[test]
fn a_503_that_is_about_requests_per_second_costs_few_answers_and_few_refusals() {
    let server: Server = |request| match request.last_second {
        ..1000 => served(20),
        _ => (REFUSED_503, ms(1)),
    };
    let outcome = adaptive(server);
    assert!(outcome.answers >= 27_000, "{} answers", outcome.answers);
    assert!(outcome.refusals < 1000, "{} refusals", outcome.refusals);
}

#[test]
fn requests_that_time_out_past_a_number_in_flight_are_not_sent() {
    let server: Server = |request| match request.in_flight {
        ..=20 => served(20),
        _ => (Signal::Unreachable, ms(2000)),
    };
    let (answers, best) = (adaptive(server).answers, fixed(server, 20));
    assert!(answers * 3 >= best * 2, "{answers} of {best}");
}

#[test]
fn the_limit_rises_when_the_server_accepts_more_than_before() {
    let outcome = adaptive(|request| match request.starts.as_secs() {
        ..10 => refuse_past(8, &request),
        _ => refuse_past(40, &request),
    });
    assert!(outcome.limit >= 20, "{} in flight", outcome.limit);
}

#[test]
fn the_rate_rises_when_the_server_accepts_a_higher_one_than_before() {
    let outcome = adaptive(
        |request| match (request.starts.as_secs(), request.last_second) {
            (..10, 200..) | (_, 1000..) => (REFUSED_429, ms(1)),
            _ => served(20),
        },
    );
    let rate = outcome.rate.expect("a rate");
    assert!((850.0..1100.0).contains(&rate), "{rate} a second");
}

#[test]
fn the_limit_is_never_below_one_nor_above_the_ceiling() {
    let signals = [
        Signal::Served,
        REFUSED_503,
        Signal::Unreachable,
        REFUSED_429,
        Signal::Neutral,
    ];
    for ceiling in [1, 2, 16, 17, 1000] {
        let mut limits = AdaptiveLimits::new(ceiling);
        let mut random = 1_u64;
        for tick in 0..50_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // For two seconds of every ten, one kind of signal is all there is.
            let pick = if tick % 10_000 < 2_000 {
                tick / 10_000
            } else {
                random >> 33
            };
            let signal = signals[(pick % 5) as usize];
            let in_flight = 1 + (random >> 40) as usize % ceiling;
            limits.record(ms(tick), signal, ms((random >> 50) % 100), in_flight);
            assert!((1..=ceiling).contains(&limits.in_flight_limit()));
            assert!(limits.learned_rate().is_none_or(|rate| rate >= 1.0));
        }
    }
}

#[test]
fn fewer_than_twenty_attempts_teach_no_rate() {
    let mut rate = LearnedRate::default();
    for attempt in 0..19 {
        rate.record(ms(40) * attempt, attempt % 2 == 0);
    }
    assert_eq!(rate.per_second(), None);
}

#[test]
fn a_rate_that_is_not_reached_for_ten_seconds_is_forgotten() {
    let mut rate = LearnedRate::default();
    for attempt in 0..200 {
        rate.record(ms(5) * attempt, attempt % 10 != 0);
    }
    assert!(rate.per_second().is_some());
    for second in 0..12 {
        rate.record(ms(2000) + ms(1000) * second, true);
    }
    assert_eq!(rate.per_second(), None);
}
