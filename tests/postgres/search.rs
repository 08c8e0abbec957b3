//! Search on a server finds what it finds in a file.

use serde_json::Value;

use crate::{
    common::Sandbox,
    server::{DATABASE, Server},
};

/// Every rule of the query language that holds on both.
const QUERIES: [&[&str]; 22] = [
    &["rust"],
    &["rust", "actors"],
    &["\"rust actors\""],
    &["\"actors rust\""],
    &["rust -actors"],
    &["iron OR acme"],
    &["act*"],
    &["don't"],
    &["at&t"],
    &["and/or"],
    &["https://example.org/a?b=1"],
    &["example.com"],
    &["zurich"],
    &["ZÜRICH ubergröße"],
    &["node.js"],
    &["c++"],
    &["東京"],
    &["pg"],
    &["[delayed]"],
    &["rust", "--by", "pg", "--points", "10"],
    &["rust", "--type", "comment", "--since", "1600000000"],
    &["--type", "story", "--by-date"],
];

/// The rows of both databases. The columns have the same names.
const ROWS: &str = r"
INSERT INTO items (id, type, by, time, title, url, text, score, parent, deleted, dead, fetched_at) VALUES
    (1, 'story', 'pg', 1600000000, 'Rust actors in production', 'https://example.com/actors', NULL, 50, NULL, NULL, NULL, 1),
    (2, 'comment', 'ann', 1600000100, NULL, NULL, 'I don&#x27;t like <i>Rust</i> &amp; C++, but <a href=''https:&#x2F;&#x2F;example.org&#x2F;a?b=1''>', NULL, 1, NULL, NULL, 1),
    (3, 'comment', 'rust', 1600000200, NULL, NULL, 'AT&amp;T said &quot;no way&quot; and&#x2F;or yes<p>about actors', NULL, 1, NULL, NULL, 1),
    (4, 'story', 'pg', 1600000300, 'Rust is not only iron', NULL, NULL, 500, NULL, NULL, NULL, 1),
    (5, 'story', 'bob', 1600000400, 'Ask HN: Why don''t we use Zürich time?', NULL, 'node.js and Übergröße', 7, NULL, NULL, NULL, 1),
    (6, 'comment', 'ann', 1600000500, NULL, NULL, '[delayed]', NULL, 5, NULL, NULL, 1),
    (7, 'comment', 'ann', 1600000600, NULL, NULL, 'rust', NULL, 5, NULL, 1, 1),
    (8, 'comment', 'ann', 1600000700, NULL, NULL, 'rust', NULL, 5, 1, NULL, 1),
    (9, 'job', 'ycorp', 1600000800, 'Acme is hiring Rust people', NULL, NULL, 1, NULL, NULL, NULL, 1),
    (10, 'comment', 'x', 1600000900, NULL, NULL, '時間は大切です 東京 c++', NULL, 5, NULL, NULL, 1),
    (11, 'comment', 'eve', 1600001000, NULL, NULL, 'just a c', NULL, 4, NULL, NULL, 1)
";

fn results(sandbox: &Sandbox, database: &str, args: &[&str]) -> Value {
    let own = ["--format", "json", "--database", database];
    let finished = sandbox.run(&[&["search"], args, &own].concat()).exits(0);
    let mut report: Value = serde_json::from_str(&finished.stdout).unwrap();
    report["database"] = Value::Null;
    report
}

#[test]
fn a_search_on_a_server_finds_the_same_as_one_in_a_file() {
    let server = Server::start();
    let sandbox = Sandbox::new();
    let url = server.url(DATABASE);
    // Two items make the tables.
    for database in [&*url, "hn.db"] {
        sandbox
            .run(&["items", "--demo", "1", "--database", database])
            .exits(0);
    }
    let clear = "DELETE FROM items;";
    sandbox
        .db("hn.db")
        .execute(&format!("{clear}{}", ROWS.replace(", by,", ", \"by\",")));
    server.execute(&format!("{clear}{}", ROWS.replace(", by,", ", \"by\",")));
    let missing = sandbox.run(&["search", "rust", "--database", &url]);
    missing.refuses(&["no search index", "hn-ingest search --build"]);
    for database in [&*url, "hn.db"] {
        let build = ["search", "--build", "--database", database];
        sandbox.run(&build).exits(0);
        // Once more changes nothing.
        sandbox.run(&build).exits(0);
    }
    for query in QUERIES {
        let in_file = results(&sandbox, "hn.db", query);
        assert_eq!(results(&sandbox, &url, query), in_file, "{query:?}");
    }
    let plan =
        "SELECT string_agg(indexdef, ' ') FROM pg_indexes WHERE indexname LIKE 'items_search%'";
    assert_eq!(server.text(plan).matches("USING gin").count(), 2);

    // What changes is found at once, and what dies no longer.
    for sql in [
        "UPDATE items SET title = 'Gold' WHERE id = 4",
        "UPDATE items SET dead = 1 WHERE id = 9",
        "UPDATE items SET text = 'gold rust' WHERE id = 6",
    ] {
        server.execute(sql);
        sandbox.db("hn.db").execute(sql);
    }
    for query in [&["gold"], &["rust"], &["acme"]] {
        let in_file = results(&sandbox, "hn.db", query);
        assert_eq!(results(&sandbox, &url, query), in_file, "{query:?}");
    }

    // Long texts and odd ones are stored and indexed.
    server.execute(
        "INSERT INTO items (id, type, text, fetched_at) SELECT 20, 'comment', string_agg(md5(n::text), ' '), 1 FROM generate_series(1, 60000) n;
         INSERT INTO items (id, type, text, fetched_at) VALUES (21, 'comment', repeat('x', 100000), 1)",
    );
    let rebuilt = ["search", "--rebuild", "--stories-only", "--database", &url];
    sandbox.run(&rebuilt).exits(0);
    assert_eq!(results(&sandbox, &url, &["gold"])["total"], 1);
    sandbox
        .run(&["search", "--drop", "--database", &url])
        .exits(0);
    let left = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'hn_search%'";
    assert_eq!(server.number(left), 0);
}

#[test]
fn an_index_that_was_interrupted_is_built_anew() {
    let server = Server::start();
    let sandbox = Sandbox::new();
    let url = server.url(DATABASE);
    sandbox
        .run(&["backfill", "--demo", "--last", "300", "--database", &url])
        .exits(0);
    sandbox
        .run(&["search", "--build", "--database", &url])
        .exits(0);
    server.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'items_search'::regclass;
         UPDATE search_index SET next_id = 0",
    );
    let unfinished = sandbox.run(&["search", "server", "--database", &url]);
    unfinished.refuses(&["not complete"]);
    sandbox
        .run(&["search", "--build", "--database", &url])
        .exits(0);
    assert!(results(&sandbox, &url, &["server"])["total"].as_u64() > Some(0));
    sandbox.run(&["verify", "--database", &url]).exits(0);
    let missing = "the index items_search is missing";
    server.execute("DROP INDEX items_search");
    let verified = sandbox.run(&["verify", "--database", &url]).exits(1);
    assert!(verified.stdout.contains(missing), "{verified:?}");
    let status = sandbox.run(&["status", "--database", &url]).exits(0);
    assert!(status.stdout.contains(missing), "{status:?}");
    let build = sandbox.run(&["search", "--build", "--database", &url]);
    build.refuses(&[missing, "search --rebuild"]);
    sandbox
        .run(&["search", "--rebuild", "--database", &url])
        .exits(0);
    sandbox.run(&["verify", "--database", &url]).exits(0);
}
