//! Tests the example that follows the pages of an API.
#![allow(clippy::unwrap_used)]

#[path = "../examples/pages.rs"]
#[allow(dead_code)]
mod example;

use std::path::Path;

use hn_ingest::{
    Report,
    test_util::{Reply, ScriptedServer},
};

fn page(words: &str, next: Option<usize>) -> Reply {
    let next = next.map_or("null".to_owned(), |next| format!("\"/p{next}\""));
    Reply::json(format!("{{\"words\":{words},\"next\":{next}}}"))
}

fn ingest(server: &ScriptedServer, file: &Path) -> Report<String> {
    let ingest = example::ingest(server.url(), "/p1", file);
    actix_rt::System::new().block_on(ingest).unwrap()
}

#[test]
fn pages_are_followed_to_the_end_and_their_records_are_counted() {
    let server = ScriptedServer::start();
    for number in 1..20 {
        let words = format!(r#"["a{number}","b{number}","c{number}"]"#);
        server.on(format!("/p{number}"), [page(&words, Some(number + 1))]);
    }
    server.on("/p20", [page(r#"["the end"]"#, None)]);
    let folder = tempfile::tempdir().unwrap();
    let report = ingest(&server, &folder.path().join("words.db"));
    assert_eq!((report.totals.stored, report.totals.records), (20, 58));
    assert_eq!(server.requests().len(), 20);
}

#[test]
fn a_page_that_fails_ends_the_run_and_the_next_run_goes_on_there() {
    let server = ScriptedServer::start();
    server.on("/p1", [page(r#"["one"]"#, Some(2))]);
    server.on("/p2", [Reply::status(403), page(r#"["two"]"#, Some(3))]);
    server.on("/p3", [Reply::json("no list"), page("[]", None)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words.db");
    let totals = |report: Report<String>| (report.totals.stored, report.totals.failed);
    assert_eq!(totals(ingest(&server, &file)), (1, 1));
    assert_eq!(totals(ingest(&server, &file)), (1, 1));
    assert_eq!(totals(ingest(&server, &file)), (1, 0));
    assert_eq!((server.hits("/p1"), server.hits("/p3")), (1, 2));
}
