//! `items -`: fetches the ids on standard input as they come.

use std::io::Write;

use hn_ingest::test_util::{Latch, Reply};
use serde_json::json;

use crate::common::{Api, Finished, Sandbox, counts, id_of};

fn items_from_stdin(sandbox: &Sandbox, api: &Api, input: &str) -> Finished {
    let (running, mut stdin) = sandbox.call_with(api, &["items", "-"]).start_piped();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    running.wait()
}

#[test]
fn ids_on_stdin_are_separated_by_lines_or_blanks() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let report = items_from_stdin(&sandbox, &api, "\n5 6\t7\r\n\n  8\n5")
        .exits(0)
        .report();
    assert_eq!(
        (&report["command"], counts(&report)),
        (&json!("items"), [5, 0, 0, 0])
    );
    assert_eq!(
        sandbox.db("hn.db").column("id", "items ORDER BY id"),
        json!([5, 6, 7, 8])
    );
}

#[test]
fn a_byte_order_mark_and_addresses_on_stdin_are_understood() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let input = "\u{feff}5\r\nhttps://news.ycombinator.com/item?id=6\r\nhttp://news.ycombinator.com/item?x=1&id=7#8\r\n";
    let report = items_from_stdin(&sandbox, &api, input).exits(0).report();
    assert_eq!(counts(&report), [3, 0, 0, 0]);
    let finished = items_from_stdin(&sandbox, &api, "\u{feff}").exits(0);
    assert_eq!(counts(&finished.report()), [0; 4]);
    let bad = "https://example.com/item?id=6";
    let finished = items_from_stdin(&sandbox, &api, &format!("5\n{bad}\n")).exits(2);
    let message = format!("hn-ingest: standard input, line 2: `{bad}` is no id");
    assert!(finished.stderr.starts_with(&message), "{finished:?}");
}

#[test]
fn an_empty_stdin_is_a_run_of_nothing() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let report = items_from_stdin(&sandbox, &api, "").exits(0).report();
    assert_eq!(counts(&report), [0; 4]);
}

#[test]
fn a_bad_id_on_stdin_is_named_with_its_line_and_the_ids_before_it_are_stored_and_reported() {
    for bad in ["x7", "-3", "0", "1.5", "99999999999999999999"] {
        let sandbox = Sandbox::new();
        let api = Api::of_stories();
        let finished =
            items_from_stdin(&sandbox, &api, &format!("5\n6 7\n8 {bad} 9\n10\n")).exits(2);
        assert_eq!(counts(&finished.report()), [4, 0, 0, 0]);
        let message = format!("hn-ingest: standard input, line 3: `{bad}` is no id");
        assert!(finished.stderr.starts_with(&message), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        assert_eq!(
            sandbox.db("hn.db").column("id", "items ORDER BY id"),
            json!([5, 6, 7, 8])
        );
    }
}

#[test]
fn an_id_on_stdin_is_fetched_before_the_next_one_comes() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let (running, mut stdin) = sandbox.call_with(&api, &["items", "-"]).start_piped();
    for id in 1..=3 {
        writeln!(stdin, "{id}").unwrap();
        api.0.wait_for(|stats| stats.requests >= id);
    }
    drop(stdin);
    assert_eq!(counts(&running.wait().exits(0).report()), [3, 0, 0, 0]);
}

#[test]
fn ids_on_stdin_are_read_no_faster_than_they_are_fetched() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let gate = Latch::new();
    let held = gate.clone();
    api.0.otherwise(move |path| match id_of(path) {
        Some(id) if id <= 500 => Reply::json("null"),
        _ => Reply::json("null").held_by(&held),
    });
    let args = ["items", "-", "--workers", "4", "--drain", "0s"];
    let (running, mut stdin) = sandbox.call_with(&api, &args).start_piped();
    let writer = std::thread::spawn(move || {
        let ids = (1..=200_000).map(|id| format!("{id}\n"));
        ids.take_while(|id| stdin.write_all(id.as_bytes()).is_ok())
            .count()
    });
    api.0.wait_in_flight(4);
    running.signal("INT");
    let report = running.wait().exits(130).report();
    assert!(
        report["requested"].as_u64().unwrap() <= 500 + 4 * 2,
        "{report}"
    );
    // A pipe holds 64 KiB and some chunks wait inside: tens of thousands of ids at most, of 200,000.
    let written = writer.join().unwrap();
    assert!(written < 50_000, "{written} ids were taken");
}
