//! Tests of `verify --repair`: what it mends, and what the next backfill requests.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use hn_ingest::hn::schema::items;
use serde_json::json;

use crate::fixture::{NO_IDS, Verification, complete_list, verify_after};

#[test]
fn the_next_backfill_requests_the_ids_that_a_repair_uncovered() {
    let holes = "DELETE FROM items WHERE id IN (17, 20, 21); UPDATE coverage SET hi = 110";
    let Verification { mirror, .. } = verify_after(holes);
    let result = mirror.run(&["verify", "--repair"]);
    assert_eq!(
        (result.exit_code, &result.report["sound"]),
        (0, &json!(true))
    );
    assert_eq!(mirror.covered_ranges(), [(1, 16), (18, 19), (22, 100)]);
    assert_eq!(mirror.run(&["verify"]).report["faults"], json!([]));
    let within = ["backfill", "--to", "105", "--workers", "1"];
    assert_eq!(
        mirror.ids_requested_by(&within),
        [17, 20, 21, 101, 102, 103, 104, 105]
    );
    assert_eq!(mirror.run(&["verify"]).exit_code, 0);
}

#[test]
fn an_item_with_a_broken_field_is_fetched_again_after_a_repair() {
    let Verification { mirror, .. } = verify_after("UPDATE items SET kids = '[' WHERE id = 33");
    let result = mirror.run(&["verify", "--repair"]);
    assert_eq!(
        (result.exit_code, &result.report["sound"]),
        (0, &json!(true))
    );
    assert_eq!(result.report["repaired"], true);
    assert_eq!(mirror.covered_ranges(), [(1, 32), (34, 100)]);
    assert_eq!(mirror.ids_requested_by(&["backfill", "--to", "100"]), [33]);
    assert_eq!(mirror.run(&["verify"]).report["notes"], json!([]));
}

#[test]
fn a_repair_keeps_a_broken_field_as_text_if_no_backfill_would_mend_it() {
    let Verification { mirror, faults, .. } = verify_after(
        r#"UPDATE items SET kids = '5', parts = '["', extra = '{"n":1.10} ' WHERE id = 33;
         UPDATE items SET kids = '[', extra = CAST(x'7bff' AS TEXT) WHERE id = 34;
         UPDATE items SET parts = '{}', extra = '{}' WHERE id = 35;
         INSERT INTO absent VALUES (33, 1, 0, 0)"#,
    );
    assert_eq!(faults[0]["fields"]["count"], 5, "{faults}");
    assert_eq!(mirror.run(&["verify", "--repair"]).exit_code, 0);
    let report = mirror.run(&["verify"]).report;
    assert_eq!(report["faults"], json!([]));
    let ids = complete_list(3, &json!([{"lo": 33, "hi": 35}]));
    assert_eq!(report["notes"][0], json!({"kind": "unclaimed", "ids": ids}));
    type Fields = (Option<String>, Option<String>, Option<String>);
    let columns = (items::kids, items::parts, items::extra);
    let rows = items::table.filter(items::id.between(33, 35));
    let rows: Vec<Fields> = rows.select(columns).load(&mut mirror.connect()).unwrap();
    let kept = |extra: &str| (None, None, Some(extra.to_owned()));
    let wanted = [
        kept(r#"{"n":1.10,"kids":"5","parts":"[\""}"#),
        kept("{\"kids\":\"[\",\"extra\":\"{\u{fffd}\"}"),
        kept(r#"{"parts":"{}"}"#),
    ];
    assert_eq!(rows, wanted);
    assert_eq!(
        mirror.ids_requested_by(&["backfill", "--to", "100", "--workers", "1"]),
        [33, 34, 35]
    );
}

#[test]
fn settled_ids_that_no_range_covers_are_noted_and_a_repair_covers_them() {
    let Verification {
        mirror,
        faults,
        notes,
    } = verify_after(
        "DELETE FROM coverage WHERE lo = 1; INSERT INTO coverage VALUES (40, 41);
         INSERT INTO absent VALUES (120, 1, 0, 0)",
    );
    let ids = complete_list(98, &json!([{"lo": 1, "hi": 39}, {"lo": 42, "hi": 100}]));
    let wanted = json!([{"kind": "unclaimed", "ids": ids}]);
    assert_eq!((faults, notes), (json!([]), wanted));
    assert_eq!(mirror.run(&["verify", "--repair"]).exit_code, 0);
    assert_eq!(mirror.covered_ranges(), [(1, 100)]);
    assert_eq!(
        mirror.ids_requested_by(&["backfill", "--to", "100"]),
        NO_IDS
    );
}
