//! `tune`: the sweep, its report, the requests that it sends, and when it stops.

use std::{collections::BTreeSet, fs};

use hn_ingest::test_util::{Latch, Reply};
use serde_json::{Value, json};

use crate::common::{Api, Call, Finished, Sandbox, id_of, story, wait_until, words};

/// A sweep in short steps, with a JSON report. The steps are longer than a busy machine may stall.
const SHORT: [&str; 5] = ["tune", "--step-time", "1s", "--format", "json"];

fn report(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn each<'a>(report: &'a Value, key: &'a str) -> Vec<&'a Value> {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| &step[key]).collect()
}

/// An API of stories that also serves its largest id.
fn api_with_largest_id() -> Api {
    let api = Api::of_stories();
    api.0.on("/v0/maxitem.json", [Reply::json("1000000")]);
    api
}

/// A sweep of this API, with a JSON report.
fn live(sandbox: &Sandbox, api: &Api, args: &[&str]) -> Call {
    sandbox.call_with(api, &["tune", "--live"]).args(args)
}

#[test]
fn more_workers_make_a_higher_rate_from_an_api_20_ms_away() {
    let sandbox = Sandbox::new();
    let args = ["--steps", "4,1,2", "--latency", "20ms"];
    let finished = sandbox.run(&[&SHORT[..], &args].concat()).exits(0);
    let report = report(&finished);
    assert_eq!(
        (&report["command"], &report["api"], &report["stopped"]),
        (&json!("tune"), &json!("mock"), &Value::Null)
    );
    assert_eq!(report["latency_ms"], json!({"min": 20.0, "max": 20.0}));
    assert_eq!(each(&report, "workers"), [1, 2, 4]);
    let rates = each(&report, "items_per_second");
    let rates: Vec<_> = rates.iter().map(|rate| rate.as_f64().unwrap()).collect();
    assert!(rates.is_sorted() && rates[0] > 0.0, "{report}");
    for step in report["steps"].as_array().unwrap() {
        let latency = |key: &str| step["latency_ms"][key].as_f64().unwrap();
        let ordered = ["p50", "p90", "p99", "max"].map(latency);
        assert!(ordered.is_sorted() && ordered[0] >= 19.0, "{step}");
        assert_eq!(step["failed"], 0);
        assert!(step["attempts"].as_u64() >= step["stored"].as_u64());
    }
    // The rates were still rising at the last step.
    assert_eq!(report["knee"], Value::Null);
    assert_eq!(report["environment"], json!({"INGEST_WORKERS": "4"}));
}

#[test]
fn the_text_ends_with_the_line_for_the_environment_and_no_file_is_left_behind() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("tmp")).unwrap();
    let args = words("tune --step-time 1s --steps 2 --latency 5ms");
    let finished = sandbox
        .call(&args)
        .env("TMPDIR", sandbox.path("tmp"))
        .run()
        .exits(0);
    let lines: Vec<_> = finished.stdout.lines().collect();
    assert!(lines[0].trim_start().starts_with("workers"), "{finished:?}");
    assert_eq!(lines.last(), Some(&"export INGEST_WORKERS=2"));
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{finished:?}"
    );
    assert!(
        !finished.stdout.contains('\u{1b}'),
        "no colour in a pipe: {finished:?}"
    );
    // A message says in advance how long it takes.
    assert!(
        finished.stderr.contains("1 step of 1s, 1s in all"),
        "{finished:?}"
    );
    assert_eq!(sandbox.files(), ["tmp"], "the database is not touched");
    assert_eq!(fs::read_dir(sandbox.path("tmp")).unwrap().count(), 0);
}

#[test]
fn a_sweep_that_makes_no_sense_is_refused() {
    let api = "http://127.0.0.1:1/v0";
    for (args, parts) in [
        (&["--live"][..], &["--live", "--rate"][..]),
        (&["--live", "--rate", "0"], &["--live", "--rate"]),
        (&["--live", "--rate", "5", "--demo"], &["--live", "--demo"]),
        (
            &["--live", "--rate", "5", "--latency", "1ms"],
            &["--live", "--latency"],
        ),
        (&["--api-url", api], &["--api-url", "--live"]),
        (&["--workers", "3"], &["--workers", "--steps"]),
        (&["--steps", "1,x"], &["--steps", "`x`", "1 to 4096"]),
        (&["--steps", ""], &["--steps", "1 to 4096"]),
        (&["--steps", "0"], &["--steps", "1 to 4096"]),
        (&["--max-workers", "4097"], &["--max-workers", "1 to 4096"]),
        (
            &["--steps", "1", "--max-workers", "2"],
            &["--steps", "--max-workers"],
        ),
        (
            &["--step-time", "3"],
            &["--step-time", "`3`", "with a unit"],
        ),
        (&["--latency", "80"], &["--latency", "`80`", "80ms"]),
        // No server listens there.
        (
            &[
                "--live",
                "--rate",
                "50",
                "--api-url",
                api,
                "--attempts",
                "1",
            ],
            &[api, "connect"],
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.run(&[&["tune"], args].concat()).refuses(parts);
        assert_eq!(sandbox.files(), [""; 0]);
    }
}

#[test]
fn the_text_names_no_knee_either_where_the_steps_show_none() {
    let sandbox = Sandbox::new();
    let fast = ["tune", "--step-time", "500ms", "--latency", "20ms"];
    for steps in ["2", "1,4"] {
        let args = [&fast[..], &["--steps", steps]].concat();
        let finished = sandbox.run(&args).exits(0);
        assert!(
            finished.stdout.contains("no knee within the steps"),
            "{finished:?}"
        );
        assert!(
            finished.stdout.contains("export INGEST_WORKERS="),
            "{finished:?}"
        );
        let finished = sandbox.run(&[&args[..], &["--format", "json"]].concat());
        assert_eq!(report(&finished.exits(0))["knee"], Value::Null);
    }
}

#[test]
fn without_live_the_api_of_the_environment_gets_no_request_and_a_message_says_so() {
    let sandbox = Sandbox::new();
    let api = api_with_largest_id();
    let args = ["--steps", "1", "--step-time", "1s", "--latency", "5ms"];
    let finished = sandbox
        .call(&[&["tune"][..], &args].concat())
        .env("INGEST_API_URL", api.url())
        .run()
        .exits(0);
    assert!(
        finished.stderr.contains("INGEST_API_URL is not asked"),
        "{finished:?}"
    );
    assert_eq!(api.0.stats().requests, 0);
}

#[test]
fn a_live_api_gets_no_more_than_the_rate_over_all_steps_and_random_ids() {
    let sandbox = Sandbox::new();
    let api = api_with_largest_id();
    let call = live(&sandbox, &api, &["--steps", "4,8,16", "--step-time", "1s"]);
    let finished = call.env("INGEST_RATE", "60").run().exits(0);
    let requests = api.0.requests();
    let took = requests[requests.len() - 1].at - requests[0].at;
    // One for the first request, and three for the burst that a pause allows.
    let most = 60.0 * took.as_secs_f64() + 4.0;
    assert!(
        requests.len() as f64 <= most,
        "{} in {took:?}",
        requests.len()
    );
    let ids: Vec<_> = requests.iter().filter_map(|one| id_of(&one.path)).collect();
    assert!(ids.iter().any(|id| *id > 500_000), "{ids:?}");
    assert!(!ids.is_sorted(), "{ids:?}");
    let environment = &report(&finished)["environment"];
    assert_eq!(environment["INGEST_RATE"], "60");
    assert!(environment["INGEST_WORKERS"].is_string());
}

#[test]
fn a_live_sweep_stops_at_the_first_429_and_names_the_workers() {
    let sandbox = Sandbox::new();
    let api = api_with_largest_id();
    // The API answers no request until eight are in flight, and then refuses them all.
    let gate = Latch::new();
    let held = gate.clone();
    api.0.otherwise(move |path| match id_of(path) {
        Some(_) => Reply::status(429)
            .header("retry-after", "600")
            .held_by(&held),
        None => Reply::status(404),
    });
    let running = live(
        &sandbox,
        &api,
        &["--steps", "8,16", "--rate", "1000", "--step-time", "20s"],
    )
    .start();
    api.0.wait_in_flight(8);
    gate.open();
    let finished = running.wait().exits(1);
    let report = report(&finished);
    let why = report["stopped"].as_str().unwrap();
    assert!(
        why.contains("pushed back at 8 workers") && why.contains("429"),
        "{report}"
    );
    assert_eq!(each(&report, "workers"), [8]);
    assert_eq!(
        (&report["knee"], &report["environment"]),
        (&Value::Null, &json!({}))
    );
    // One for the largest id, those in flight, and no more after the first answer.
    assert!(api.0.stats().requests <= 1 + 8 + 8, "{:?}", api.0.stats());
}

#[test]
fn a_live_sweep_stops_when_many_attempts_fail() {
    let sandbox = Sandbox::new();
    let api = api_with_largest_id();
    api.0.otherwise(|path| match id_of(path) {
        Some(id) if id % 2 == 0 => Reply::json(story(id, id)),
        _ => Reply::status(500),
    });
    let args = ["--steps", "4,8", "--rate", "200", "--attempts", "1"];
    let finished = live(&sandbox, &api, &args).run().exits(1);
    let report = report(&finished);
    let why = report["stopped"].as_str().unwrap();
    assert!(why.contains("attempts failed at 4 workers"), "{report}");
}

#[test]
fn an_interrupted_sweep_reports_what_it_has_and_leaves_no_file_behind() {
    let sandbox = Sandbox::new();
    let api = api_with_largest_id();
    fs::create_dir(sandbox.path("tmp")).unwrap();
    let running = sandbox
        .call(&words("tune --steps 1,2 --step-time 1h --live --rate 100"))
        .args(&["--api-url", &api.url()])
        .env("TMPDIR", sandbox.path("tmp"))
        .start();
    api.0.wait_for(|stats| stats.requests > 5);
    running.signal("INT");
    let finished = running.wait().exits(130);
    assert!(finished.stdout.contains("Interrupted."), "{finished:?}");
    assert!(
        !finished.stdout.contains("export"),
        "no step was finished: {finished:?}"
    );
    assert_eq!(fs::read_dir(sandbox.path("tmp")).unwrap().count(), 0);
}

#[test]
fn a_sweep_leaves_no_file_behind_however_signals_end_it() {
    for name in ["INT", "TERM", "HUP"] {
        let sandbox = Sandbox::new();
        let api = api_with_largest_id();
        api.0.otherwise(|_| Reply::hang());
        fs::create_dir(sandbox.path("tmp")).unwrap();
        let mut running = sandbox
            .call(&words(
                "tune --steps 1 --step-time 1h --live --rate 100 --drain 1h --timeout 1h",
            ))
            .args(&["--api-url", &api.url()])
            .env("TMPDIR", sandbox.path("tmp"))
            .start();
        api.0.wait_for(|stats| stats.requests > 1);
        assert_eq!(fs::read_dir(sandbox.path("tmp")).unwrap().count(), 1);
        running.signal_until_it_ends(name);
        assert_eq!(
            fs::read_dir(sandbox.path("tmp")).unwrap().count(),
            0,
            "{name}"
        );
    }
}

#[test]
fn a_sweep_deletes_what_one_that_was_killed_left_behind() {
    let sandbox = Sandbox::new();
    let api = api_with_largest_id();
    let folder = sandbox.path("tmp");
    fs::create_dir(&folder).unwrap();
    let names = || -> BTreeSet<_> {
        let entries = fs::read_dir(&folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let start = || {
        let before = names();
        let running = sandbox
            .call(&words("tune --steps 1 --step-time 1h --live --rate 100"))
            .args(&["--api-url", &api.url()])
            .env("TMPDIR", &folder)
            .start();
        wait_until("it has made a folder", || !names().is_subset(&before));
        running
    };
    let killed = start();
    // Its folder is locked once its database is there.
    wait_until("it has a database", || {
        names()
            .iter()
            .all(|name| folder.join(name).join("tune.db").exists())
    });
    let left_behind = names();
    killed.signal("KILL");
    killed.wait();
    let pair = [start(), start()];
    assert_eq!(names().len(), 2);
    assert!(names().is_disjoint(&left_behind));
    for running in pair {
        running.signal("INT");
        running.wait().exits(130);
    }
    assert!(names().is_empty());
}

#[test]
fn a_closed_stdout_ends_the_output_without_a_panic() {
    let sandbox = Sandbox::new();
    let args = words("tune --steps 1,2 --step-time 1s --latency 5ms --progress never");
    let mut running = sandbox.call(&args).start();
    drop(running.child().stdout.take());
    assert_eq!(running.wait().exits(0).stderr, "");
}

/// The binary where a shell allows no more open files than this.
fn with_open_files(sandbox: &Sandbox, limit: &str, args: &[&str]) -> Finished {
    Call::new("/bin/sh", sandbox)
        .args(&["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")])
        .args(&[env!("CARGO_BIN_EXE_hn-ingest")])
        .args(args)
        .run()
}

#[test]
fn a_soft_limit_of_open_files_is_raised_and_a_hard_one_leaves_out_the_steps_beyond_it() {
    let sandbox = Sandbox::new();
    let args = [&SHORT[..], &["--steps", "4,200", "--latency", "10ms"]].concat();
    let soft = report(&with_open_files(&sandbox, "-Sn 100", &args).exits(0));
    assert_eq!(each(&soft, "workers"), [4, 200]);
    assert_eq!(each(&soft, "attempts_failed"), [0, 0]);
    let finished = with_open_files(&sandbox, "-n 100", &args).exits(0);
    assert_eq!(each(&report(&finished), "workers"), [4]);
    assert!(finished.stderr.contains("ulimit -n"), "{finished:?}");
}
