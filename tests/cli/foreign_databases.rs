//! Another program's file is refused untouched, byte for byte, by every command.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use crate::common::{Api, Sandbox, foreign_database, wait_until, words};

const COMMANDS: [&str; 8] = [
    "status",
    "verify",
    "verify --repair",
    "retry",
    "items 1",
    "top",
    "backfill",
    "top --demo",
];

const IN_WAL_MODE: &str = "PRAGMA journal_mode = WAL";
const TABLE: &str = "CREATE TABLE bookmarks (url); INSERT INTO bookmarks VALUES ('x')";

/// Each file of a folder with its content and the time of its last change.
fn snapshot(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let files = fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap();
        let changed = file.metadata().unwrap().modified().unwrap();
        let name = file.file_name().into_string().unwrap();
        (name, (fs::read(file.path()).unwrap(), changed))
    });
    files.collect()
}

/// Every command refuses `theirs.db`, and changes nothing in the folder.
#[track_caller]
fn refuses_untouched(sandbox: &Sandbox, why: &str) {
    let folder = sandbox.path("");
    let before = snapshot(&folder);
    let api = Api::of_stories();
    for command in COMMANDS {
        let args = [&words(command)[..], &["--database", "theirs.db"]].concat();
        let call = sandbox.call(&args);
        let call = if command.contains("--demo") {
            call
        } else {
            call.env("INGEST_API_URL", api.url())
        };
        call.run().refuses(&["theirs.db", why]);
        assert!(before == snapshot(&folder), "{command} changed something");
    }
    assert_eq!(api.0.stats().requests, 0, "nothing is fetched in vain");
}

#[test]
fn a_database_with_other_tables_is_refused_untouched() {
    for sql in [
        TABLE,
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE items (id INTEGER PRIMARY KEY, title)",
        "PRAGMA application_id = 252006675",
        // Another program that uses Diesel.
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20200101000000'); CREATE TABLE posts (x)",
    ] {
        for mode in ["PRAGMA journal_mode = DELETE", IN_WAL_MODE] {
            let sandbox = Sandbox::new();
            let mut db = foreign_database(&sandbox.path("theirs.db"));
            db.execute(mode);
            db.execute(sql);
            drop(db);
            refuses_untouched(&sandbox, "another program");
        }
    }
}

#[test]
fn a_database_that_is_in_use_is_refused_untouched() {
    for checkpoint in ["SELECT 1", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        let sandbox = Sandbox::new();
        let mut db = foreign_database(&sandbox.path("theirs.db"));
        db.execute(IN_WAL_MODE);
        db.execute(TABLE);
        db.execute(checkpoint);
        db.execute("BEGIN IMMEDIATE; INSERT INTO bookmarks VALUES ('y')");
        refuses_untouched(&sandbox, "another program");
    }
}

#[test]
fn a_database_whose_program_has_crashed_is_refused_untouched() {
    for left in [&["theirs.db-wal", "theirs.db-shm"][..], &["theirs.db-wal"]] {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("alive")).unwrap();
        let alive = |name: &str| sandbox.path("alive").join(name);
        let mut db = foreign_database(&alive("theirs.db"));
        db.execute(IN_WAL_MODE);
        // Nothing of this gets into the file itself.
        db.execute(TABLE);
        for name in [&["theirs.db"], left].concat() {
            fs::copy(alive(name), sandbox.path(name)).unwrap();
        }
        drop(db);
        fs::remove_dir_all(sandbox.path("alive")).unwrap();
        refuses_untouched(&sandbox, "another program");
    }
}

#[test]
fn a_signal_during_the_look_at_a_database_leaves_no_copy_of_it() {
    let sandbox = Sandbox::new();
    for folder in ["alive", "temporary"] {
        fs::create_dir(sandbox.path(folder)).unwrap();
    }
    let mut db = foreign_database(&sandbox.path("alive/theirs.db"));
    db.execute(IN_WAL_MODE);
    db.execute(TABLE);
    for name in ["theirs.db", "theirs.db-wal"] {
        fs::copy(sandbox.path("alive").join(name), sandbox.path(name)).unwrap();
    }
    // So that copying takes a while.
    let log = fs::OpenOptions::new()
        .append(true)
        .open(sandbox.path("theirs.db-wal"));
    log.unwrap().set_len(128 << 20).unwrap();
    let temporary = || fs::read_dir(sandbox.path("temporary")).unwrap();
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut running = sandbox
            .call(&["status", "--database", "theirs.db"])
            .env("TMPDIR", sandbox.path("temporary"))
            .start();
        wait_until("it copies", || {
            let folder = temporary().next();
            folder.is_some_and(|folder| folder.unwrap().path().join("copy.db-wal").exists())
                || running.child().try_wait().unwrap().is_some()
        });
        running.signal(name);
        // 2 if it was quicker than the signal.
        let finished = running.wait();
        assert!(
            [Some(code), Some(2)].contains(&finished.code),
            "{finished:?}"
        );
        assert_eq!(temporary().count(), 0, "{finished:?}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_untouched() {
    for content in [
        b"hello".to_vec(),
        vec![0; 8192],
        b"SQLite format 3\0".to_vec(),
        b"SQLite format 4 and so on. ".repeat(400),
    ] {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("theirs.db"), content).unwrap();
        refuses_untouched(&sandbox, "not a database");
    }
}

#[test]
fn an_empty_file_becomes_a_database_only_when_something_is_fetched() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("hn.db"), "").unwrap();
    for command in ["status", "verify", "retry"] {
        sandbox
            .run(&[command])
            .refuses(&["hn.db", "holds no Hacker News items"]);
        assert_eq!(sandbox.files(), ["hn.db"]);
        assert_eq!(fs::read(sandbox.path("hn.db")).unwrap(), b"");
    }
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    assert_eq!(sandbox.db("hn.db").count("items"), 1);
}

#[test]
fn the_own_database_of_a_run_that_was_killed_is_recognised() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("alive")).unwrap();
    let alive = |name: &str| sandbox.path("alive").join(name);
    sandbox
        .ingest(
            &Api::of_stories(),
            &["items", "1", "--database", "alive/hn.db"],
        )
        .exits(0);
    let unmarked = "PRAGMA application_id = 0; UPDATE items SET score = 5";
    let mut db = foreign_database(&alive("hn.db"));
    db.execute(unmarked);
    for name in ["hn.db", "hn.db-wal"] {
        fs::copy(alive(name), sandbox.path(name)).unwrap();
    }
    sandbox.run(&["status"]).exits(0);
    sandbox.ingest(&Api::of_stories(), &["items", "2"]).exits(0);
    assert_eq!(sandbox.db("hn.db").count("items"), 2);
}

#[test]
fn a_database_of_an_earlier_version_or_without_a_record_of_its_migration_is_refused_with_the_next_step()
 {
    for (sql, why) in [
        (
            "UPDATE __diesel_schema_migrations SET version = '20261125000000'",
            "move the file away",
        ),
        (
            "UPDATE __diesel_schema_migrations SET version = '99991231235959'",
            "update hn-ingest",
        ),
        ("DELETE FROM __diesel_schema_migrations", "restore a copy"),
        ("DROP TABLE __diesel_schema_migrations", "restore a copy"),
    ] {
        let sandbox = Sandbox::new();
        let api = Api::of_stories();
        let args = ["items", "1", "--database", "theirs.db"];
        sandbox.ingest(&api, &args).exits(0);
        sandbox.db("theirs.db").execute(sql);
        for command in ["status", "verify", "items 1", "retry", "search x", "serve"] {
            let args = [&words(command)[..], &["--database", "theirs.db"]].concat();
            let call = sandbox.call(&args).env("INGEST_API_URL", api.url());
            call.run().refuses(&["theirs.db", why]);
        }
    }
}
