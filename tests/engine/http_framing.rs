//! How the end of an answer is found, and when its connection is used again.

use hn_ingest::test_util::Reply;

use crate::fixture::{Fixture, failure};

#[test]
fn a_body_that_ends_with_its_connection_is_complete() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::raw("HTTP/1.0 200 OK\r\n\r\n{\"note\":1}")]);
    fixture.on(2, [Reply::raw("HTTP/1.1 200 OK\r\n\r\n{\"note\":1}")]);
    let identity = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n{\"note\":1}";
    fixture.on(3, [Reply::raw(identity)]);
    let report = fixture.ingest(1..=3);
    assert_eq!((report.totals.stored, report.totals.attempts), (3, 3));
}

#[test]
fn no_body_is_awaited_after_an_answer_that_cannot_have_one() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    let answers = [
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            "decode",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "status",
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "decode"),
        ("HTTP/1.1 200 OK\r\n\r\n", "reset"),
    ];
    for (id, (answer, _)) in (1..).zip(answers) {
        fixture.on(id, [Reply::raw(answer)]);
    }
    let report = fixture.ingest(1..=4);
    for (id, (answer, kind)) in (1..).zip(answers) {
        assert_eq!(failure(&report, id), (kind, 1), "{answer}");
    }
}

#[test]
fn informational_answers_are_skipped() {
    let fixture = Fixture::new();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    fixture.on(1, [Reply::raw([hints, hints, answer].concat())]);
    fixture.on(2, [Reply::raw(hints), Reply::json("{}")]);
    let report = fixture.ingest(1..=2);
    assert_eq!((report.totals.stored, report.totals.attempts), (2, 3));
}

#[test]
fn a_connection_that_closes_after_an_answer_costs_the_next_id_no_attempt() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    fixture.config.workers = 3;
    // The server closes without a `Connection: close`.
    fixture
        .server
        .otherwise(|_| Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
    let report = fixture.ingest(1..=300);
    fixture.check_report(&report);
    assert_eq!(report.totals.stored, 300, "{:?}", report.failures);
    // A request that is sent again over a new connection counts as an attempt too.
    assert!(report.totals.attempts >= fixture.server.stats().requests as u64);
}
