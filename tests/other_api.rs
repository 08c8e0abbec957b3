//! Tests the example that ingests another API than Hacker News.
#![allow(clippy::unwrap_used)]

#[path = "../examples/other_api/main.rs"]
#[allow(dead_code)]
mod example;

use diesel::prelude::*;
use hn_ingest::test_util::{Reply, ScriptedServer};

/// A row of the example's table.
#[derive(Queryable, Debug, PartialEq)]
struct PackageRow {
    name: String,
    version: Option<String>,
    problem: Option<String>,
}

#[test]
fn stored_absent_and_failed_names_are_written_to_the_examples_own_table() {
    let server = ScriptedServer::start();
    let good = Reply::json(r#"{"version":"1.2"}"#);
    server.on(
        "/packages/good",
        [Reply::status(503).header("retry-after", "0"), good],
    );
    server.on("/packages/odd", [Reply::json("[]")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("packages.db");
    let ingest = example::ingest(server.url(), &["good", "gone", "odd"], &file);
    let report = actix_rt::System::new().block_on(ingest).unwrap();
    let totals = &report.totals;
    assert_eq!(
        (totals.stored, totals.absent, totals.failed, totals.retries),
        (1, 1, 1, 1)
    );
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.header("x-api-key") == Some("secret"))
    );

    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    // All columns that the example declares.
    let packages = example::packages::table.order(example::packages::name);
    let rows: Vec<PackageRow> = packages.load(&mut conn).unwrap();
    let row = |name: &str, version: Option<&str>, problem: Option<&str>| PackageRow {
        name: name.to_owned(),
        version: version.map(str::to_owned),
        problem: problem.map(str::to_owned),
    };
    let decode_problem = rows[2].problem.as_deref();
    assert!(decode_problem.is_some_and(|problem| problem.starts_with("decode: ")));
    assert_eq!(
        rows,
        [
            row("gone", None, Some("no such package")),
            row("good", Some("1.2"), None),
            row("odd", None, decode_problem),
        ]
    );
}
