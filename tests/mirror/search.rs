//! Tests of `search`: the index is built, kept current and complete, and what is found in which order.

use std::{fs, process::Stdio};

use diesel::{
    RunQueryDsl,
    dsl::{select, sql},
    sql_types::BigInt,
};
use hn_ingest::{Sink, hn::HnSink};
use serde_json::{Value, json};

use crate::fixture::{Mirror, NO_IDS, comment, row, stored_item};

/// Items about every rule of the index and of the query language.
const ITEMS: [&str; 14] = [
    r#"{"id":1,"type":"story","by":"pg","time":1600000000,"title":"Rust actors in production","url":"https://example.com/actors","score":50,"descendants":3,"kids":[2,3]}"#,
    r#"{"id":2,"type":"comment","by":"ann","time":1600000100,"parent":1,"text":"I don&#x27;t like <i>Rust</i> &amp; C++, but <a href=\"https:&#x2F;&#x2F;example.org&#x2F;a?b=1\">this</a>"}"#,
    r#"{"id":3,"type":"comment","by":"rust","time":1600000200,"parent":1,"text":"AT&amp;T said &quot;no way&quot; and&#x2F;or yes<p>Second paragraph about actors"}"#,
    r#"{"id":4,"type":"story","by":"pg","time":1600000300,"title":"Rust is not only iron","score":500}"#,
    r#"{"id":5,"type":"story","by":"bob","time":1600000400,"title":"Ask HN: Why don't we use Zürich time?","text":"node.js and C# and Übergröße","score":7}"#,
    r#"{"id":6,"type":"comment","by":"ann","time":1600000500,"parent":5,"text":"[delayed]"}"#,
    r#"{"id":7,"type":"comment","by":"ann","time":1600000600,"parent":5,"text":"rust","dead":true}"#,
    r#"{"id":8,"type":"comment","time":1600000700,"parent":5,"deleted":true}"#,
    r#"{"id":9,"type":"job","by":"ycorp","time":1600000800,"title":"Acme (YC S20) is hiring Rust people","score":1}"#,
    r#"{"id":10,"type":"comment","by":"日本","time":1600000900,"parent":5,"text":"時間は大切です 東京 c++"}"#,
    r#"{"id":11,"type":"comment","by":"eve","time":1600001000,"parent":4,"text":"\u001b[31mrust rust rust\u202e"}"#,
    r#"{"id":12,"type":"poll","by":"bob","time":1600001100,"title":"Poll: tabs or spaces?","parts":[13],"score":3}"#,
    r#"{"id":13,"type":"pollopt","by":"bob","time":1600001100,"poll":12,"text":"Tabs forever","score":2}"#,
    r#"{"id":14,"type":"comment","by":"eve","time":1600001200,"parent":4,"text":"just a c and a plus"}"#,
];

/// A mirror of these items with an index.
fn mirror() -> Mirror {
    let mirror = Mirror::new(20_000);
    store(&mirror, &ITEMS);
    assert_eq!(mirror.run(&["search", "--build"]).exit_code, 0);
    mirror
}

fn store(mirror: &Mirror, items: &[&str]) {
    let mut conn = mirror.connect();
    hn_ingest::hn::migrations::run(&mut conn).unwrap();
    let rows = items.iter().map(|json| {
        let id = serde_json::from_str::<Value>(json).unwrap()["id"].as_i64();
        row(id.unwrap(), stored_item(json))
    });
    let batch: Vec<_> = rows.collect();
    HnSink::new().write(&mut conn, &batch).unwrap();
}

fn found(mirror: &Mirror, args: &[&str]) -> Vec<i64> {
    let args = [&["search"], args].concat();
    let result = mirror.run(&args);
    assert_eq!((result.exit_code, &*result.stderr), (0, ""), "{result:?}");
    let results = result.report["results"].as_array().unwrap();
    let ids: Vec<_> = results
        .iter()
        .map(|result| result["id"].as_i64().unwrap())
        .collect();
    assert_eq!(result.report["total"].as_u64(), Some(ids.len() as u64));
    ids
}

fn number(mirror: &Mirror, query: &str) -> i64 {
    select(sql::<BigInt>(&format!("({query})")))
        .get_result(&mut mirror.connect())
        .unwrap()
}

#[test]
fn titles_come_first_then_points_and_only_what_is_alive_is_found() {
    let mirror = mirror();
    for (query, ids) in [
        ("rust", &[4, 1, 9, 11, 2, 3][..]),
        ("RUST", &[4, 1, 9, 11, 2, 3]),
        ("rust actors", &[1, 3]),
        ("\"rust actors\"", &[1]),
        ("\"actors rust\"", &[]),
        ("rust -actors", &[4, 9, 11, 2]),
        ("rust -\"rust actors\"", &[4, 9, 11, 2, 3]),
        ("iron OR acme", &[4, 9]),
        ("act*", &[1, 3]),
        ("don't", &[5, 2]),
        ("don’t", &[5]),
        ("at&t", &[3]),
        ("\"no way\"", &[3]),
        ("and/or", &[3]),
        ("https://example.org/a?b=1", &[2]),
        ("example.com", &[1]),
        ("zurich", &[5]),
        ("ZÜRICH ubergröße", &[5]),
        ("node.js", &[5]),
        ("c++", &[10, 2]),
        ("c#", &[5]),
        ("東京", &[10]),
        ("東", &[]),
        ("pg", &[4, 1]),
        ("[delayed]", &[]),
        ("tabs", &[12, 13]),
    ] {
        assert_eq!(found(&mirror, &[query]), ids, "{query}");
    }
}

#[test]
fn the_signs_of_a_word_count_for_that_word_alone() {
    let mirror = mirror();
    for (query, ids) in [
        ("c", &[14, 10, 5, 2][..]),
        ("c++ OR iron", &[10, 4, 2]),
        ("c# OR tabs", &[13, 12, 5]),
        ("c# OR c++", &[10, 5, 2]),
        ("c -c++", &[14, 5]),
        ("c -c#", &[14, 10, 2]),
        ("c -c++ -c#", &[14]),
        ("c++ -rust", &[10]),
    ] {
        assert_eq!(found(&mirror, &[query, "--by-date"]), ids, "{query}");
    }
}

#[test]
fn results_can_be_limited_by_author_type_time_and_points() {
    let mirror = mirror();
    store(
        &mirror,
        &[r#"{"id":15,"type":"comment","by":"__","text":"acme"}"#],
    );
    // This name has no word.
    assert_eq!(found(&mirror, &["acme", "--by", "__"]), [15]);
    for (args, ids) in [
        (&["rust", "--by", "pg"][..], &[4, 1][..]),
        (&["rust", "--by", "PG"], &[]),
        (&["rust", "--type", "comment"], &[11, 2, 3]),
        (&["rust", "--type", "comment,job"], &[9, 11, 2, 3]),
        (&["--type", "ask"], &[5]),
        (&["rust", "--points", "10"], &[4, 1]),
        (&["rust", "--since", "1600000300"], &[4, 9, 11]),
        (&["rust", "--until", "1600000300"], &[4, 1, 2, 3]),
        (&["rust", "--since", "2020-09-14"], &[]),
        (&["rust", "--until", "2020-09-13", "--points", "500"], &[4]),
        (&["rust", "--by-date"], &[11, 9, 4, 3, 2, 1]),
        (&["--by", "bob", "--by-date"], &[13, 12, 5]),
        (&["rust", "actors", "--points", "1"], &[1]),
    ] {
        assert_eq!(found(&mirror, args), ids, "{args:?}");
    }
    let limited = mirror.run(&["search", "rust", "--limit", "2"]);
    assert_eq!(limited.report["results"].as_array().unwrap().len(), 2);
    assert_eq!(limited.report["total"], 6);
    let all = mirror.run(&["search", "rust", "--limit", "0"]);
    assert_eq!(all.report["results"].as_array().unwrap().len(), 6);
}

#[test]
fn a_result_says_where_it_is_and_shows_why_it_was_found() {
    let mirror = mirror();
    let report = mirror.run(&["search", "don't", "--type", "comment"]).report;
    let result = &report["results"][0];
    assert_eq!(result["link"], "https://news.ycombinator.com/item?id=2");
    assert_eq!(result["story_id"], 1);
    assert_eq!(result["story_title"], "Rust actors in production");
    assert_eq!(result["excerpt"], "I don't like Rust & C++, but this");
    let mut command = mirror.command(&["search", "rust", "--format", "text"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "Rust is not only iron",
        "https://news.ycombinator.com/item?id=4",
        "\u{fffd}[31mrust rust rust\u{fffd}",
        "on: Rust actors in production",
        "6 results of 6",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains("<i>"), "{text}");
    let mut nothing = mirror.command(&["search", "nosuchword", "--format", "text"]);
    let output = nothing.output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"nothing found\n");
}

#[test]
fn a_word_that_no_item_has_is_corrected_if_one_is_near() {
    let mirror = mirror();
    let result = mirror.run(&["search", "actros", "production"]);
    assert_eq!(result.exit_code, 0);
    assert_eq!(result.report["corrected"], "actors production");
    assert_eq!(result.report["results"][0]["id"], 1);
    assert!(result.stderr.contains("actors production"), "{result:?}");
    for far in ["xctors", "\"actros\"", "-actors actros2x"] {
        let report = mirror.run(&["search", "--", far]).report;
        assert_eq!(
            (&report["corrected"], &report["total"]),
            (&json!(null), &json!(0)),
            "{far}"
        );
    }
}

#[test]
fn the_index_follows_each_change_and_no_other() {
    let mirror = mirror();
    let changes = |sql: &str| {
        // FTS5 writes to this table whenever it indexes or forgets a row.
        mirror.execute("DROP TABLE IF EXISTS before; CREATE TABLE before AS SELECT id, block FROM items_fts_data");
        mirror.execute(sql);
        number(
            &mirror,
            "SELECT count(*) FROM items_fts_data d LEFT JOIN before b ON b.id = d.id WHERE d.block IS NOT b.block",
        ) > 0
    };
    for sql in [
        "UPDATE items SET score = 9, descendants = 4, kids = '[]', fetched_at = fetched_at + 1 WHERE id = 1",
        "UPDATE items SET title = title, dead = dead WHERE id = 4",
        "UPDATE items SET text = 'other' WHERE id = 7",
        "INSERT INTO items (id, type, text, dead, fetched_at) VALUES (20, 'comment', 'rust', 1, 1)",
        "DELETE FROM items WHERE id = 20",
        "UPDATE items SET text = '[flagged]' WHERE id = 6",
    ] {
        assert!(!changes(sql), "{sql}");
    }
    mirror.execute("DROP TABLE before");
    let store = |json: &str| {
        let id = serde_json::from_str::<Value>(json).unwrap()["id"]
            .as_i64()
            .unwrap();
        store(&mirror, &[json]);
        id
    };
    let query = |query: &str| found(&mirror, &[query]);
    store(r#"{"id":4,"type":"story","by":"pg","title":"Go is not only a game","score":500}"#);
    assert_eq!((query("iron"), query("game")), (vec![], vec![4]));
    store(r#"{"id":4,"type":"story","by":"pg","title":"Go is not only a game","dead":true}"#);
    assert_eq!(query("game"), NO_IDS);
    store(r#"{"id":4,"type":"story","by":"pg","title":"Go is a game again"}"#);
    assert_eq!(query("game"), [4]);
    store(r#"{"id":6,"type":"comment","by":"ann","parent":5,"text":"no longer delayed"}"#);
    assert_eq!(query("delayed"), [6]);
    store(r#"{"id":6,"type":"comment","parent":5,"deleted":true}"#);
    assert_eq!(query("delayed"), NO_IDS);
    assert_eq!(
        store(r#"{"id":15,"type":"comment","by":"zoe","text":"brand new game"}"#),
        15
    );
    assert_eq!(query("game"), [4, 15]);
    mirror.execute("DELETE FROM items WHERE id = 15");
    assert_eq!(query("game"), [4]);
    // An older answer changes nothing.
    mirror.execute("UPDATE items SET fetched_at = 99999999999 WHERE id = 4");
    store(r#"{"id":4,"type":"story","title":"Older"}"#);
    assert_eq!((query("older"), query("game")), (vec![], vec![4]));
    assert_eq!(mirror.run(&["verify"]).exit_code, 0);
}

#[test]
fn an_index_that_is_half_built_takes_no_harm_from_writers_and_is_finished_later() {
    let mirror = Mirror::new(20_000);
    store(&mirror, &ITEMS);
    assert_eq!(mirror.run(&["search", "--build"]).exit_code, 0);
    // As a process leaves it that is killed after the first seven ids.
    mirror.execute(
        "INSERT INTO items_fts (items_fts, rowid, title, url, text, by)
             SELECT 'delete', id, title, url, nullif(text, '[delayed]'), by FROM items WHERE id >= 8 AND deleted IS NULL;
         INSERT INTO stories_fts (stories_fts, rowid, title, url, text, by)
             SELECT 'delete', id, title, url, text, by FROM items WHERE id >= 8 AND deleted IS NULL AND type <> 'comment';
         UPDATE search_index SET next_id = 8",
    );
    let unfinished = mirror.run(&["search", "rust"]);
    assert_eq!(unfinished.exit_code, 2);
    assert!(
        unfinished.stderr.contains("search --build"),
        "{unfinished:?}"
    );
    store(
        &mirror,
        &[
            r#"{"id":4,"type":"story","title":"Changed below"}"#,
            r#"{"id":11,"type":"comment","text":"changed above"}"#,
            r#"{"id":16,"type":"comment","text":"changed at the end"}"#,
        ],
    );
    mirror.execute("DELETE FROM items WHERE id = 10");
    assert_eq!(mirror.run(&["verify"]).exit_code, 0);
    assert_eq!(mirror.run(&["search", "--build"]).exit_code, 0);
    assert_eq!(found(&mirror, &["changed"]), [4, 11, 16]);
    assert_eq!(found(&mirror, &["acme"]), [9]);
    assert_eq!(found(&mirror, &["東京"]), NO_IDS);
    assert_eq!(mirror.run(&["verify"]).exit_code, 0);
}

#[test]
fn a_backfill_builds_the_index_at_its_end_and_later_ones_keep_it() {
    let mirror = Mirror::new(300);
    let result = mirror.run(&["backfill", "--to", "200"]);
    assert_eq!(result.exit_code, 0, "{result:?}");
    // A third is left.
    let missing = mirror.run(&["search", "text"]);
    assert_eq!(missing.exit_code, 2, "{missing:?}");
    assert!(missing.stderr.contains("hn-ingest search --build"));
    assert_eq!(
        number(
            &mirror,
            "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'items_a%'"
        ),
        0
    );
    assert_eq!(mirror.run(&["backfill"]).exit_code, 0);
    assert_eq!(found(&mirror, &["text 150"]), [150]);
    assert_eq!(
        number(&mirror, "SELECT count(*) FROM items_fts_docsize"),
        297
    );
    mirror.api.on(
        "/v0/maxitem.json",
        [hn_ingest::test_util::Reply::json("310")],
    );
    assert_eq!(mirror.run(&["backfill"]).exit_code, 0);
    assert_eq!(found(&mirror, &["text 305"]), [305]);
    assert_eq!(mirror.run(&["verify"]).exit_code, 0);
}

#[test]
fn a_backfill_builds_the_index_that_it_is_asked_for() {
    for (what, columns) in [("none", None), ("stories", Some("title, url"))] {
        let mirror = Mirror::new(20);
        let result = mirror.run(&["backfill", "--search-index", what]);
        assert_eq!(result.exit_code, 0, "{result:?}");
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'items_fts'";
        assert_eq!(number(&mirror, sql), i64::from(columns.is_some()));
        if let Some(columns) = columns {
            let sql = format!("{sql} AND sql LIKE '%fts5({columns}, content=\"items\"%'");
            assert_eq!(number(&mirror, &sql), 1);
        }
    }
    let bad = Mirror::new(20).run(&["backfill", "--search-index", "some"]);
    assert_eq!(bad.exit_code, 2);
    assert!(bad.stderr.contains("all, stories or none"), "{bad:?}");
}

#[test]
fn a_small_index_holds_titles_only_and_an_index_can_be_dropped_and_rebuilt() {
    let mirror = mirror();
    let other = mirror.run(&["search", "--build", "--stories-only"]);
    assert_eq!(other.exit_code, 2);
    assert!(other.stderr.contains("--rebuild"), "{other:?}");
    let small = mirror.run(&["search", "--rebuild", "--stories-only"]);
    assert_eq!(
        (small.exit_code, &small.report["index"]),
        (0, &json!("stories"))
    );
    assert_eq!(found(&mirror, &["rust"]), [4, 1, 9]);
    assert_eq!(found(&mirror, &["rust", "--by", "pg"]), [4, 1]);
    assert_eq!(found(&mirror, &["example.com"]), [1]);
    store(&mirror, &[r#"{"id":2,"type":"comment","text":"rust"}"#]);
    store(&mirror, &[r#"{"id":4,"type":"story","title":"Iron"}"#]);
    assert_eq!(found(&mirror, &["rust"]), [1, 9]);
    assert_eq!(mirror.run(&["verify"]).exit_code, 0);
    let dropped = mirror.run(&["search", "--drop"]);
    assert_eq!(
        (dropped.exit_code, &dropped.report["index"]),
        (0, &json!(null))
    );
    let left = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%_fts%' OR name LIKE 'items_a_' OR name = 'search_index'";
    assert_eq!(number(&mirror, left), 0);
    store(
        &mirror,
        &[r#"{"id":2,"type":"comment","text":"rust again"}"#],
    );
    assert_eq!(mirror.run(&["search", "--rebuild"]).exit_code, 0);
    assert_eq!(found(&mirror, &["again"]), [2]);
}

#[test]
fn verify_finds_a_search_index_that_is_damaged_or_lacks_items_and_repair_drops_it() {
    for damage in [
        "INSERT INTO items_fts (items_fts, rowid, title, url, text, by) SELECT 'delete', id, title, url, text, by FROM items WHERE id = 4",
        "DROP TRIGGER items_ad; DELETE FROM items WHERE id = 4",
        "DROP TRIGGER items_au; UPDATE items SET dead = 1 WHERE id = 4",
        "UPDATE items_fts_data SET block = zeroblob(length(block)) WHERE id > 10",
        "INSERT INTO stories_fts (stories_fts, rowid, title, url, text, by) SELECT 'delete', id, title, url, text, by FROM items WHERE id = 4",
        "UPDATE stories_fts_data SET block = zeroblob(length(block)) WHERE id > 10",
    ] {
        let mirror = mirror();
        mirror.execute(damage);
        let result = mirror.run(&["verify"]);
        assert_eq!(result.exit_code, 1, "{damage}: {result:?}");
        let faults = result.report["faults"].as_array().unwrap();
        assert_eq!(faults.len(), 1, "{damage}: {faults:?}");
        assert_eq!(faults[0]["kind"], "search_index", "{damage}");
        assert_eq!(mirror.run(&["verify", "--repair"]).exit_code, 0, "{damage}");
        assert_eq!(mirror.run(&["verify"]).exit_code, 0, "{damage}");
        assert_eq!(mirror.run(&["search", "--build"]).exit_code, 0, "{damage}");
        assert_eq!(mirror.run(&["verify"]).exit_code, 0, "{damage}");
    }
}

#[test]
fn a_part_of_the_search_index_that_is_missing_is_named_by_verify_search_and_build() {
    for (missing, is_read) in [
        ("trigger items_ai", false),
        ("trigger items_ad", false),
        ("trigger items_au", false),
        ("table items_fts", true),
        ("table stories_fts", true),
        ("table items_fts_words", true),
        ("table stories_fts_docsize", true),
    ] {
        let mirror = mirror();
        mirror.execute(&format!("DROP {missing}"));
        let fault = mirror.run(&["verify"]);
        assert_eq!(fault.exit_code, 1, "{missing}: {fault:?}");
        let faults = fault.report["faults"].as_array().unwrap();
        assert_eq!(faults.len(), 1, "{missing}: {faults:?}");
        assert_eq!(faults[0]["kind"], "search_index", "{missing}");
        let named = format!("the {missing} is missing");
        let messages = faults[0]["messages"].as_array().unwrap();
        assert!(messages.contains(&json!(named)), "{missing}: {messages:?}");
        let refuses = |args: &[&str]| {
            let result = mirror.run(args);
            assert_eq!(result.exit_code, 2, "{missing}: {result:?}");
            for part in [&*named, "`hn-ingest search --rebuild`"] {
                assert!(result.stderr.contains(part), "{missing}: {result:?}");
            }
        };
        refuses(&["search", "--build"]);
        if is_read {
            refuses(&["search", "rust"]);
        } else {
            assert_eq!(mirror.run(&["search", "rust"]).exit_code, 0, "{missing}");
        }
        let rebuild = ["search", "--rebuild"];
        let repair = ["verify", "--repair"];
        for mend in [&rebuild[..], &repair] {
            mirror.execute("DROP TRIGGER IF EXISTS items_au");
            assert_eq!(mirror.run(mend).exit_code, 0, "{missing}: {mend:?}");
            assert_eq!(mirror.run(&["verify"]).exit_code, 0, "{missing}: {mend:?}");
        }
    }
}

#[test]
fn a_mirror_that_cannot_be_written_can_be_searched() {
    let mirror = mirror();
    mirror.execute("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
    let mut permissions = fs::metadata(mirror.database()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(mirror.database(), permissions).unwrap();
    assert_eq!(found(&mirror, &["iron"]), [4]);
}

#[test]
fn what_cannot_be_searched_for_is_refused_with_the_reason() {
    let mirror = mirror();
    for (args, reason) in [
        (&["search"][..], "there is nothing to look for"),
        (&["search", "!?"], "no letter and no digit"),
        (&["search", "--", "-rust"], "without a minus"),
        (&["search", "ab*"], "at least 3 letters"),
        (&["search", "rust", "--type", "story,car"], "`car`"),
        (&["search", "rust", "--since", "soon"], "--since is `soon`"),
        (
            &["search", "rust", "--points", "many"],
            "--points is `many`",
        ),
        (&["search", "--stories-only"], "--build"),
        (&["search", "rust", "--build"], "cannot be used with"),
        (
            &["search", "rust", "--workers", "2"],
            "means nothing to `search`",
        ),
    ] {
        let result = mirror.run(args);
        assert_eq!(result.exit_code, 2, "{args:?}: {result:?}");
        assert!(result.stderr.contains(reason), "{args:?}: {result:?}");
    }
    let long = "x".repeat(2000);
    assert_eq!(mirror.run(&["search", &long]).exit_code, 2);
}

#[test]
fn no_query_is_an_error_of_the_database() {
    let mirror = mirror();
    for query in [
        "\"",
        "\"\"\"",
        "a\"b\"c\"",
        "NEAR(rust actors, 2)",
        "{title} : rust",
        "title:rust",
        "rust AND",
        "AND OR NOT",
        "^rust",
        "rust + actors",
        "(rust",
        "rust)",
        "* rust",
        "rust*actors",
        "'rust",
        "rust; DROP TABLE items",
        "%",
        "_",
        "\\",
        "-",
        "--rust x",
        "a\u{301}b",
        "\u{202e}rust",
        "ⅷ ½ ²",
        "𞤀𞤁 rust",
        "ª º",
        "रुपये",
        "한국어",
        "😀 rust",
    ] {
        let result = mirror.run(&["search", "--", query]);
        assert!(
            result.exit_code == 0 || result.exit_code == 2,
            "{query}: {result:?}"
        );
        assert!(
            !result.stderr.contains("cannot be searched"),
            "{query}: {result:?}"
        );
    }
    // Comments of the fixture have no rust in them.
    assert!(!comment(1).contains("rust"));
}
