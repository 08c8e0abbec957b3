//! Flags, variables and defaults: which one counts, and the message about a bad one.

use hn_ingest::ingest::config::{Config, SETTINGS};
use serde_json::json;

use crate::common::{Api, Finished, Sandbox};

/// The contract's table: flag, variable, default as `--help` shows it.
const CONTRACT: [(&str, &str, &str); 17] = [
    ("database", "DATABASE_URL", "hn.db"),
    (
        "api-url",
        "INGEST_API_URL",
        "https://hacker-news.firebaseio.com/v0",
    ),
    ("limit", "INGEST_LIMIT", "20"),
    ("workers", "INGEST_WORKERS", "16"),
    ("mailbox", "INGEST_MAILBOX", "0"),
    ("timeout", "INGEST_TIMEOUT", "5s"),
    ("attempts", "INGEST_ATTEMPTS", "4"),
    ("backoff", "INGEST_BACKOFF", "1s"),
    ("backoff-max", "INGEST_BACKOFF_MAX", "30s"),
    ("rate", "INGEST_RATE", "0"),
    ("adaptive", "INGEST_ADAPTIVE", "false"),
    ("batch", "INGEST_BATCH", "500"),
    ("linger", "INGEST_LINGER", "100ms"),
    ("max-body", "INGEST_MAX_BODY", "8MiB"),
    ("format", "INGEST_FORMAT", "text"),
    ("progress", "INGEST_PROGRESS", "auto"),
    ("metrics", "INGEST_METRICS", "off"),
];

/// The binary's own settings: flag, variable, a bad value, a good one.
const OWN: [(&str, &str, &str, &str); 6] = [
    ("database", "DATABASE_URL", "mysql://root@host/db", "hn.db"),
    (
        "api-url",
        "INGEST_API_URL",
        "ftp://host/v0",
        "http://127.0.0.1:1/v0",
    ),
    ("limit", "INGEST_LIMIT", "-1", "5"),
    ("format", "INGEST_FORMAT", "xml", "text"),
    ("progress", "INGEST_PROGRESS", "loud", "never"),
    ("metrics", "INGEST_METRICS", "9090", "off"),
];

/// Every setting: flag, variable, a bad value, a good one.
fn settings() -> Vec<(String, &'static str, &'static str, String)> {
    let engine = SETTINGS.iter().map(|setting| {
        let good = (setting.show)(&Config::default());
        (flag_name(setting.name), setting.variable, "99x", good)
    });
    let own =
        OWN.map(|(flag, variable, bad, good)| (flag.to_owned(), variable, bad, good.to_owned()));
    own.into_iter().chain(engine).collect()
}

/// The binary's flag for a setting of the engine.
fn flag_name(setting: &str) -> String {
    setting.replace('_', "-")
}

fn with_variable(sandbox: &Sandbox, name: &str, value: &str, args: &[&str]) -> Finished {
    sandbox.call(args).env(name, value).run()
}

#[test]
fn help_shows_every_flag_with_its_variable_and_its_default() {
    let finished = Sandbox::new().run(&["--help"]).exits(0);
    let help = &finished.stdout;
    let engine = SETTINGS
        .iter()
        .map(|setting| (flag_name(setting.name), setting.variable, ""));
    let own = CONTRACT.map(|(flag, variable, default)| (flag.to_owned(), variable, default));
    for (flag, variable, default) in own.into_iter().chain(engine) {
        let flag = format!("--{flag} ");
        let lines: Vec<&str> = help.lines().collect();
        let at = lines.iter().position(|line| line.trim().starts_with(&flag));
        let at = at.unwrap_or_else(|| panic!("{flag} is not shown: {help}"));
        let entry = lines[at..]
            .iter()
            .take(3)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        for part in [format!("[env: {variable}]"), format!("[default: {default}")] {
            assert!(entry.contains(&part), "{part} of {flag}: {entry}");
        }
    }
    for word in [
        "--demo",
        "RUST_LOG",
        "top",
        "items",
        "mock-api",
        "130/143",
        "[default: environment]",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn the_documented_settings_are_those_of_the_program() {
    let documented = include_str!("../../docs/settings.md");
    let rows: Vec<_> = documented
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .collect();
    let engine = SETTINGS.iter().map(|setting| {
        let default = (setting.show)(&Config::default());
        (flag_name(setting.name), setting.variable, default)
    });
    let own = CONTRACT.map(|(flag, variable, default)| (flag.into(), variable, default.into()));
    for (flag, variable, default) in own.into_iter().chain(engine) {
        let default = if flag == "proxy" {
            // `Config::default` has no proxy. The program's default is the environment's.
            "the variables [below](#proxies)".to_owned()
        } else {
            format!("`{default}`")
        };
        let row = format!("| `--{flag}` | `{variable}` | {default} ");
        assert!(rows.iter().any(|line| line.starts_with(&row)), "{row}");
    }
    // No variable belongs to the first, and the others are for one command each.
    let others = ["--demo", "--refresh", "--bind"];
    assert_eq!(rows.len(), OWN.len() + SETTINGS.len() + others.len());
}

#[test]
fn help_and_version_exit_with_0_and_print_nothing_on_stderr() {
    for args in [
        ["--help"].as_slice(),
        &["--version"],
        &["items", "--help"],
        &["mock-api", "--help"],
        &["-h"],
        &["help", "status"],
    ] {
        let sandbox = Sandbox::new();
        let finished = sandbox.run(args).exits(0);
        assert!(
            finished.stderr.is_empty() && !finished.stdout.is_empty(),
            "{finished:?}"
        );
        assert!(sandbox.files().is_empty());
    }
}

#[test]
fn a_bad_variable_is_named_with_its_value_and_what_is_allowed() {
    let sandbox = Sandbox::new();
    for (_, variable, bad, _) in settings() {
        let message = format!("hn-ingest: {variable} is `{bad}`; allowed: ");
        with_variable(&sandbox, variable, bad, &["items", "1"]).refuses(&[&message]);
    }
    assert!(sandbox.files().is_empty(), "no database is made");
}

#[test]
fn a_bad_flag_is_named_with_its_value_even_when_its_variable_is_good() {
    let sandbox = Sandbox::new();
    for (flag, variable, bad, good) in settings() {
        let flag = format!("--{flag}");
        let message = format!("hn-ingest: {flag} is `{bad}`; allowed: ");
        with_variable(&sandbox, variable, &good, &["items", "1", &flag, bad]).refuses(&[&message]);
    }
}

#[test]
fn a_good_flag_goes_before_a_bad_variable() {
    // Settings are read in the order of their tables, so the message about a bad --drain proves that the setting before it was
    // accepted. --drain itself needs a run.
    let sandbox = Sandbox::new();
    for (flag, variable, bad, good) in settings() {
        let flag = format!("--{flag}");
        if flag == "--drain" {
            let api = Api::of_stories();
            let call = sandbox.call_with(&api, &["items", "1", &flag, &good]);
            call.env(variable, bad).run().exits(0);
            continue;
        }
        let args = ["items", "1", &flag, &good, "--drain", "odd"];
        with_variable(&sandbox, variable, bad, &args).refuses(&["--drain is `odd`"]);
    }
}

#[test]
fn a_flag_counts_before_a_variable_and_a_variable_before_the_default() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", 1..=40);
    let requested = |args: &[&str]| {
        let finished = sandbox.call_with(&api, args).env("INGEST_LIMIT", "2").run();
        finished.exits(0).report()["requested"].clone()
    };
    assert_eq!(requested(&["top"]), 2);
    assert_eq!(requested(&["top", "--limit", "3"]), 3);
    assert_eq!(sandbox.ingest(&api, &["top"]).report()["requested"], 20);
}

#[test]
fn every_setting_can_come_from_its_variable() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("best", [4, 2]);
    let mut call = sandbox.call(&["best"]);
    for (_, variable, _, good) in settings() {
        call = call.env(variable, good);
    }
    let call = call
        .env("INGEST_API_URL", api.url())
        .env(
            "DATABASE_URL",
            format!("sqlite://{}", sandbox.text("my own.db")),
        )
        .env("INGEST_FORMAT", "json");
    let finished = call.run().exits(0);
    assert_eq!(finished.report()["stored"], 2);
    assert_eq!(finished.stderr, "");
    let ids = sandbox.db("my own.db").column("id", "items ORDER BY id");
    assert_eq!(ids, json!([2, 4]));
    assert!(!sandbox.path("hn.db").exists());
}

#[test]
fn an_empty_variable_is_unset_and_an_empty_flag_is_refused() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", 1..=30);
    let mut call = sandbox.call(&["top", "--api-url", &api.url(), "--progress", "never"]);
    let own = ["RUST_LOG", "COLUMNS", "INGEST_MISSPELT"];
    for variable in settings().iter().map(|setting| setting.1).chain(own) {
        call = call.env(variable, "");
    }
    let finished = call.run().exits(0);
    assert!(finished.stdout.starts_with("20 stored"), "{finished:?}");
    assert_eq!(finished.stderr, "");
    assert!(sandbox.path("hn.db").exists());
    for (flag, ..) in settings() {
        let flag = format!("--{flag}");
        let message = format!("{flag} is ``; allowed: ");
        sandbox.run(&["top", &flag, ""]).refuses(&[&message]);
    }
}

#[test]
fn the_last_of_two_equal_flags_counts() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", 1..=9);
    for args in [
        &["top", "--limit", "2", "--limit", "3"][..],
        &["--limit", "x", "top", "--limit=3"],
        &["--limit", "1", "--limit", "3"],
        &["top", "--demo", "--demo", "--limit", "3"],
    ] {
        let finished = if args.contains(&"--demo") {
            sandbox
                .call(args)
                .args(&["--format", "xml", "--format", "json"])
                .run()
        } else {
            sandbox.ingest(&api, args)
        };
        assert_eq!(finished.exits(0).report()["requested"], 3, "{args:?}");
    }
    let args = ["items", "1", "2", "--workers", "2", "3", "--workers", "1"];
    assert_eq!(sandbox.ingest(&api, &args).exits(0).report()["stored"], 3);
    let args = ["backfill", "--from", "9", "--to", "1", "--from", "1"];
    api.0
        .on("/v0/maxitem.json", [hn_ingest::test_util::Reply::json("9")]);
    assert_eq!(sandbox.ingest(&api, &args).exits(0).report()["stored"], 1);
}

#[test]
fn a_database_url_may_say_mode_rwc_and_no_other_parameter() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let url = format!("sqlite://{}?mode=rwc", sandbox.text("mine.db"));
    let call = sandbox.call_with(&api, &["items", "1"]);
    call.env("DATABASE_URL", url).run().exits(0);
    assert_eq!(sandbox.db("mine.db").count("items"), 1);
    for bad in [
        "sqlite://x.db?mode=ro",
        "sqlite:x.db?cache=shared",
        "x.db?y",
    ] {
        let args = ["items", "1", "--database", bad];
        sandbox
            .run(&args)
            .refuses(&["--database", bad, "`?`", "?mode=rwc"]);
    }
}

#[test]
fn flags_may_stand_before_and_after_the_command() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("ask", 1..=9);
    for args in [["--limit", "2", "ask"], ["ask", "--limit", "2"]] {
        assert_eq!(
            sandbox.ingest(&api, &args).exits(0).report()["requested"],
            2
        );
    }
}

#[test]
fn an_unknown_variable_is_named_in_a_warning_with_the_nearest_real_one() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    for (unknown, nearest) in [
        ("INGEST_WORKER", "INGEST_WORKERS"),
        ("INGEST_TIME_OUT", "INGEST_TIMEOUT"),
        ("INGEST_BACKOFFMAX", "INGEST_BACKOFF_MAX"),
    ] {
        let finished = sandbox
            .call_with(&api, &["items", "1"])
            .env(unknown, "3")
            .run()
            .exits(0);
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        for part in ["WARN", unknown, &format!("{nearest}?")] {
            assert!(finished.stderr.contains(part), "{part}: {finished:?}");
        }
    }
}

#[test]
fn logs_go_to_stderr_a_retry_at_debug_and_a_final_failure_at_info() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.item(7, [hn_ingest::test_util::Reply::status(503)]);
    let log = |level| {
        let finished = sandbox
            .call_with(&api, &["items", "7", "--attempts", "2"])
            .env("RUST_LOG", level)
            .run()
            .exits(1);
        finished.report();
        finished.stderr
    };
    assert_eq!(log("warn"), "");
    let info = log("hn_ingest=info");
    assert_eq!(info.lines().count(), 1, "{info}");
    assert!(
        info.contains("INFO") && info.contains('7') && info.contains("503"),
        "{info}"
    );
    let debug = log("hn_ingest=debug");
    let retry = debug
        .lines()
        .find(|line| line.contains("DEBUG") && line.contains("again in"));
    assert!(
        retry.is_some_and(|line| line.contains("7: attempt 1 failed") && line.contains("503")),
        "{debug}"
    );
}
