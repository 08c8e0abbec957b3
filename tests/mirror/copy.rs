//! `copy` between two files: every table arrives, whatever ends it in between, and nothing newer at the target is lost.

#[path = "../support/copied_tables.rs"]
mod copied_tables;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Text},
};
use serde_json::{Value, json};

use self::copied_tables::TABLES;
use crate::fixture::{CommandResult, Mirror, complete_list};

/// The largest id of [`fill`].
const LAST: i64 = 8_000;

/// Fills every table: ids of which every tenth is missing, every hundredth absent and every thousandth failed.
fn fill(mirror: &Mirror) {
    mirror.fill_database();
    let ids = format!(
        "WITH RECURSIVE ids (n) AS (SELECT 101 UNION ALL SELECT n + 1 FROM ids WHERE n < {LAST})"
    );
    mirror.execute(&format!(
        "BEGIN;
         {ids} INSERT INTO items (id, type, \"by\", text, kids, fetched_at)
             SELECT n, 'comment', 'ann', 'text ' || n, '[' || n || ']', n FROM ids WHERE n % 10 <> 1;
         UPDATE items SET text = text || char(0), extra = '{{\"new\":1.50}}' WHERE id % 50 = 7;
         UPDATE items SET deleted = 1, text = NULL WHERE id % 500 = 8;
         INSERT INTO item_history SELECT * FROM item_history WHERE id % 7 = 0;
         INSERT INTO users (id, about, fetched_at) SELECT 'user' || id, char(0), id FROM items WHERE id % 9 = 0;
         {ids} INSERT INTO absent SELECT n, 2, n, n + 1 FROM ids WHERE n % 100 = 1;
         {ids} INSERT INTO failures SELECT n, 'status', '403', 1, n FROM ids WHERE n % 1000 = 11;
         INSERT INTO coverage SELECT id, id + 8 FROM items WHERE id % 10 = 2 AND id > 101;
         INSERT INTO lists SELECT 'top', id, id, 7 FROM items WHERE id BETWEEN 1 AND 20;
         INSERT INTO runs (id, command, host, pid, machine, rate, started_at, heartbeat_at, finished_at)
             VALUES (3, 'top', 'h', 1, '', 0, 5, 6, 6), (9, 'backfill', 'h', 2, '', 7, 6, 7, NULL);
         COMMIT;"
    ));
}

fn target(mirror: &Mirror) -> PathBuf {
    mirror.database().with_file_name("to.db")
}

fn copy(mirror: &Mirror) -> CommandResult {
    mirror.run(&["copy", "--to", target(mirror).to_str().unwrap()])
}

fn connect(path: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
    conn
}

/// All rows of a table as text, sorted.
fn rows(path: &Path, table: &str, columns: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        row: String,
    }
    let values: Vec<_> = columns
        .split(',')
        .map(|column| format!("quote({column})"))
        .collect();
    let query = format!(
        "SELECT {} AS row FROM {table} ORDER BY 1",
        values.join(" || ' ' || ")
    );
    let rows: Vec<Row> = sql_query(query).load(&mut connect(path)).unwrap();
    rows.into_iter().map(|row| row.row).collect()
}

fn assert_equal(one: &Path, other: &Path) {
    for (table, columns) in TABLES {
        let (one, other) = (rows(one, table, columns), rows(other, table, columns));
        assert!(!one.is_empty(), "{table}");
        assert!(
            one == other,
            "{table}: {} and {} rows",
            one.len(),
            other.len()
        );
    }
}

fn written(result: &CommandResult) -> Vec<u64> {
    let tables = result.report["tables"].as_array().unwrap();
    tables
        .iter()
        .map(|table| table["written"].as_u64().unwrap())
        .collect()
}

/// How many rows a table of the target has so far.
fn count(to: &Path, table: &str) -> u64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    if !to.exists() {
        return 0;
    }
    let query = sql_query(format!("SELECT count(*) AS n FROM {table}"));
    let count = query.get_result::<Count>(&mut connect(to));
    count.map_or(0, |count| count.n as u64)
}

fn assert_sound(mirror: &Mirror, database: &Path) {
    let mut verify = mirror.command(&["verify"]);
    let output = verify.env("DATABASE_URL", database).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn copies_that_are_killed_leave_no_gap_and_double_nothing() {
    let mirror = Mirror::new(LAST);
    fill(&mirror);
    let to = target(&mirror);
    let args = ["copy", "--to", to.to_str().unwrap()];
    for (table, rows_before_kill) in [
        ("items", 1),
        ("items", 4_000),
        ("users", 1),
        ("item_history", 1),
    ] {
        let mut running = mirror.command(&args).stdout(Stdio::null()).spawn().unwrap();
        while count(&to, table) < rows_before_kill && running.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        running.kill().unwrap();
        running.wait().unwrap();
    }
    let result = copy(&mirror);
    assert_eq!(result.exit_code, 0, "{result:?}");
    assert_equal(&mirror.database(), &to);
    assert_sound(&mirror, &to);
    // Once more writes nothing.
    let again = copy(&mirror);
    assert_eq!(written(&again), [0; 8], "{again:?}");
    assert_equal(&mirror.database(), &to);
}

#[test]
fn an_interrupted_copy_ends_with_its_page_and_says_how_to_go_on() {
    let mirror = Mirror::new(LAST);
    fill(&mirror);
    let to = target(&mirror);
    let mut command = mirror.command(&["copy", "--to", to.to_str().unwrap()]);
    let running = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while count(&to, "items") == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    let id = running.id().to_string();
    std::process::Command::new("/bin/kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    let ended = CommandResult::new(&running.wait_with_output().unwrap());
    assert_eq!(ended.exit_code, 130, "{ended:?}");
    assert_eq!(ended.report["interrupted"], json!(true));
    assert!(
        ended.stderr.contains("the same command goes on"),
        "{ended:?}"
    );
    // What is claimed is there.
    assert_sound(&mirror, &to);
    assert_eq!(copy(&mirror).exit_code, 0);
    assert_equal(&mirror.database(), &to);
}

#[test]
fn an_older_row_overwrites_no_newer_one_and_no_change_is_invented() {
    let mirror = Mirror::new(100);
    mirror.fill_database();
    mirror.execute("INSERT INTO lists VALUES ('top', 1, 1, 5), ('new', 1, 1, 5)");
    assert_eq!(copy(&mirror).exit_code, 0);
    let to = target(&mirror);
    connect(&to)
        .batch_execute(
            "UPDATE items SET title = 'newer', fetched_at = fetched_at + 10 WHERE id = 1;
             UPDATE items SET text = 'older', fetched_at = fetched_at - 10 WHERE id = 2;
             DELETE FROM item_history;
             INSERT INTO items (id, title, fetched_at) VALUES (50, 'now there', 99999999999);
             DELETE FROM failures; DELETE FROM absent; DELETE FROM items WHERE id IN (60, 61);
             INSERT INTO absent VALUES (60, 1, 5, 5); INSERT INTO failures VALUES (61, 'status', '', 1, 5);
             UPDATE lists SET fetched_at = 9, id = 9 WHERE list = 'top';
             UPDATE lists SET fetched_at = 1, id = 9 WHERE list = 'new'",
        )
        .unwrap();
    assert_eq!(copy(&mirror).exit_code, 0);
    let found = |columns: &str, table: &str| rows(&to, table, columns);
    assert_eq!(found("title", "items WHERE id = 1"), ["'newer'"]);
    assert_eq!(found("text", "items WHERE id = 2"), ["'a'"]);
    assert_eq!(found("id", "failures"), [""; 0], "50 was stored later");
    assert_eq!(found("id", "absent"), ["40"]);
    assert_eq!(found("id", "item_history"), [""; 0]);
    assert_eq!(found("list, id", "lists"), ["'new' 1", "'top' 9"]);
    assert_eq!(found("lo, hi", "coverage"), ["1 100"]);
}

#[test]
fn rows_that_would_change_are_reported_and_not_claimed() {
    let mirror = Mirror::new(100);
    mirror.fill_database();
    mirror.execute(
        "UPDATE items SET kids = x'5b315d' WHERE id = 3;
         UPDATE items SET extra = CAST(x'7b22ff227d' AS TEXT) WHERE id = 4;
         UPDATE items SET score = 'many' WHERE id = 5;
         UPDATE items SET deleted = 7 WHERE id = 6;
         INSERT INTO users (id, about, fetched_at) VALUES (x'ff', 'a', 1), ('pg', x'00', 1), ('ok', 'a', 1)",
    );
    let result = copy(&mirror);
    assert_eq!(result.exit_code, 1, "{result:?}");
    let refused = |table: &str, key: &str, column: &str, why: &str| json!({"table": table, "key": key, "column": column, "why": why});
    let (other_type, not_utf8) = ("it is not of the column's type", "it is not UTF-8");
    let expected = complete_list(
        6,
        &json!([
            refused("items", "3", "kids", other_type),
            refused("items", "4", "extra", not_utf8),
            refused("items", "5", "score", other_type),
            refused("items", "6", "deleted", other_type),
            refused("users", "\u{fffd}", "id", other_type),
            refused("users", "pg", "about", other_type),
        ]),
    );
    assert_eq!(result.report["refused"], expected);
    let to = target(&mirror);
    assert_eq!(rows(&to, "coverage", "lo, hi"), ["1 2", "7 100"]);
    assert_eq!(rows(&to, "users", "id"), ["'ok'"]);
    assert_sound(&mirror, &to);
}

#[test]
fn the_target_gets_the_mark_and_the_indexes_of_the_source() {
    let mirror = Mirror::new(100);
    mirror.fill_database();
    mirror
        .execute("PRAGMA application_id = 0x484e6465; CREATE INDEX items_by_time ON items (time)");
    assert_eq!(copy(&mirror).exit_code, 0);
    let to = target(&mirror);
    assert_eq!(
        rows(&to, "pragma_application_id", "application_id"),
        ["1213097061"]
    );
    let indexes = rows(
        &to,
        "sqlite_schema WHERE type = 'index' AND name LIKE 'items_by%'",
        "name",
    );
    assert_eq!(indexes, ["'items_by_time'"]);
}

#[test]
fn a_target_that_is_the_source_or_another_kind_is_refused_untouched() {
    let mirror = Mirror::new(100);
    mirror.fill_database();
    let folder = mirror.database().parent().unwrap().to_owned();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(mirror.database(), path("link.db")).unwrap();
    fs::hard_link(mirror.database(), path("hard.db")).unwrap();
    let mut foreign = connect(&folder.join("foreign.db"));
    foreign.batch_execute("CREATE TABLE t (x)").unwrap();
    let mut demo = connect(&folder.join("demo.db"));
    hn_ingest::hn::migrations::run(&mut demo).unwrap();
    demo.batch_execute(
        "PRAGMA application_id = 0x484e6465; INSERT INTO items (id, fetched_at) VALUES (1, 1)",
    )
    .unwrap();
    fs::write(path("text"), "no database").unwrap();
    let dotted = format!("{}/./hn.db", folder.display());
    for (to, message) in [
        (path("hn.db"), "the same database"),
        (dotted, "the same database"),
        (format!("sqlite://{}", path("hn.db")), "the same database"),
        (path("link.db"), "the same database"),
        (path("hard.db"), "the same database"),
        (path("foreign.db"), "belongs to another program"),
        (path("demo.db"), "filled by --demo"),
        (path("text"), "not a database"),
        (":memory:".to_owned(), "--to is `:memory:`"),
        (
            "mysql://u:secret@h/d".to_owned(),
            "--to is `mysql://u:***@h/d`",
        ),
    ] {
        let result = mirror.run(&["copy", "--to", &to]);
        assert_eq!(
            (result.exit_code, &result.report),
            (2, &Value::Null),
            "{to}: {result:?}"
        );
        assert!(result.stderr.contains(message), "{to}: {result:?}");
    }
    assert_eq!(mirror.run(&["copy"]).exit_code, 2);
    let missing = mirror.run(&[
        "copy",
        "--database",
        &path("no.db"),
        "--to",
        &path("new.db"),
    ]);
    assert_eq!(missing.exit_code, 2);
    assert!(
        missing.stderr.contains("there is no database"),
        "{missing:?}"
    );
    assert!(!folder.join("new.db").exists());
    let meaningless = mirror.run(&["copy", "--to", &path("new.db"), "--workers", "3"]);
    assert!(
        meaningless.stderr.contains("means nothing to `copy`"),
        "{meaningless:?}"
    );
}
