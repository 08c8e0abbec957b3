//! A disk that is full ends the run, and what was reported as stored is stored.

use crate::{
    common::{Api, Sandbox, item_path},
    server::{DATABASE, Server},
};

#[test]
fn a_full_disk_ends_the_run_and_keeps_what_is_stored() {
    // No file of the server may grow beyond four megabytes. PostgreSQL cannot tell that from a full disk.
    let server = Server::with_largest_file(4096);
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    for id in 1..=400_i64 {
        // Text that does not compress.
        let text: String = (0..40_000).map(|_| fastrand::alphanumeric()).collect();
        let body = format!(r#"{{"id":{id},"text":"{text}"}}"#);
        api.0
            .on(item_path(id), [hn_ingest::test_util::Reply::json(body)]);
    }
    let ids: Vec<_> = (1..=400).map(|id: i64| id.to_string()).collect();
    let args = ["items", "--batch", "10", "--database", &url];
    let args: Vec<&str> = args
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    let finished = sandbox.ingest(&api, &args).exits(3);
    assert!(finished.stderr.contains("could not"), "{finished:?}");
    let report = finished.report();
    let stored = report["stored"].as_i64().unwrap();
    assert!(stored > 0 && report["failed"] == 0, "{finished:?}");
    assert_eq!(server.number("SELECT count(*) FROM items"), stored);
}
