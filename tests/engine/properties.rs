//! Random replies, settings and cancellation points: after every run the invariants hold, against a model of what each id should
//! have come to.
//!
//! `PROPTEST_CASES=20000 cargo test --test engine properties` tries more. A failing case prints itself, and the next run tries it
//! again first (it is kept in `proptest-regressions`).

use std::time::Duration;

use hn_ingest::{Config, test_util::Reply};
use proptest::{collection::vec, option, prelude::*};

use crate::world::{PANICS_IN_DECODE, PANICS_IN_WRITE, World, in_system};

/// One answer of the server.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Note,
    Null,
    Gone,
    NotFound,
    Unavailable,
    Cut,
    ChunksCut,
    Reset,
    Silence,
    Html,
    TooLarge,
}

/// What an id comes to: an outcome, or the kind of its failure.
type End = (&'static str, Option<&'static str>);

impl Answer {
    fn reply(self) -> Reply {
        match self {
            Self::Note => Reply::json("{\"note\": 1}"),
            Self::Null => Reply::json("null"),
            Self::Gone => Reply::status(410),
            Self::NotFound => Reply::status(404),
            Self::Unavailable => Reply::status(503),
            Self::Cut => Reply::json("{\"note\": 1}").cut_at(4),
            Self::ChunksCut => Reply::json("{\"note\": 1}").chunked().cut_at(4),
            // With a byte of an answer: without, a connection that was used before is taken for stale, and its request made anew.
            Self::Reset => Reply::raw("HTTP/1.1 2"),
            Self::Silence => Reply::hang(),
            Self::Html => Reply::body("<html>"),
            Self::TooLarge => Reply::json("x".repeat(200)),
        }
    }

    /// How it ends an id, and whether another attempt comes first.
    fn end(self) -> (End, bool) {
        match self {
            Self::Note => (("stored", None), false),
            Self::Null | Self::Gone => (("absent", None), false),
            Self::NotFound => (("failed", Some("status")), false),
            Self::Unavailable => (("failed", Some("status")), true),
            Self::Cut | Self::ChunksCut | Self::Reset => (("failed", Some("reset")), true),
            Self::Silence => (("failed", Some("timeout")), true),
            Self::Html => (("failed", Some("decode")), false),
            Self::TooLarge => (("failed", Some("body")), false),
        }
    }
}

/// What an id should come to, and in how many attempts.
fn model(script: &[Answer], attempts_max: u32) -> (End, u32) {
    let answers = script.iter().chain(script.last().into_iter().cycle());
    for (attempt, answer) in (1..=attempts_max).zip(answers) {
        let (end, again) = answer.end();
        if !again || attempt == attempts_max {
            return (end, attempt);
        }
    }
    unreachable!("there is at least one attempt and one answer")
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        12 => Just(Answer::Note),
        2 => Just(Answer::Null),
        1 => Just(Answer::Gone),
        1 => Just(Answer::NotFound),
        3 => Just(Answer::Unavailable),
        1 => Just(Answer::Cut),
        1 => Just(Answer::ChunksCut),
        1 => Just(Answer::Reset),
        1 => Just(Answer::Html),
        1 => Just(Answer::TooLarge),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    scripts: Vec<Vec<Answer>>,
    workers: usize,
    mailbox: usize,
    batch: usize,
    linger: u64,
    attempts: u32,
    /// Cancels when so many requests came in.
    cancel_after: Option<usize>,
    panicking: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let scripts = vec(vec(answer(), 1..4), 0..30);
    let cancel = option::weighted(0.3, 0..30_usize);
    (
        scripts,
        1..7_usize,
        0..4_usize,
        1..20_usize,
        0..4_u64,
        1..4_u32,
        cancel,
        any::<bool>(),
    )
        .prop_map(
            |(scripts, workers, mailbox, batch, linger, attempts, cancel_after, panicking)| Case {
                scripts,
                workers,
                mailbox,
                batch,
                linger,
                attempts,
                cancel_after,
                panicking,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_id_comes_to_what_its_answers_say(case in case()) {
        let timeout = Duration::from_secs(60);
        holds(&case, timeout, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 40, ..ProptestConfig::default() })]

    #[test]
    fn every_id_is_accounted_for_when_the_server_falls_silent(
        mut case in case(),
        silent in vec(any::<prop::sample::Index>(), 1..3),
    ) {
        for index in silent {
            if let Some(script) = pick(index, &mut case.scripts) {
                script.push(Answer::Silence);
            }
        }
        // Short, so that an answer may come too late on a busy machine: what each id comes to is not foretold here.
        holds(&case, Duration::from_millis(40), false);
    }
}

fn pick(index: prop::sample::Index, scripts: &mut [Vec<Answer>]) -> Option<&mut Vec<Answer>> {
    (!scripts.is_empty()).then(|| index.get_mut(scripts))
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2000)
}

fn holds(case: &Case, timeout: Duration, foretold: bool) {
    let mut world = World::new();
    world.config = Config {
        workers: case.workers,
        mailbox: case.mailbox,
        batch: case.batch,
        linger: Duration::from_millis(case.linger),
        attempts: case.attempts,
        timeout,
        backoff: Duration::from_micros(100),
        max_body: 100,
        drain: Duration::from_millis(20),
        ..Config::default()
    };
    let mut ids = Vec::new();
    for (id, script) in (1..).zip(&case.scripts) {
        world.on(id, script.iter().map(|answer| answer.reply()));
        ids.push(id);
    }
    if case.panicking {
        ids.extend([PANICS_IN_DECODE, PANICS_IN_WRITE]);
    }
    let requested = ids.len();
    let report = in_system(async {
        let run = world.pipeline().await.run(ids);
        if let Some(after) = case.cancel_after {
            world.requested(after.min(requested)).await;
            run.cancel();
        }
        run.await.unwrap()
    });

    world.check(&report);
    let (totals, stats) = (&report.totals, world.server.stats());
    assert_eq!(totals.requested, requested as u64);
    assert!(stats.peak_in_flight <= case.workers, "{stats:?}");
    assert!(totals.in_flight_peak <= case.workers as u64, "{totals:?}");
    assert!(totals.unsaved_peak <= 2 * case.batch as u64, "{totals:?}");
    assert_eq!(
        world.count("outcomes"),
        world.count("(SELECT DISTINCT id FROM outcomes)")
    );
    if case.cancel_after.is_some() || !foretold {
        return;
    }
    assert_eq!(totals.not_attempted, 0);
    for (id, script) in (1..).zip(&case.scripts) {
        let ((outcome, kind), attempts) = model(script, case.attempts);
        let kind = kind.map_or("kind IS NULL".to_owned(), |kind| format!("kind = '{kind}'"));
        let told = world.count(&format!(
            "outcomes WHERE id = {id} AND outcome = '{outcome}' AND {kind}"
        ));
        assert_eq!(told, 1, "{id} should be {outcome}, {kind}");
        // A connection that was kept alive may break once more than was scripted, which costs an attempt.
        assert!(
            world.hits(id) >= 1 && world.hits(id) <= attempts as usize,
            "{id}: {attempts}"
        );
    }
}
