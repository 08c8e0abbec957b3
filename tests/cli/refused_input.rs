//! Bad input: exit code 2, one message that names the culprit and what would be right, and nothing lost.

use std::{fs, os::unix::ffi::OsStrExt};

use crate::common::{self, Api, Home, Running, counts};
use hn_ingest::test_util::Reply;
use serde_json::json;

/// Refused before anything is touched, whatever the environment says of backtraces.
#[track_caller]
fn refuses(args: &[&str], parts: &[&str]) {
    let home = Home::new();
    let mut command = home.command(args);
    let ran = Running::start(command.env("RUST_BACKTRACE", "1")).wait();
    ran.refuses(parts);
    assert_eq!(home.files(), [""; 0], "nothing is made");
}

#[test]
fn a_bad_id_is_refused_by_name() {
    for bad in [
        "x",
        "0",
        "-5",
        "1.5",
        "+1",
        "99999999999999999999",
        "",
        "1,2",
    ] {
        let named = format!("`{bad}` is no id");
        refuses(&["items", "1", bad], &[&named, "a whole number from 1"]);
    }
}

#[test]
fn stdin_among_named_ids_is_refused() {
    refuses(
        &["items", "1", "-"],
        &["`-` is no id", "- alone reads ids from standard input"],
    );
}

#[test]
fn items_without_an_id_are_refused() {
    refuses(&["items"], &["<ID>"]);
}

#[test]
fn an_unknown_command_is_refused_with_the_nearest() {
    refuses(
        &["tops"],
        &["`tops`", "did you mean top?", "show, job, items"],
    );
    refuses(&["frobnicate"], &["`frobnicate`"]);
}

#[test]
fn an_unknown_flag_is_refused_with_the_nearest() {
    refuses(&["--worker", "3"], &["'--worker'", "'--workers'"]);
}

#[test]
fn an_absurd_number_of_workers_is_refused() {
    for bad in ["0", "4097", "-1", "many", "1e3", "99999999999999999999", ""] {
        refuses(&["--workers", bad], &["--workers is", bad, "1 to 4096"]);
    }
}

#[test]
fn a_duration_without_a_unit_is_refused() {
    for flag in [
        "--timeout",
        "--backoff",
        "--backoff-max",
        "--linger",
        "--drain",
    ] {
        refuses(&[flag, "5"], &[flag, "`5`", "with a unit"]);
    }
}

#[test]
fn what_is_no_sqlite_file_by_its_name_is_refused() {
    for bad in [
        "mysql://root@host/db",
        "mysql:x",
        "postgres://host/db",
        ":memory:",
        "sqlite://:memory:",
        "sqlite://",
        "",
    ] {
        refuses(
            &["--database", bad],
            &["--database is", bad, "sqlite://", ":memory:"],
        );
    }
}

#[test]
fn what_is_no_base_url_is_refused() {
    for bad in ["news", "ftp://host/v0", "http://", "", "127.0.0.1:80/v0"] {
        refuses(&["--api-url", bad], &["--api-url is", bad, "http://"]);
    }
}

#[test]
fn demo_and_another_api_are_refused_together() {
    refuses(
        &["--demo", "--api-url", "http://127.0.0.1:1/v0"],
        &["--demo", "--api-url"],
    );
}

#[test]
fn bad_values_of_the_mock_api_are_refused() {
    for (flag, bad) in [
        ("--port", "65536"),
        ("--max-item", "-1"),
        ("--seed", "x"),
        ("--latency", "80"),
        ("--latency", "200ms..80ms"),
        ("--fail-rate", "1.5"),
        ("--hang-rate", "-0.1"),
        ("--reset-rate", "NaN"),
        ("--rate-limit", "many"),
    ] {
        let ran = Home::new().run(&["mock-api", flag, bad]);
        ran.refuses(&[bad]);
    }
    refuses(
        &["mock-api", "--fail-rate", "0.6", "--hang-rate", "0.6"],
        &["rate"],
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let api = Api::new();
    let port = api.0.addr().port().to_string();
    refuses(&["mock-api", "--port", &port], &[&port]);
}

#[test]
fn arguments_that_are_not_utf_8_are_refused() {
    let home = Home::new();
    let mut command = home.command(&["items"]);
    let ran = Running::start(command.arg(std::ffi::OsStr::from_bytes(b"1\xff"))).wait();
    ran.refuses(&[]);
}

/// A real run on this database is refused, and what lies there stays as it was.
#[track_caller]
fn refuses_database(home: &Home, name: &str, parts: &[&str]) {
    let api = Api::of_stories();
    let before = fs::read(home.path(name)).ok();
    let ran = home.ingest(&api, &["items", "1", "--database", name]);
    ran.refuses(&[&[name], parts].concat());
    assert_eq!(api.0.stats().requests, 0, "nothing is fetched in vain");
    assert!(
        before == fs::read(home.path(name)).ok(),
        "{name} was changed"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let home = Home::new();
    for (name, content) in [
        ("short.txt", "hello"),
        (
            "long.txt",
            &"Dear diary, this is no database. ".repeat(1000),
        ),
    ] {
        fs::write(home.path(name), content).unwrap();
        refuses_database(&home, name, &["not a database", "another file"]);
    }
}

#[test]
fn a_folder_as_a_database_is_refused() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).unwrap();
    refuses_database(&home, "folder", &["cannot open"]);
}

#[test]
fn a_database_in_a_folder_that_is_not_there_is_refused() {
    let home = Home::new();
    refuses_database(&home, "nowhere/hn.db", &["cannot open", "folder"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_nobody_may_write_to_is_refused() {
    let home = Home::new();
    refuses_database(&home, "/proc/hn.db", &["cannot open", "may write"]);
}

#[test]
fn a_read_only_file_is_refused() {
    let home = Home::new();
    home.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let path = home.path("hn.db");
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        return; // Root writes everywhere.
    }
    refuses_database(&home, "hn.db", &["readonly"]);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_keeps_its_rows() {
    let home = Home::new();
    home.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')";
    home.db("hn.db").execute(newer);
    let ran = home.ingest(&Api::of_stories(), &["items", "2"]);
    ran.refuses(&[
        "hn.db",
        "newer version",
        "99991231235959",
        "another database",
    ]);
    assert_eq!(home.db("hn.db").column("id", "items"), json!([1]));
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let home = Home::new();
    common::foreign_database(&home.path("cookies.db")).execute(
        "PRAGMA application_id = 252006675; CREATE TABLE cookies (name TEXT); INSERT INTO cookies VALUES ('x')",
    );
    let api = Api::of_stories();
    let ran = home.ingest(&api, &["items", "1", "--database", "cookies.db"]);
    ran.refuses(&["cookies.db", "another program"]);
    let tables = home.db("cookies.db").column("name", "sqlite_master");
    assert_eq!(tables, json!(["cookies"]));
}

#[test]
fn an_unmarked_database_with_tables_of_others_is_refused_and_left_alone() {
    let home = Home::new();
    common::foreign_database(&home.path("shop.db"))
        .execute("CREATE TABLE items (price INTEGER); INSERT INTO items VALUES (5)");
    let ran = home.ingest(&Api::of_stories(), &["items", "1", "--database", "shop.db"]);
    ran.refuses(&["shop.db", "another program"]);
    let mut db = home.db("shop.db");
    assert_eq!(db.column("price", "items"), json!([5]));
    assert_eq!(db.column("name", "sqlite_master"), json!(["items"]));
}

#[test]
fn a_demos_database_takes_no_real_items() {
    let home = Home::new();
    home.run(&["--demo", "--database", "mine.db", "--limit", "3"])
        .exits(0);
    let before = home.db("mine.db").column("id", "items");
    let api = Api::of_stories();
    let ran = home.ingest(&api, &["items", "1", "--database", "mine.db"]);
    ran.refuses(&["mine.db", "--demo", "another file"]);
    assert_eq!(api.0.stats().requests, 0);
    assert_eq!(home.db("mine.db").column("id", "items"), before);
    home.run(&["--demo", "--database", "mine.db", "--limit", "3"])
        .exits(0);
}

#[test]
fn a_real_database_takes_no_demos_items() {
    let (home, api) = (Home::new(), Api::of_stories());
    home.ingest(&api, &["items", "1"]).exits(0);
    home.run(&["--demo", "--database", "hn.db"])
        .refuses(&["hn.db", "real items", "another file"]);
    assert_eq!(home.db("hn.db").column("id", "items"), json!([1]));
    home.ingest(&api, &["items", "2"]).exits(0);
}

#[test]
fn a_real_database_without_an_item_yet_takes_no_demos_items_either() {
    let (home, api) = (Home::new(), Api::new());
    home.ingest(&api, &["items", "1"]).exits(1);
    home.run(&["--demo", "--database", "hn.db"])
        .refuses(&["hn.db", "another file"]);
    assert_eq!(home.db("hn.db").column("id", "failures"), json!([1]));
}

#[test]
fn a_list_that_is_none_is_refused_and_the_one_that_was_kept_stays() {
    let (home, api) = (Home::new(), Api::of_stories());
    api.list("top", [1, 2]);
    home.ingest(&api, &["top"]).exits(0);
    for body in [
        "<html>Sign in</html>",
        r#"{"items":[1]}"#,
        r#"["1","2"]"#,
        "null",
        "[1,2",
        "",
        "7",
        "[1.5]",
        "[[1]]",
        "[99999999999999999999]",
    ] {
        api.0.on("/v0/topstories.json", [Reply::json(body)]);
        let ran = home.ingest(&api, &["top"]);
        ran.refuses(&[
            &api.url(),
            "topstories.json",
            "is no list of ids",
            "--api-url",
        ]);
    }
    let kept = home
        .db("hn.db")
        .rows("list, rank, id", "lists ORDER BY rank");
    assert_eq!(kept, json!([["top", 1, 1], ["top", 2, 2]]));
}

#[test]
fn a_list_with_an_impossible_id_costs_no_other_its_result() {
    let (home, api) = (Home::new(), Api::of_stories());
    api.item(-3, [Reply::json("null")]);
    api.list("top", [5, -3]);
    let report = home.ingest(&api, &["top"]).exits(0).report();
    assert_eq!(counts(&report), [1, 1, 0, 0]);
}

#[test]
fn an_api_that_cannot_be_reached_is_named_and_demo_suggested() {
    let (home, api) = (Home::new(), Api::new());
    api.0.go_down();
    let ran = home.ingest(&api, &["top"]);
    ran.refuses(&[
        &api.url(),
        "topstories.json",
        "connect",
        "--api-url",
        "--demo",
    ]);
}

#[test]
fn an_api_without_the_list_is_named_with_its_status() {
    let (home, api) = (Home::new(), Api::new());
    home.ingest(&api, &["show"])
        .refuses(&["showstories.json", "404", "--api-url", "--demo"]);
}

#[test]
fn an_api_that_hangs_is_given_up_after_its_attempts() {
    let (home, api) = (Home::new(), Api::new());
    api.0.on("/v0/topstories.json", [Reply::hang()]);
    let ran = home.ingest(&api, &["top", "--timeout", "100ms", "--attempts", "3"]);
    ran.refuses(&["topstories.json", "100ms", "--demo"]);
    assert_eq!(api.0.hits("/v0/topstories.json"), 3);
}
