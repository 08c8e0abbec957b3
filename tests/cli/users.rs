//! `users`: profiles by name.

use std::io::Write;

use hn_ingest::test_util::Reply;
use serde_json::{Value, json};

use crate::common::{Api, Sandbox, counts};

fn user(api: &Api, name: &str, replies: impl IntoIterator<Item = Reply>) {
    api.0.on(format!("/v0/user/{name}.json"), replies);
}

#[test]
fn profiles_are_stored_with_every_field_and_null_is_absent() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let body = r#"{"id":"pg","created":1160418092,"karma":157316,"about":"Bug &lt;fixer&gt;\u0000","submitted":[ 3, 1],
        "delay":2,"odd":1e400}"#;
    user(&api, "pg", [Reply::json(body)]);
    user(&api, "gone", [Reply::json("null")]);
    user(&api, "bad", [Reply::json("[]")]);
    user(
        &api,
        "a_B-9",
        [Reply::json(r#"{"id":"a_B-9","karma":null}"#)],
    );
    let args = ["users", "pg", "gone", "bad", "a_B-9", "nobody"];
    let report = sandbox.ingest(&api, &args).exits(1).report();
    assert_eq!(
        (&report["command"], counts(&report)),
        (&json!("users"), [2, 1, 2, 0])
    );
    let failed: Vec<_> = report["failures"].as_array().unwrap().iter().collect();
    let of = |id: &str| failed.iter().find(|failure| failure["id"] == id).unwrap();
    assert_eq!(
        (&of("bad")["kind"], &of("nobody")["kind"]),
        (&json!("decode"), &json!("status"))
    );
    assert!(report.get("top").is_none());
    let mut db = sandbox.db("hn.db");
    let columns = "id, created, karma, hex(about), submitted, extra, fetched_at > 0";
    let about: String = "Bug &lt;fixer&gt;\0"
        .bytes()
        .map(|b| format!("{b:02X}"))
        .collect();
    assert_eq!(
        db.rows(columns, "users ORDER BY id"),
        json!([
            ["a_B-9", null, null, "", null, r#"{"karma":null}"#, 1],
            [
                "pg",
                1_160_418_092,
                157_316,
                about,
                "[3,1]",
                r#"{"delay":2,"odd":1e400}"#,
                1
            ]
        ])
    );
    assert_eq!(
        db.rows("command, requested, stored, absent, failed", "runs"),
        json!([["users", 5, 2, 1, 2]])
    );
    let status = sandbox.run(&["status"]).exits(0).stdout;
    assert!(status.contains("\nusers     2\n"), "{status}");
    for table in ["items", "absent", "failures"] {
        assert_eq!(db.count(table), 0, "{table}");
    }
}

#[test]
fn a_byte_order_mark_before_a_profile_is_ignored() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    user(&api, "a", [Reply::json("\u{feff}{\"id\":\"a\"}\r\n")]);
    user(&api, "b", [Reply::json("\u{feff}null")]);
    let finished = sandbox.ingest(&api, &["users", "a", "b"]).exits(0);
    assert_eq!(counts(&finished.report()), [1, 1, 0, 0]);
}

#[test]
fn a_compressed_answer_that_does_not_say_so_fails_with_a_message_that_does() {
    for (body, format) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd\x04\0", "zstd"),
    ] {
        let sandbox = Sandbox::new();
        let api = Api::new();
        api.0.otherwise(move |_| Reply::json(body));
        let message = format!("compressed ({format}), which was not asked for");
        for args in [["users", "a"], ["items", "1"]] {
            let finished = sandbox.ingest(&api, &args).exits(1);
            let report = finished.report().to_string();
            assert!(report.contains(&message), "{report}");
        }
        for args in [&["top"][..], &["backfill"]] {
            sandbox.ingest(&api, args).refuses(&[&message]);
        }
    }
}

#[test]
fn a_profile_fetched_again_replaces_its_row_and_one_that_is_gone_keeps_it() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    user(
        &api,
        "pg",
        [
            Reply::json(r#"{"id":"pg","karma":1,"about":"x"}"#),
            Reply::json(r#"{"id":"pg","karma":2}"#),
            Reply::json("null"),
        ],
    );
    for _ in 0..3 {
        sandbox.ingest(&api, &["users", "pg"]).exits(0);
    }
    let rows = sandbox.db("hn.db").rows("id, karma, about", "users");
    assert_eq!(rows, json!([["pg", 2, null]]));
}

#[test]
fn names_come_from_addresses_and_from_standard_input_too() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    for name in ["pg", "dang"] {
        user(&api, name, [Reply::json(json!({"id": name}).to_string())]);
    }
    let address = "https://news.ycombinator.com/user?id=dang";
    let report = sandbox
        .ingest(&api, &["users", "pg", address])
        .exits(0)
        .report();
    assert_eq!(counts(&report), [2, 0, 0, 0]);
    let call = sandbox.call_with(&api, &["users", "-"]);
    let (running, mut stdin) = call.start_piped();
    stdin
        .write_all("\u{feff}pg\r\ndang x/y pg".as_bytes())
        .unwrap();
    drop(stdin);
    let finished = running.wait().exits(2);
    assert_eq!(counts(&finished.report()), [2, 0, 0, 0]);
    let message = "hn-ingest: standard input, line 2: `x/y` is no user name";
    assert!(finished.stderr.starts_with(message), "{finished:?}");
}

#[test]
fn a_text_that_is_no_name_is_refused_before_anything_is_made() {
    for name in [
        "",
        "a b",
        "a/b",
        "../maxitem",
        "ü",
        "https://example.com/user?id=pg",
    ] {
        let sandbox = Sandbox::new();
        sandbox
            .run(&["users", "pg", name])
            .refuses(&["is no user name"]);
        assert!(sandbox.files().is_empty());
    }
}

#[test]
fn a_demo_has_users_and_does_not_mix_with_real_ones() {
    let sandbox = Sandbox::new();
    let finished = sandbox.run(&["--demo", "items", "1000", "--format", "json"]);
    finished.exits(0);
    let by = sandbox.db("hn-demo.db").column("by", "items")[0].clone();
    let Value::String(name) = by else {
        panic!("item 1000 has no author");
    };
    sandbox
        .run(&["--demo", "--database", "other.db", "users", &name])
        .exits(0);
    assert_eq!(sandbox.db("other.db").column("id", "users"), json!([name]));
    let api = Api::new();
    let args = ["users", "pg", "--database", "other.db"];
    sandbox.ingest(&api, &args).refuses(&["--demo"]);
}
