//! Tests of `retry`: which failed ids it requests again.

use hn_ingest::{Sink, hn::HnSink, test_util::Reply};
use serde_json::json;

use crate::fixture::{Mirror, NO_IDS, comment, failed_outcome, row};

#[test]
fn a_failed_id_is_requested_again_only_by_retry_or_with_retry_failed() {
    let mirror = Mirror::new(20_000);
    let not_found = Reply::status(404);
    let found = |id| Reply::json(comment(id));
    mirror.answer_item(7, [not_found.clone(), found(7)]);
    mirror.answer_item(8, [Reply::json("[]"), found(8)]);
    mirror.answer_item(9, [not_found.clone(), not_found, found(9)]);
    let within = ["backfill", "--to", "20"];
    assert_eq!(mirror.run(&within).exit_code, 1);
    assert_eq!(mirror.failed_ids(), [7, 8, 9]);
    assert_eq!(mirror.covered_ranges(), [(1, 20)]);
    assert_eq!(mirror.ids_requested_by(&within), NO_IDS);

    assert_eq!(
        mirror.ids_requested_by(&["retry", "--kind", "timeout,decode"]),
        [8]
    );
    assert_eq!(
        mirror.ids_requested_by(&["retry", "--workers", "1"]),
        [7, 9]
    );
    assert_eq!(mirror.failed_ids(), [9]);
    let again = [&within[..], &["--retry-failed"]].concat();
    assert_eq!(mirror.ids_requested_by(&again), [9]);
    assert_eq!(mirror.failed_ids(), NO_IDS);
    assert_eq!(mirror.ids_requested_by(&["retry"]), NO_IDS);
}

#[test]
fn a_retried_id_that_is_absent_is_requested_once_more_by_the_next_backfill() {
    let mirror = Mirror::new(20_000);
    mirror.answer_item(9, [Reply::status(404), Reply::json("null")]);
    assert_eq!(mirror.run(&["backfill", "--to", "20"]).exit_code, 1);
    let result = mirror.run(&["retry"]);
    assert_eq!((result.exit_code, &result.report["absent"]), (0, &json!(1)));
    assert_eq!(mirror.covered_ranges(), [(1, 8), (10, 20)]);
    assert_eq!(mirror.ids_requested_by(&["backfill", "--to", "20"]), [9]);
    assert_eq!(mirror.covered_ranges(), [(1, 20)]);
}

#[test]
fn a_retry_ends_even_if_every_id_fails_again() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    let ids: Vec<_> = (1..=2100).map(|id| row(id, failed_outcome())).collect();
    HnSink::new().write(&mut mirror.connect(), &ids).unwrap();
    mirror.api.otherwise(|_| Reply::status(404));
    let result = mirror.run(&["retry"]);
    assert_eq!(
        (result.exit_code, &result.report["requested"]),
        (1, &json!(2100))
    );
    assert_eq!(result.report["failed"], 2100);
}
