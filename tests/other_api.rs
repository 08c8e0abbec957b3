//! The example that ingests an API other than Hacker News.
#![allow(clippy::unwrap_used)]

#[path = "../examples/other_api/main.rs"]
#[allow(dead_code)]
mod example;

use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query, sql_types};
use hn_ingest::test_util::{Reply, ScriptedServer};

#[derive(QueryableByName, Debug, PartialEq)]
struct PackageRow {
    #[diesel(sql_type = sql_types::Text)]
    name: String,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    version: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    problem: Option<String>,
}

#[test]
fn stored_absent_and_failed_string_ids_go_to_the_hosts_own_table() {
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
    let query = "SELECT name, version, problem FROM packages ORDER BY name";
    let rows: Vec<PackageRow> = sql_query(query).load(&mut conn).unwrap();
    let row = |name: &str, version: Option<&str>| (name.to_owned(), version.map(str::to_owned));
    let versions: Vec<_> = rows
        .iter()
        .map(|row| (row.name.clone(), row.version.clone()))
        .collect();
    assert_eq!(
        versions,
        [
            row("gone", None),
            row("good", Some("1.2")),
            row("odd", None)
        ]
    );
    assert_eq!(rows[0].problem.as_deref(), Some("no such package"));
    assert!(
        rows[2].problem.as_ref().unwrap().starts_with("decode: "),
        "{rows:?}"
    );
}
