//! The rule against servers that are made up: clients that ask again at once, on a clock that is stepped.

use std::collections::VecDeque;

use super::*;

const CEILING: usize = 64;
const STEP: Duration = Duration::from_millis(1);
const LASTS: Duration = Duration::from_secs(30);

/// What comes of a request and after how long, from when it starts, how many are in flight with it, and how many were accepted
/// in the second before.
type Server = fn(Duration, usize, usize) -> (End, Duration);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const SERVERS: [(&str, Server); 6] = [
    ("503 past 8", |_, at_once, _| match at_once {
        ..=8 => (End::Answer, ms(20)),
        _ => (End::Refused, ms(1)),
    }),
    ("429 past 200 a second", |_, _, of_late| match of_late {
        ..200 => (End::Answer, ms(20)),
        _ => (End::Limited, ms(1)),
    }),
    ("latency grows with load", |_, at_once, _| {
        let load = at_once as f64 / 8.0;
        (End::Answer, ms(10).mul_f64(1.0 + load * load))
    }),
    ("stalls for five seconds", |now, _, _| match now.as_secs() {
        5..10 => (End::Broken, ms(5000)),
        _ => (End::Answer, ms(20)),
    }),
    ("healthy", |_, _, _| (End::Answer, ms(20))),
    ("refuses all for five seconds", |now, _, _| {
        match now.as_secs() {
            5..10 => (End::Refused, ms(1)),
            _ => (End::Answer, ms(20)),
        }
    }),
];

/// Answers, refusals of both kinds, and the limit at the end.
fn simulate(server: Server, rule: Option<Adaptive>, fixed: usize) -> (u32, u32, usize) {
    let mut rule = rule;
    let (mut now, mut window, mut held) = (Duration::ZERO, Window::default(), 0);
    let (mut answers, mut refusals) = (0, 0);
    let mut allowed = rule.as_ref().map(Adaptive::allowed);
    let mut in_flight: Vec<(Duration, Duration, End)> = Vec::new();
    let mut backing_off: Vec<Duration> = Vec::new();
    let mut accepted: VecDeque<Duration> = VecDeque::new();
    let mut next_start = Duration::ZERO;
    while now < LASTS {
        now += STEP;
        let mut index = 0;
        while index < in_flight.len() {
            let (began, ends, end) = in_flight[index];
            if ends > now {
                index += 1;
                continue;
            }
            window.note(end, now - began, in_flight.len() == 1);
            in_flight.swap_remove(index);
            match end {
                End::Answer => answers += 1,
                _ => {
                    refusals += u32::from(end != End::Broken);
                    // Who does not back off waits for a place.
                    let waits = rule.is_some() && in_flight.len() + backing_off.len() < fixed;
                    held += usize::from(end == End::Refused && waits);
                    backing_off.push(now + ms(500));
                }
            }
        }
        backing_off.retain(|until| *until > now);
        while accepted.front().is_some_and(|at| now - *at >= ms(1000)) {
            accepted.pop_front();
        }
        let at_once = allowed.map_or(fixed, |allowed| allowed.at_once.saturating_sub(held).max(1));
        while in_flight.len() < at_once
            && in_flight.len() + backing_off.len() < fixed
            && next_start <= now
        {
            if let Some(rate) = allowed.and_then(|allowed| allowed.a_second) {
                next_start =
                    next_start.max(now.saturating_sub(STEP)) + Duration::from_secs_f64(1.0 / rate);
            }
            let (end, takes) = server(now, in_flight.len() + 1, accepted.len());
            if end == End::Answer {
                accepted.push_back(now);
            }
            in_flight.push((now, now + takes, end));
        }
        window.elapsed += STEP;
        if window.elapsed >= TICK
            && let Some(before) = rule.take()
        {
            let after = before.after(&std::mem::take(&mut window));
            held = 0;
            allowed = Some(after.allowed());
            rule = Some(after);
        }
    }
    (
        answers,
        refusals,
        allowed.map_or(fixed, |allowed| allowed.at_once),
    )
}

#[test]
fn goodput_is_within_a_tenth_of_the_best_fixed_number_on_every_kind_of_server() {
    for (name, server) in SERVERS {
        let best = [1, 2, 4, 8, 16, 32, 64].map(|fixed| simulate(server, None, fixed).0);
        let best = best.into_iter().max().unwrap_or_default();
        let (answers, refusals, limit) = simulate(server, Some(Adaptive::new(CEILING)), CEILING);
        println!("{name}: {answers} of {best}, {refusals} refused, {limit} at the end");
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
fn a_healthy_server_is_asked_by_all_and_no_rate_is_learned() {
    let (_, refusals, limit) = simulate(SERVERS[4].1, Some(Adaptive::new(CEILING)), CEILING);
    assert_eq!((refusals, limit), (0, CEILING));
}

#[test]
fn refusals_of_one_that_was_alone_are_no_reason_to_ask_less_at_once() {
    let mut rule = Adaptive::new(CEILING);
    for _ in 0..3 {
        let mut window = Window {
            elapsed: TICK,
            ..Window::default()
        };
        (0..20).for_each(|_| window.note(End::Answer, ms(5), false));
        window.note(End::Refused, ms(1), true);
        rule = rule.after(&window);
    }
    assert_eq!(rule.allowed().at_once, CEILING);
}

#[test]
fn refusals_that_nothing_makes_an_end_of_are_not_let_slow_anything_down_for_good() {
    let at_random: Server = |now, at_once, _| {
        let seed = now.as_millis() as u64 * 64 + at_once as u64;
        match (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 10 {
            0 => (End::Refused, ms(1)),
            _ => (End::Answer, ms(20)),
        }
    };
    let best = simulate(at_random, None, CEILING).0;
    let (answers, _, _) = simulate(at_random, Some(Adaptive::new(CEILING)), CEILING);
    println!("{answers} of {best}");
    assert!(answers * 2 >= best, "{answers} of {best}");
}

#[test]
fn a_handful_of_attempts_changes_nothing() {
    let mut rule = Adaptive::new(CEILING);
    let open = rule.allowed();
    let ends = [
        End::Answer,
        End::Refused,
        End::Limited,
        End::Broken,
        End::Broken,
    ];
    for end in ends.repeat(3) {
        let mut window = Window {
            elapsed: TICK,
            ..Window::default()
        };
        window.note(end, ms(50), false);
        rule = rule.after(&window);
        assert_eq!(rule.allowed(), open);
    }
}
