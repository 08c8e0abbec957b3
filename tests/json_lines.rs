//! Tests the example whose store is a file of its own format.
#![allow(clippy::unwrap_used)]

#[path = "../examples/json_lines.rs"]
#[allow(dead_code)]
mod example;

use std::{fs, path::Path};

use hn_ingest::{
    Report,
    test_util::{Reply, ScriptedServer},
};

fn ingest(server: &ScriptedServer, file: &Path, words: &[&str]) -> Report<String> {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let ingest = example::ingest(server.url(), words, file);
    actix_rt::System::new().block_on(ingest).unwrap()
}

/// The ids of the lines, sorted, with what the line says of each.
fn lines(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let what = ["record", "absent", "failed"];
            let what = what.into_iter().find(|key| line.get(key).is_some());
            (
                line["id"].as_str().unwrap().to_owned(),
                what.unwrap().to_owned(),
            )
        })
        .collect();
    lines.sort();
    lines
}

fn line(id: &str, what: &str) -> (String, String) {
    (id.to_owned(), what.to_owned())
}

#[test]
fn every_outcome_becomes_a_line_and_a_row_at_fault_costs_only_itself() {
    let server = ScriptedServer::start();
    server.on("/a", [Reply::json(r#"{"a":1}"#)]);
    server.on("/b", [Reply::json("null")]);
    server.on("/c", [Reply::json("7")]);
    server.on("/d", [Reply::json(r#"{"d":4}"#)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words.jsonl");
    let report = ingest(&server, &file, &["a", "b", "c", "d"]);
    let totals = report.totals;
    assert_eq!((totals.stored, totals.absent, totals.failed), (2, 1, 1));
    let wanted = [
        line("a", "record"),
        line("b", "absent"),
        line("c", "failed"),
        line("d", "record"),
    ];
    assert_eq!(lines(&file), wanted);
}

#[test]
fn the_line_that_a_killed_process_left_unfinished_is_taken_back() {
    let server = ScriptedServer::start();
    server.on("/b", [Reply::json(r#"{"b":2}"#)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words.jsonl");
    fs::write(&file, "{\"id\":\"a\",\"record\":{}}\n{\"id\":\"b\",\"rec").unwrap();
    ingest(&server, &file, &["b"]);
    assert_eq!(lines(&file), [line("a", "record"), line("b", "record")]);
}
