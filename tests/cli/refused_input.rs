//! Bad input: exit code 2, one message that says what is wrong and what is allowed, and nothing is changed.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use hn_ingest::test_util::Reply;
use serde_json::json;

use crate::common::{Api, Sandbox, counts, foreign_database, story};

/// The call is refused before a file is made. A backtrace that the environment asks for does not get into the message.
#[track_caller]
fn refuses(args: &[&str], parts: &[&str]) {
    let sandbox = Sandbox::new();
    let finished = sandbox.call(args).env("RUST_BACKTRACE", "1").run();
    finished.refuses(parts);
    assert_eq!(sandbox.files(), [""; 0], "nothing is made");
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

#[cfg(not(feature = "postgres"))]
#[test]
fn a_program_without_postgresql_says_how_to_get_it_and_shows_no_password() {
    for bad in [
        "postgres://u:s3cret@host/db",
        "postgresql://host/db?password=s3cret",
    ] {
        let refused = Sandbox::new().run(&["--database", bad]);
        refused.refuses(&["--database", "cargo install", "--features postgres"]);
        assert!(!refused.stderr.contains("s3cret"), "{refused:?}");
    }
}

#[test]
fn a_database_name_that_is_not_a_sqlite_file_is_refused() {
    for bad in [
        "mysql://root@host/db",
        "mysql:x",
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
fn a_bad_base_url_is_refused() {
    for bad in [
        "news",
        "ftp://host/v0",
        "http://",
        "",
        "127.0.0.1:80/v0",
        "http:/host/v0",
        "http:host/v0",
        "http://host /v0",
        "http://host/v 0",
        " http://host/v0",
        "http://host/v0 ",
        "http:///v0",
        "http://a..b/v0",
        "http://a!b/v0",
        "http://-a/v0",
        "http://host:0/v0",
        "http://host:65536/v0",
        "http://host:x/v0",
        "http://host/v0?x=1",
        "http://host/v0#x",
        "http://[::1/v0",
    ] {
        let named = format!("--api-url is `{bad}`; allowed: ");
        refuses(&["--api-url", bad], &[&named, "http://", "/v0"]);
    }
    // Control characters are shown by their escapes.
    for (bad, shown) in [
        ("http://host/v0\r", "http://host/v0\\r"),
        ("http://host\n/v0", "http://host\\n/v0"),
        ("\thttp://host/v0", "\\thttp://host/v0"),
        ("http://ho\u{1b}[31mst/v0", "http://ho\\u{1b}[31mst/v0"),
    ] {
        refuses(&["--api-url", bad], &[&format!("--api-url is `{shown}`")]);
    }
}

#[test]
fn a_base_url_with_a_user_name_or_a_password_is_refused_and_the_password_is_not_printed() {
    let api = Api::of_stories();
    let port = api.0.addr().port();
    for (bad, shown) in [
        (
            "http://alice:s3cret@127.0.0.1:PORT/v0",
            "http://alice:***@127.0.0.1:PORT/v0",
        ),
        (
            "https://alice:s3cret@localhost:PORT/v0",
            "https://alice:***@localhost:PORT/v0",
        ),
        (
            "http://:s3cret@127.0.0.1:PORT/v0",
            "http://:***@127.0.0.1:PORT/v0",
        ),
        (
            "http://s3cret@127.0.0.1:PORT/v0",
            "http://***@127.0.0.1:PORT/v0",
        ),
        (
            "http://alice:s3/c?r#e@t@127.0.0.1:PORT/v0",
            "http://alice:***@127.0.0.1:PORT/v0",
        ),
        (
            "http:/alice:s3cret@127.0.0.1:PORT/v0",
            "http:/alice:***@127.0.0.1:PORT/v0",
        ),
        (
            "alice:s3cret@127.0.0.1:PORT/v0",
            "alice:***@127.0.0.1:PORT/v0",
        ),
    ] {
        let port = &port.to_string();
        let (bad, shown) = (bad.replace("PORT", port), shown.replace("PORT", port));
        let sandbox = Sandbox::new();
        let call = || sandbox.call(&["items", "1"]).env("RUST_LOG", "trace");
        for (finished, origin) in [
            (call().args(&["--api-url", &bad]).run(), "--api-url"),
            (call().env("INGEST_API_URL", &bad).run(), "INGEST_API_URL"),
        ] {
            finished.refuses(&[
                &format!("{origin} is `{shown}`; allowed: "),
                "no user name, password",
            ]);
            assert!(!finished.stderr.contains("s3"), "{finished:?}");
        }
        assert!(sandbox.files().is_empty());
    }
    assert_eq!(api.0.stats().connections, 0);
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
        let finished = Sandbox::new().run(&["mock-api", flag, bad]);
        finished.refuses(&[bad]);
    }
    refuses(
        &["mock-api", "--fail-rate", "0.6", "--hang-rate", "0.6"],
        &["rate"],
    );
}

#[test]
fn bad_values_of_a_live_mock_api_are_refused() {
    for (flag, bad) in [
        ("--live", "5/y"),
        ("--live", "-5/s"),
        ("--live", "99999/s"),
        ("--speed", "0"),
        ("--speed", "-1"),
        ("--speed", "fast"),
        ("--live-start", "yesterday"),
        ("--live-limit", "-1"),
        ("--stream-cut-rate", "1.5"),
        ("--stream-loss-rate", "NaN"),
        ("--stream-stall", "30"),
        ("--stream-keep-alive", "x"),
    ] {
        let finished = Sandbox::new().run(&["mock-api", "--live", "5/s", flag, bad]);
        finished.refuses(&[bad]);
    }
    refuses(
        &["mock-api", "--live", "1/s", "--stream-keep-alive", "0s"],
        &["keep-alive"],
    );
    for flags in [
        &["--speed", "2"][..],
        &["--no-streams"],
        &["--stream-stall", "1s"],
    ] {
        refuses(&[&["mock-api"], flags].concat(), &[flags[0], "--live"]);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let api = Api::new();
    let port = api.0.addr().port().to_string();
    refuses(&["mock-api", "--port", &port], &[&port]);
}

#[test]
fn arguments_that_are_not_utf_8_are_refused() {
    let sandbox = Sandbox::new();
    let finished = sandbox
        .call(&["items"])
        .args(&[OsStr::from_bytes(b"1\xff")])
        .run();
    finished.refuses(&[]);
}

/// A run on this database is refused, fetches nothing and leaves the file as it was.
#[track_caller]
fn refuses_database(sandbox: &Sandbox, name: &str, parts: &[&str]) {
    let api = Api::of_stories();
    let before = fs::read(sandbox.path(name)).ok();
    let finished = sandbox.ingest(&api, &["items", "1", "--database", name]);
    finished.refuses(&[&[name], parts].concat());
    assert_eq!(api.0.stats().requests, 0, "nothing is fetched in vain");
    assert!(
        before == fs::read(sandbox.path(name)).ok(),
        "{name} was changed"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    for (name, content) in [
        ("short.txt", "hello"),
        (
            "long.txt",
            &"Dear diary, this is no database. ".repeat(1000),
        ),
    ] {
        fs::write(sandbox.path(name), content).unwrap();
        refuses_database(&sandbox, name, &["not a database", "another file"]);
    }
}

#[test]
fn a_folder_as_a_database_is_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("folder")).unwrap();
    refuses_database(&sandbox, "folder", &["cannot open"]);
}

#[test]
fn a_database_in_a_folder_that_is_not_there_is_refused() {
    let sandbox = Sandbox::new();
    refuses_database(&sandbox, "nowhere/hn.db", &["cannot open", "folder"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_cannot_be_written_to_is_refused() {
    let sandbox = Sandbox::new();
    refuses_database(&sandbox, "/proc/hn.db", &["cannot open", "may write"]);
}

#[test]
fn a_read_only_file_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let path = sandbox.path("hn.db");
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        return; // Root writes everywhere.
    }
    refuses_database(&sandbox, "hn.db", &["readonly"]);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_keeps_its_rows() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')";
    sandbox.db("hn.db").execute(newer);
    let finished = sandbox.ingest(&Api::of_stories(), &["items", "2"]);
    finished.refuses(&[
        "hn.db",
        "newer version",
        "99991231235959",
        "another database",
    ]);
    assert_eq!(sandbox.db("hn.db").column("id", "items"), json!([1]));
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    foreign_database(&sandbox.path("cookies.db")).execute(
        "PRAGMA application_id = 252006675; CREATE TABLE cookies (name TEXT); INSERT INTO cookies VALUES ('x')",
    );
    let api = Api::of_stories();
    let finished = sandbox.ingest(&api, &["items", "1", "--database", "cookies.db"]);
    finished.refuses(&["cookies.db", "another program"]);
    let tables = sandbox.db("cookies.db").column("name", "sqlite_master");
    assert_eq!(tables, json!(["cookies"]));
}

#[test]
fn an_unmarked_database_with_only_other_tables_is_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    foreign_database(&sandbox.path("shop.db"))
        .execute("CREATE TABLE items (price INTEGER); INSERT INTO items VALUES (5)");
    let finished = sandbox.ingest(&Api::of_stories(), &["items", "1", "--database", "shop.db"]);
    finished.refuses(&["shop.db", "another program"]);
    let mut db = sandbox.db("shop.db");
    assert_eq!(db.column("price", "items"), json!([5]));
    assert_eq!(db.column("name", "sqlite_master"), json!(["items"]));
}

#[test]
fn the_database_of_a_demo_takes_no_real_items() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["--demo", "--database", "mine.db", "--limit", "3"])
        .exits(0);
    let before = sandbox.db("mine.db").column("id", "items");
    let api = Api::of_stories();
    let finished = sandbox.ingest(&api, &["items", "1", "--database", "mine.db"]);
    finished.refuses(&["mine.db", "--demo", "another file"]);
    assert_eq!(api.0.stats().requests, 0);
    assert_eq!(sandbox.db("mine.db").column("id", "items"), before);
    sandbox
        .run(&["--demo", "--database", "mine.db", "--limit", "3"])
        .exits(0);
}

#[test]
fn a_real_database_takes_no_demo_items() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    sandbox.run(&["--demo", "--database", "hn.db"]).refuses(&[
        "hn.db",
        "real items",
        "another file",
    ]);
    assert_eq!(sandbox.db("hn.db").column("id", "items"), json!([1]));
    sandbox.ingest(&api, &["items", "2"]).exits(0);
}

#[test]
fn a_real_database_without_an_item_yet_takes_no_demo_items_either() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    sandbox.ingest(&api, &["items", "1"]).exits(1);
    sandbox
        .run(&["--demo", "--database", "hn.db"])
        .refuses(&["hn.db", "another file"]);
    assert_eq!(sandbox.db("hn.db").column("id", "failures"), json!([1]));
}

#[test]
fn an_answer_that_is_not_a_list_is_refused_and_the_stored_list_stays() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", [1, 2]);
    sandbox.ingest(&api, &["top"]).exits(0);
    for body in [
        "<html>Sign in</html>",
        r#"{"items":[1]}"#,
        r#"["1","2"]"#,
        "[1,2",
        "",
        "7",
        "[1.5]",
        "[[1]]",
        "[99999999999999999999]",
    ] {
        api.0.on("/v0/topstories.json", [Reply::json(body)]);
        let finished = sandbox.ingest(&api, &["top"]);
        finished.refuses(&[
            &api.url(),
            "topstories.json",
            "is no list of ids",
            "--api-url",
        ]);
    }
    let kept = sandbox
        .db("hn.db")
        .rows("list, rank, id", "lists ORDER BY rank");
    assert_eq!(kept, json!([["top", 1, 1], ["top", 2, 2]]));
}

#[test]
fn a_list_that_is_null_is_empty_and_a_byte_order_mark_before_one_is_ignored() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let bom = "\u{feff}";
    for (body, ids) in [
        ("[1,2]", 2),
        ("null", 0),
        (&format!("{bom}[3]"), 1),
        (" null\n", 0),
    ] {
        api.0.on("/v0/topstories.json", [Reply::json(body)]);
        let report = sandbox.ingest(&api, &["top"]).exits(0).report();
        assert_eq!(report["stored"], ids, "{body}");
        assert_eq!(
            sandbox
                .db("hn.db")
                .column("id", "lists")
                .as_array()
                .map(Vec::len),
            Some(ids)
        );
    }
    api.item(7, [Reply::json(format!("{bom}{}", story(7, 7)))]);
    let report = sandbox.ingest(&api, &["items", "7"]).exits(0).report();
    assert_eq!(report["stored"], 1);
    api.0
        .on("/v0/maxitem.json", [Reply::json(format!("{bom}3"))]);
    sandbox.ingest(&api, &["backfill"]).exits(0);
    api.0.on("/v0/maxitem.json", [Reply::json("null")]);
    sandbox
        .ingest(&api, &["backfill"])
        .refuses(&["maxitem.json"]);
}

#[test]
fn a_list_that_is_compressed_is_refused_with_its_coding() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let compressed = Reply::body(b"\x1f\x8b\x08".to_vec()).header("Content-Encoding", "gzip");
    api.0.on("/v0/topstories.json", [compressed]);
    let finished = sandbox.ingest(&api, &["top"]);
    finished.refuses(&["topstories.json", "compressed", "gzip", "not asked for"]);
    assert_eq!(api.0.hits("/v0/topstories.json"), 1);
}

#[test]
fn a_list_with_an_impossible_id_costs_no_other_its_result() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.item(-3, [Reply::json("null")]);
    api.list("top", [5, -3]);
    let report = sandbox.ingest(&api, &["top"]).exits(0).report();
    assert_eq!(counts(&report), [1, 1, 0, 0]);
}

#[test]
fn an_api_that_cannot_be_reached_is_named_and_demo_suggested() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.0.go_down();
    let finished = sandbox.ingest(&api, &["top"]);
    finished.refuses(&[
        &api.url(),
        "topstories.json",
        "connect",
        "--api-url",
        "--demo",
    ]);
}

#[test]
fn an_api_without_the_list_is_named_with_its_status() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    sandbox
        .ingest(&api, &["show"])
        .refuses(&["showstories.json", "404", "--api-url"]);
}

#[test]
fn an_api_that_hangs_is_given_up_after_the_last_attempt() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.0.on("/v0/topstories.json", [Reply::hang()]);
    let finished = sandbox.ingest(&api, &["top", "--timeout", "100ms", "--attempts", "3"]);
    finished.refuses(&["topstories.json", "100ms", "--demo"]);
    assert_eq!(api.0.hits("/v0/topstories.json"), 3);
}
