//! `tune`: the sweep, what it says, what it asks of whom, and when it stops.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use crate::common::{Api, Home, Ran, Running, id_of, story};
use hn_ingest::test_util::{Gate, Reply};
use serde_json::{Value, json};

/// In short steps, as JSON; longer than a busy machine may stall.
const SHORT: [&str; 5] = ["tune", "--step-time", "1s", "--format", "json"];

fn told(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn each<'a>(told: &'a Value, key: &'a str) -> Vec<&'a Value> {
    let steps = told["steps"].as_array().unwrap();
    steps.iter().map(|step| &step[key]).collect()
}

/// An API of stories that says how many there are.
fn api() -> Api {
    let api = Api::of_stories();
    api.0.on("/v0/maxitem.json", [Reply::json("1000000")]);
    api
}

fn live(home: &Home, api: &Api, args: &[&str]) -> Command {
    let url = api.url();
    let live = [
        "tune",
        "--live",
        "--api-url",
        &url,
        "--backoff",
        "1ms",
        "--format",
        "json",
    ];
    home.command(&[&live, args].concat())
}

#[test]
fn more_workers_make_a_higher_rate_from_an_api_20_ms_away() {
    let home = Home::new();
    let args = ["--steps", "4,1,2", "--latency", "20ms"];
    let ran = home.run(&[&SHORT[..], &args].concat()).exits(0);
    let told = told(&ran);
    assert_eq!(
        (&told["command"], &told["api"], &told["stopped"]),
        (&json!("tune"), &json!("mock"), &Value::Null)
    );
    assert_eq!(told["latency_ms"], json!({"min": 20.0, "max": 20.0}));
    assert_eq!(each(&told, "workers"), [1, 2, 4]);
    let rates = each(&told, "items_per_second");
    let rates: Vec<_> = rates.iter().map(|rate| rate.as_f64().unwrap()).collect();
    assert!(rates.is_sorted() && rates[0] > 0.0, "{told}");
    for step in told["steps"].as_array().unwrap() {
        let latency = |key: &str| step["latency_ms"][key].as_f64().unwrap();
        let ordered = ["p50", "p90", "p99", "max"].map(latency);
        assert!(ordered.is_sorted() && ordered[0] >= 19.0, "{step}");
        assert_eq!(step["failed"], 0);
        assert!(step["attempts"].as_u64() >= step["stored"].as_u64());
    }
    let knee = told["knee"].as_u64().unwrap().to_string();
    assert_eq!(told["environment"], json!({"INGEST_WORKERS": knee}));
}

#[test]
fn the_text_ends_with_the_line_for_the_environment_and_leaves_nothing_behind() {
    let home = Home::new();
    fs::create_dir(home.path("tmp")).unwrap();
    let args = [
        "tune",
        "--step-time",
        "1s",
        "--steps",
        "2",
        "--latency",
        "5ms",
    ];
    let mut command = home.command(&args);
    let ran = Running::start(command.env("TMPDIR", home.path("tmp")))
        .wait()
        .exits(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].trim_start().starts_with("workers"), "{ran:?}");
    assert_eq!(lines.last(), Some(&"export INGEST_WORKERS=2"));
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{ran:?}"
    );
    assert!(
        !ran.stdout.contains('\u{1b}'),
        "no colour in a pipe: {ran:?}"
    );
    // How long it takes is said beforehand.
    assert!(ran.stderr.contains("1 step of 1s, 1s in all"), "{ran:?}");
    assert_eq!(home.files(), ["tmp"], "the database is not touched");
    assert_eq!(fs::read_dir(home.path("tmp")).unwrap().count(), 0);
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
        // Nobody listens there.
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
        let home = Home::new();
        home.run(&[&["tune"], args].concat()).refuses(parts);
        assert_eq!(home.files(), [""; 0]);
    }
}

#[test]
fn a_flag_that_means_nothing_to_tune_is_said_to() {
    let home = Home::new();
    let args = ["--database", "mine.db", "--limit", "5"];
    let short = ["--steps", "1", "--step-time", "500ms", "--latency", "5ms"];
    let ran = home.run(&[&["tune"][..], &args, &short].concat()).exits(0);
    for flag in ["--database", "--limit"] {
        let told = format!("{flag} means nothing to tune");
        assert!(ran.stderr.contains(&told), "{ran:?}");
    }
    assert!(!ran.stderr.contains("--adaptive"), "{ran:?}");
}

#[test]
fn without_live_the_api_of_the_environment_is_not_asked_and_that_is_said() {
    let (home, api) = (Home::new(), api());
    let args = ["--steps", "1", "--step-time", "1s", "--latency", "5ms"];
    let mut command = home.command(&[&["tune"][..], &args].concat());
    let ran = Running::start(command.env("INGEST_API_URL", api.url()))
        .wait()
        .exits(0);
    assert!(
        ran.stderr.contains("INGEST_API_URL is not asked"),
        "{ran:?}"
    );
    assert_eq!(api.0.stats().requests, 0);
}

#[test]
fn a_live_api_gets_no_more_than_the_rate_over_all_steps_and_random_ids() {
    let (home, api) = (Home::new(), api());
    let mut command = live(&home, &api, &["--steps", "4,8,16", "--step-time", "1s"]);
    let ran = Running::start(command.env("INGEST_RATE", "60"))
        .wait()
        .exits(0);
    let requests = api.0.requests();
    let took = requests[requests.len() - 1].at - requests[0].at;
    // The first of them, and three for the burst that a pause leaves room for.
    let most = 60.0 * took.as_secs_f64() + 4.0;
    assert!(
        requests.len() as f64 <= most,
        "{} in {took:?}",
        requests.len()
    );
    let ids: Vec<_> = requests.iter().filter_map(|one| id_of(&one.path)).collect();
    assert!(ids.iter().any(|id| *id > 500_000), "{ids:?}");
    assert!(!ids.is_sorted(), "{ids:?}");
    let environment = &told(&ran)["environment"];
    assert_eq!(environment["INGEST_RATE"], "60");
    assert!(environment["INGEST_WORKERS"].is_string());
}

#[test]
fn a_live_sweep_stops_at_the_first_429_and_names_the_workers() {
    let (home, api) = (Home::new(), api());
    // Eight requests at once are too many for it, and it answers none of fewer before there are as many as there will be.
    let gate = Gate::new();
    let held = gate.clone();
    api.0.otherwise(move |path| match id_of(path) {
        Some(_) => Reply::status(429)
            .header("retry-after", "600")
            .held_by(&held),
        None => Reply::status(404),
    });
    let running = Running::start(&mut live(
        &home,
        &api,
        &["--steps", "8,16", "--rate", "1000", "--step-time", "20s"],
    ));
    api.0.wait_in_flight(8);
    gate.open();
    let ran = running.wait().exits(1);
    let told = told(&ran);
    let why = told["stopped"].as_str().unwrap();
    assert!(
        why.contains("pushed back at 8 workers") && why.contains("429"),
        "{told}"
    );
    assert_eq!(each(&told, "workers"), [8]);
    assert_eq!(
        (&told["knee"], &told["environment"]),
        (&Value::Null, &json!({}))
    );
    // maxitem, those in flight, and nobody after the first answer.
    assert!(api.0.stats().requests <= 1 + 8 + 8, "{:?}", api.0.stats());
}

#[test]
fn a_live_sweep_stops_when_many_attempts_fail() {
    let (home, api) = (Home::new(), api());
    api.0.otherwise(|path| match id_of(path) {
        Some(id) if id % 2 == 0 => Reply::json(story(id, id)),
        _ => Reply::status(500),
    });
    let args = ["--steps", "4,8", "--rate", "200", "--attempts", "1"];
    let ran = Running::start(&mut live(&home, &api, &args))
        .wait()
        .exits(1);
    let told = told(&ran);
    let why = told["stopped"].as_str().unwrap();
    assert!(why.contains("attempts failed at 4 workers"), "{told}");
}

#[test]
fn an_interrupted_sweep_tells_what_it_has_and_leaves_nothing_behind() {
    let (home, api) = (Home::new(), api());
    fs::create_dir(home.path("tmp")).unwrap();
    let mut command = home.command(&[
        "tune",
        "--steps",
        "1,2",
        "--step-time",
        "1h",
        "--live",
        "--rate",
        "100",
    ]);
    command
        .args(["--api-url", &api.url()])
        .env("TMPDIR", home.path("tmp"));
    let running = Running::start(&mut command);
    api.0.wait_for(|stats| stats.requests > 5);
    running.signal("INT");
    let ran = running.wait().exits(130);
    assert!(ran.stdout.contains("Interrupted."), "{ran:?}");
    assert!(
        !ran.stdout.contains("export"),
        "no step was finished: {ran:?}"
    );
    assert_eq!(fs::read_dir(home.path("tmp")).unwrap().count(), 0);
}

#[test]
fn a_closed_stdout_ends_the_output_without_a_panic() {
    let home = Home::new();
    let args = [
        "tune",
        "--steps",
        "1,2",
        "--step-time",
        "1s",
        "--latency",
        "5ms",
        "--progress",
        "never",
    ];
    let mut running = Running::start(&mut home.command(&args));
    drop(running.child().stdout.take());
    assert_eq!(running.wait().exits(0).stderr, "");
}

/// The binary where a shell allows no more open files than this.
fn with_open_files(home: &Home, limit: &str, args: &[&str]) -> Ran {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_hn-ingest"))
        .args(args)
        .env_clear()
        .current_dir(home.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running::start(&mut shell).wait_within(Duration::from_secs(30))
}

#[test]
fn a_soft_limit_of_open_files_is_raised_and_a_hard_one_leaves_out_the_steps_beyond_it() {
    let home = Home::new();
    let args = [&SHORT[..], &["--steps", "4,200", "--latency", "10ms"]].concat();
    let soft = told(&with_open_files(&home, "-Sn 100", &args).exits(0));
    assert_eq!(each(&soft, "workers"), [4, 200]);
    assert_eq!(each(&soft, "attempts_failed"), [0, 0]);
    let ran = with_open_files(&home, "-n 100", &args).exits(0);
    assert_eq!(each(&told(&ran), "workers"), [4]);
    assert!(ran.stderr.contains("ulimit -n"), "{ran:?}");
}
