//! Tests of `verify`: what it finds, as faults and as notes.

use hn_ingest::{Sink, hn::HnSink};
use serde_json::{Value, json};

use crate::fixture::{
    Mirror, Verification, comment, complete_list, row, stored_item, verify_after,
};

#[test]
fn verify_finds_no_fault_in_a_sound_mirror() {
    let Verification {
        mirror,
        faults,
        notes,
    } = verify_after("");
    assert_eq!((faults, notes), (json!([]), json!([])));
    let checked = mirror.run(&["verify"]).report["checked"].clone();
    let wanted = json!({"items": 98, "absent": 1, "failures": 1, "ranges": 1, "covered": 100});
    assert_eq!(checked, wanted);
}

#[test]
fn verify_lists_the_covered_ids_that_have_no_outcome() {
    let one = |id: i64| json!({"lo": id, "hi": id});
    let several = |lo: i64, hi: i64| json!({"lo": lo, "hi": hi});
    let last = i64::MAX;
    for (sql, count, ids) in [
        (
            "DELETE FROM items WHERE id IN (17, 20, 21, 22)",
            4,
            json!([one(17), several(20, 22)]),
        ),
        (
            "DELETE FROM items WHERE id IN (3, 100)",
            2,
            json!([one(3), one(100)]),
        ),
        (
            "DELETE FROM absent; DELETE FROM failures",
            2,
            json!([one(40), one(50)]),
        ),
        (
            "UPDATE coverage SET hi = 105",
            5,
            json!([several(101, 105)]),
        ),
        ("UPDATE coverage SET lo = -1", 2, json!([several(-1, 0)])),
        (
            "INSERT INTO coverage VALUES (9223372036854775806, 9223372036854775807)",
            2,
            json!([several(last - 1, last)]),
        ),
    ] {
        let Verification { faults, notes, .. } = verify_after(sql);
        let missing = json!([{"kind": "missing", "ids": complete_list(count, &ids)}]);
        assert_eq!((faults, notes), (missing, json!([])), "{sql}");
    }
}

#[test]
fn verify_lists_the_ranges_that_overlap_touch_or_are_empty_and_repair_mends_them() {
    for (sql, range) in [
        (
            "INSERT INTO coverage VALUES (10, 12)",
            json!({"lo": 10, "hi": 12, "meets": {"lo": 1, "hi": 100}}),
        ),
        (
            "INSERT INTO coverage VALUES (500, 400)",
            json!({"lo": 500, "hi": 400, "meets": null}),
        ),
        (
            "UPDATE coverage SET hi = 60; INSERT INTO coverage VALUES (61, 100)",
            json!({"lo": 61, "hi": 100, "meets": {"lo": 1, "hi": 60}}),
        ),
    ] {
        let Verification {
            mirror,
            faults,
            notes,
        } = verify_after(sql);
        let ranges = complete_list(1, &json!([range]));
        let wanted = json!([{"kind": "ranges", "ranges": ranges}]);
        assert_eq!((faults, notes), (wanted, json!([])), "{sql}");
        let result = mirror.run(&["verify", "--repair"]);
        assert_eq!(
            (result.exit_code, &result.report["repaired"]),
            (0, &json!(true))
        );
        assert_eq!(mirror.covered_ranges(), [(1, 100)]);
        assert_eq!(mirror.run(&["verify"]).exit_code, 0);
    }
}

#[test]
fn verify_lists_the_fields_that_are_not_valid_json_of_their_type() {
    let Verification { faults, .. } = verify_after(
        "UPDATE items SET kids = '[1,' WHERE id = 3;
         UPDATE items SET parts = '{}' WHERE id = 4;
         UPDATE items SET extra = '[]' WHERE id = 5;
         UPDATE items SET kids = '[\"6\"]' WHERE id = 6;
         UPDATE items SET extra = CAST(x'7bff7d' AS TEXT) WHERE id = 7;
         UPDATE items SET kids = '' WHERE id = 8",
    );
    assert_eq!(faults.as_array().map(Vec::len), Some(1), "{faults}");
    let fields = &faults[0]["fields"];
    assert_eq!(
        (&faults[0]["kind"], &fields["count"]),
        (&json!("json"), &json!(6))
    );
    let field = |field: &Value| json!([field["id"], field["column"]]);
    let fields: Vec<_> = fields["listed"]
        .as_array()
        .unwrap()
        .iter()
        .map(field)
        .collect();
    let wanted = json!([
        [3, "kids"],
        [4, "parts"],
        [5, "extra"],
        [6, "kids"],
        [7, "extra"],
        [8, "kids"]
    ]);
    assert_eq!(json!(fields), wanted);
}

#[test]
fn json_that_is_nested_too_deep_for_sqlite_is_no_fault() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(3000), "]".repeat(3000));
    let Verification { faults, .. } =
        verify_after(&format!("UPDATE items SET extra = '{deep}' WHERE id = 3"));
    assert_eq!(faults, json!([]));
}

#[test]
fn verify_reports_what_sqlite_finds_and_then_repairs_nothing() {
    let Verification { mirror, faults, .. } = verify_after(
        "CREATE INDEX x ON items (time);
         DELETE FROM items WHERE id = 30;
         PRAGMA writable_schema = ON;
         UPDATE sqlite_master SET sql = 'CREATE INDEX x ON items (score)' WHERE name = 'x'",
    );
    assert_eq!(faults[0]["kind"], "integrity");
    assert_eq!(faults[1]["kind"], "missing");
    let result = mirror.run(&["verify", "--repair"]);
    assert_eq!(
        (result.exit_code, &result.report["repaired"]),
        (1, &json!(false))
    );
    assert_eq!(mirror.covered_ranges(), [(1, 100)]);
}

#[test]
fn a_damaged_page_is_a_fault_wherever_it_is() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    let batch: Vec<_> = (101..=3_000)
        .map(|id| row(id, stored_item(&comment(id))))
        .collect();
    HnSink::with_coverage(20_000)
        .write(&mut mirror.connect(), &batch)
        .unwrap();
    mirror.execute("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = WAL");
    let sound = std::fs::read(mirror.database()).unwrap();
    let middle = sound.len() / 4096 / 2;
    for page in [1, 2, 3, 4, middle] {
        let mut bytes = sound.clone();
        let noise = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8);
        bytes.splice(page * 4096..(page + 1) * 4096, noise);
        std::fs::write(mirror.database(), bytes).unwrap();
        let result = mirror.run(&["verify"]);
        let faults = result.report["faults"].as_array().cloned();
        let kinds: Vec<_> = faults
            .iter()
            .flatten()
            .map(|fault| fault["kind"].clone())
            .collect();
        assert_eq!(result.exit_code, 1, "{page}: {result:?}");
        let damage = ["integrity", "unreadable"].map(Value::from);
        assert!(
            kinds.iter().any(|kind| damage.contains(kind)),
            "{page}: {result:?}"
        );
        let repair = ["verify", "--repair", "--format", "text"];
        let repair = mirror.command(&repair).output().unwrap();
        let text = String::from_utf8_lossy(&repair.stdout);
        assert_eq!(repair.status.code(), Some(1), "{page}: {text}");
        assert!(
            text.contains("\nfault: ") && text.contains("the file is damaged"),
            "{text}"
        );
        assert!(!text.contains('\u{fffd}'), "{text}");
    }
}

#[test]
fn states_that_may_be_correct_are_notes_and_no_faults() {
    let Verification { faults, notes, .. } = verify_after(
        "INSERT INTO failures SELECT 9, kind, message, attempts, failed_at FROM failures;
         INSERT INTO absent SELECT 12, checks, 0, 0 FROM absent",
    );
    let wanted = json!([
        {"kind": "stored_and_failed", "ids": complete_list(1, &json!([9]))},
        {"kind": "stored_and_absent", "ids": complete_list(1, &json!([12]))},
    ]);
    assert_eq!((faults, notes), (json!([]), wanted));

    let Verification { faults, notes, .. } =
        verify_after("UPDATE items SET parent = 77 WHERE id = 2");
    let kid = json!([{"id": 2, "listed_by": 1, "parent": 77}]);
    let wanted = json!([{"kind": "other_parent", "kids": complete_list(1, &kid)}]);
    assert_eq!((faults, notes), (json!([]), wanted));
}

#[test]
fn every_bad_field_of_an_item_is_listed_and_kids_that_are_no_list_are_not_followed() {
    let Verification { faults, notes, .. } = verify_after(
        "UPDATE items SET kids = '5', parts = '[', extra = '3' WHERE id = 3;
         UPDATE items SET parent = 77 WHERE id = 5",
    );
    assert_eq!(
        (&faults[0]["fields"]["count"], notes),
        (&json!(3), json!([]))
    );
}

#[test]
fn a_long_list_of_faults_is_cut_but_counted_completely() {
    let Verification { faults, .. } = verify_after(
        "UPDATE coverage SET hi = 400;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
         INSERT INTO items (id, fetched_at) SELECT 100 + 2 * i, 0 FROM n",
    );
    let ids = &faults[0]["ids"];
    assert_eq!((&ids["count"], &ids["cut"]), (&json!(150), &json!(true)));
    assert_eq!(ids["listed"].as_array().map(Vec::len), Some(100));
}
