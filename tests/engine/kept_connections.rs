//! What a connection is still good for after an odd answer: the rules of RFC 9112, tried on connections that the server keeps
//! open.

use std::time::Duration;

use hn_ingest::{Report, test_util::Reply};

use crate::{
    fixture::{Fixture, failure},
    support::in_system,
};

const NOTE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"note\":2}";

/// One fetcher, one attempt: all requests go over the same connection as long as that is possible.
fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    fixture.config.attempts = 1;
    fixture
}

fn connections(fixture: &Fixture) -> usize {
    fixture.server.stats().connections
}

/// Ingests 1, 2 and 3 one after the other; 2 is answered with these bytes, and the connection stays open.
fn with_second_answer(bytes: impl Into<Vec<u8>>) -> (Fixture, Report<i64>) {
    let fixture = fixture();
    fixture.on(2, [Reply::raw_kept(bytes)]);
    let report = fixture.ingest(1..=3);
    fixture.check_report(&report);
    (fixture, report)
}

#[test]
fn a_malformed_head_is_an_error_of_its_id_and_is_not_sent_again() {
    for malformed in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n: no name\r\n\r\n",
        "this is not HTTP\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ] {
        let (fixture, report) = with_second_answer(malformed);
        assert_eq!(failure(&report, 2), ("reset", 1), "{malformed}");
        assert_eq!(fixture.hits(2), 1, "{malformed}");
        assert_eq!((report.totals.stored, report.totals.attempts), (2, 3));
        assert_eq!(connections(&fixture), 2, "{malformed}");
    }
}

#[test]
fn informational_answers_are_skipped_even_with_a_length() {
    for informational in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let (fixture, report) = with_second_answer([informational, NOTE].concat());
        assert_eq!(report.totals.stored, 3, "{informational}");
        assert_eq!(connections(&fixture), 1, "{informational}");
    }
}

#[test]
fn a_switch_of_protocols_is_an_error_and_ends_the_connection() {
    for length in ["", "Content-Length: 0\r\n", "Content-Length: 2\r\n"] {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{length}\r\n");
        let (fixture, report) = with_second_answer(head);
        assert_eq!(failure(&report, 2), ("reset", 1), "{length}");
        assert_eq!((report.totals.stored, connections(&fixture)), (2, 2));
        let message = &report.failures[0].message;
        assert!(
            message.contains("101") && message.contains("not asked for"),
            "{message}"
        );
    }
}

#[test]
fn answers_that_have_no_body_leave_the_connection_usable_whatever_length_they_name() {
    for (head, kind) in [
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            "decode",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "status",
        ),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "status"),
    ] {
        let (fixture, report) = with_second_answer(head);
        assert_eq!(failure(&report, 2), (kind, 1), "{head}");
        assert_eq!(
            (report.totals.stored, connections(&fixture)),
            (2, 1),
            "{head}"
        );
    }
}

#[test]
fn after_both_kinds_of_length_the_connection_is_not_used_again() {
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                a\r\n{\"note\":2}\r\n0\r\n\r\n";
    let (fixture, report) = with_second_answer(both);
    // Transfer-Encoding goes before Content-Length (RFC 9112, 6.3).
    assert_eq!((report.totals.stored, connections(&fixture)), (3, 2));
}

#[test]
fn two_equal_lengths_are_taken_for_one() {
    let equal = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 10\r\n\r\n{\"note\":2}";
    let (fixture, report) = with_second_answer(equal);
    assert_eq!((report.totals.stored, connections(&fixture)), (3, 1));
}

#[test]
fn an_offer_to_upgrade_does_not_end_the_connection() {
    for options in ["Upgrade", "Upgrade, keep-alive"] {
        let head = format!("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: {options}\r\n");
        let (fixture, report) =
            with_second_answer(format!("{head}Content-Length: 10\r\n\r\n{{\"note\":2}}"));
        assert_eq!(
            (report.totals.stored, connections(&fixture)),
            (3, 1),
            "{options}"
        );
    }
}

#[test]
fn bytes_behind_the_end_of_an_answer_are_never_the_next_ids_answer() {
    let stolen = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"stolen\"";
    for surplus in [stolen, "x", "\r\n\r\nx"] {
        let (fixture, report) = with_second_answer([NOTE, surplus].concat());
        assert_eq!(report.totals.stored, 3, "{surplus:?}");
        assert_eq!(connections(&fixture), 2, "{surplus:?}");
        assert_eq!(fixture.count_rows("notes WHERE note LIKE '%stolen%'"), 0);
    }
}

#[test]
fn bytes_that_come_while_a_connection_is_idle_are_never_the_next_ids_answer() {
    let fixture = fixture();
    let stolen = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"stolen\"";
    let late = hn_ingest::test_util::Latch::new();
    fixture.on(1, [Reply::json("{\"note\":1}").then_when(&late, stolen)]);
    in_system(async {
        let pipeline = fixture.pipeline().await;
        assert_eq!(pipeline.run([1]).await.unwrap().totals.stored, 1);
        late.open();
        // There is nothing to wait for: the bytes are on their way through the kernel.
        actix_rt::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(pipeline.run([2]).await.unwrap().totals.stored, 1);
    });
    assert_eq!(fixture.count_rows("notes WHERE note LIKE '%stolen%'"), 0);
    assert_eq!(connections(&fixture), 2);
}

#[test]
fn after_one_stale_connection_the_request_goes_over_a_new_one() {
    let fixture = {
        let mut fixture = Fixture::new();
        fixture.config.workers = 4;
        fixture.config.attempts = 1;
        fixture
    };
    // Closed before any byte of an answer: over a kept connection that is stale, over a new one it is a failure.
    fixture.on(5, [Reply::raw("")]);
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let latch = fixture.hold_answers();
        let four = pipeline.run(1..=4);
        fixture.wait_in_flight(4).await;
        latch.open();
        assert_eq!(four.await.unwrap().totals.stored, 4);
        let report = pipeline.run([5]).await.unwrap();
        assert_eq!(failure(&report, 5), ("reset", 1));
        assert_eq!((report.totals.attempts, report.totals.retries), (2, 1));
        assert_eq!(report.totals.connections, 1, "of this run");
    });
    assert_eq!(
        fixture.hits(5),
        2,
        "one idle connection was tried, not all four"
    );
}

#[test]
fn a_408_that_closes_an_idle_connection_costs_the_next_id_nothing() {
    let fixture = fixture();
    let closing = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    fixture.on(2, [Reply::raw(closing), Reply::json("{\"note\":2}")]);
    let report = fixture.ingest(1..=3);
    assert_eq!((report.totals.stored, fixture.hits(2)), (3, 2));
}
