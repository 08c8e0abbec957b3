//! Random replies, settings and cancellation points. After every run the invariants hold, and each id has the outcome that a
//! model expects.
//!
//! `PROPTEST_CASES=20000 cargo test --test engine properties` tries more cases. A failing case is printed and kept in
//! `proptest-regressions`; the next run tries it first.

use std::time::Duration;

use futures_util::future::try_join_all;
use hn_ingest::{Config, FailureKind, Priority, Start, test_util::Reply};
use proptest::{collection::vec, option, prelude::*};

use crate::{
    fixture::{Fixture, PANICS_IN_DECODE, PANICS_IN_WRITE},
    support::in_system,
};

/// One kind of answer of the server.
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

/// How an id ends.
#[derive(Clone, Copy, Debug)]
struct ExpectedOutcome {
    outcome: &'static str,
    /// The kind of a failure.
    kind: Option<&'static str>,
}

const fn settled(outcome: &'static str) -> ExpectedOutcome {
    ExpectedOutcome {
        outcome,
        kind: None,
    }
}

const fn failed(kind: &'static str) -> ExpectedOutcome {
    ExpectedOutcome {
        outcome: "failed",
        kind: Some(kind),
    }
}

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
            // It sends a few bytes first. Without them a kept connection counts as stale, and its request is sent again.
            Self::Reset => Reply::raw("HTTP/1.1 2"),
            Self::Silence => Reply::hang(),
            Self::Html => Reply::body("<html>"),
            Self::TooLarge => Reply::json("x".repeat(200)),
        }
    }

    /// How it ends an id that has no attempt left.
    fn outcome(self) -> ExpectedOutcome {
        match self {
            Self::Note => settled("stored"),
            Self::Null | Self::Gone => settled("absent"),
            Self::NotFound | Self::Unavailable => failed("status"),
            Self::Cut | Self::ChunksCut | Self::Reset => failed("reset"),
            Self::Silence => failed("timeout"),
            Self::Html => failed("decode"),
            Self::TooLarge => failed("body"),
        }
    }

    fn is_retried(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::Cut | Self::ChunksCut | Self::Reset | Self::Silence
        )
    }
}

/// How an id should end, and after how many attempts.
fn expected(script: &[Answer], attempts_max: u32) -> (ExpectedOutcome, u32) {
    let answers = script.iter().chain(script.last().into_iter().cycle());
    for (attempt, answer) in (1..=attempts_max).zip(answers) {
        if !answer.is_retried() || attempt == attempts_max {
            return (answer.outcome(), attempt);
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
    /// The answers for each id.
    scripts: Vec<Vec<Answer>>,
    workers: usize,
    mailbox: usize,
    batch: usize,
    /// In milliseconds.
    linger: u64,
    attempts: u32,
    /// The priorities of the runs that share the ids.
    runs: Vec<Priority>,
    /// Cancels the first run after this many requests.
    cancel_after: Option<usize>,
    /// Whether the list has ids whose decoding or writing panics.
    panicking: bool,
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::Low),
        Just(Priority::Normal),
        Just(Priority::High)
    ]
}

prop_compose! {
    fn case()(
        scripts in vec(vec(answer(), 1..4), 0..30),
        workers in 1..7_usize,
        mailbox in 0..4_usize,
        batch in 1..20_usize,
        linger in 0..4_u64,
        attempts in 1..4_u32,
        runs in vec(priority(), 1..4),
        cancel_after in option::weighted(0.3, 0..30_usize),
        panicking: bool,
    ) -> Case {
        Case { scripts, workers, mailbox, batch, linger, attempts, runs, cancel_after, panicking }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_id_ends_as_its_answers_say(case in case()) {
        run_and_check(&case, Duration::from_secs(60), true);
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
        // The timeout is short, so on a busy machine any answer may come too late. The model cannot say how an id ends.
        run_and_check(&case, Duration::from_millis(40), false);
    }
}

fn pick(index: prop::sample::Index, scripts: &mut [Vec<Answer>]) -> Option<&mut Vec<Answer>> {
    (!scripts.is_empty()).then(|| index.get_mut(scripts))
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(500)
}

/// Runs the case and checks the invariants. With `check_outcomes` it also compares each id with the model.
fn run_and_check(case: &Case, timeout: Duration, check_outcomes: bool) {
    let mut fixture = Fixture::new();
    fixture.config = Config {
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
        fixture.on(id, script.iter().map(|answer| answer.reply()));
        ids.push(id);
    }
    if case.panicking {
        ids.extend([PANICS_IN_DECODE, PANICS_IN_WRITE]);
    }
    let requested = ids.len();
    let count = case.runs.len();
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        let runs: Vec<_> = (0..count)
            .map(|first| {
                let ids: Vec<_> = ids.iter().skip(first).step_by(count).copied().collect();
                pipeline.start(Start::list(ids).priority(case.runs[first]))
            })
            .collect();
        if let Some(after) = case.cancel_after {
            fixture.wait_for_requests(after.min(requested)).await;
            runs[0].cancel();
        }
        try_join_all(runs).await.unwrap()
    });

    fixture.check_reports(&reports);
    let totals = || reports.iter().map(|report| &report.totals);
    let stats = fixture.server.stats();
    assert_eq!(
        totals().map(|totals| totals.requested).sum::<u64>(),
        requested as u64
    );
    assert!(stats.peak_in_flight <= case.workers, "{stats:?}");
    for totals in totals() {
        assert!(totals.in_flight_peak <= case.workers as u64, "{totals:?}");
        assert!(totals.unsaved_peak <= 2 * case.batch as u64, "{totals:?}");
    }
    assert!(totals().skip(1).all(|totals| totals.not_attempted == 0));
    assert_eq!(
        fixture.count_rows("outcomes"),
        fixture.count_rows("(SELECT DISTINCT id FROM outcomes)")
    );
    if case.cancel_after.is_some() || !check_outcomes {
        return;
    }
    assert!(totals().all(|totals| totals.not_attempted == 0));
    // Ten failed attempts in a row make a run doubt the API.
    let may_have_doubted_the_api = totals().any(|totals| {
        let kinds = FailureKind::ALL.iter();
        kinds.map(|kind| totals.attempts_failed(*kind)).sum::<u64>() >= 10
    });
    for (id, script) in (1..).zip(&case.scripts) {
        let (mut expected, mut attempts) = expected(script, case.attempts);
        let hits = fixture.hits(id) as u32;
        if hits > attempts && may_have_doubted_the_api {
            // The id failed in a long streak of failed attempts and was asked for again: the last reply decides.
            expected = script[script.len().min(hits as usize) - 1].outcome();
            attempts = hits;
        }
        let ExpectedOutcome { outcome, kind } = expected;
        let kind = kind.map_or("kind IS NULL".to_owned(), |kind| format!("kind = '{kind}'"));
        let rows = fixture.count_rows(&format!(
            "outcomes WHERE id = {id} AND outcome = '{outcome}' AND {kind}"
        ));
        assert_eq!(rows, 1, "{id} should be {outcome}, {kind}");
        // A kept connection may break once more than the script says, which costs an attempt.
        assert!(
            fixture.hits(id) >= 1 && fixture.hits(id) <= attempts as usize,
            "{id}: {attempts}"
        );
    }
}
