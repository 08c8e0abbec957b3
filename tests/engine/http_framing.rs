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

#[test]
fn heads_that_are_odd_but_clear_are_taken() {
    let many = "X-Trace: hop\r\n".repeat(255);
    let fixture = Fixture::new();
    let odd = [
        "Content-Length: 10\r\nContent-Length: 10\r\n",
        "X-Folded: a\r\n  b\r\n\tc\r\nContent-Length: 10\r\n",
        "Content-Length:\r\n 10\r\n",
        "X-Space : a\r\nContent-Length : 10\r\n",
        "X Y: a\r\n: b\r\nX[0]: c\r\nX-\u{e9}: d\r\nContent-Length: 10\r\n",
        &format!("{many}Content-Length: 10\r\n"),
    ];
    for (id, head) in (1..).zip(odd) {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n{{\"note\":1}}");
        fixture.on(id, [Reply::raw_kept(answer)]);
    }
    let report = fixture.ingest(1..=6);
    assert_eq!((report.totals.stored, report.totals.attempts), (6, 6));
}

#[test]
fn a_redirect_may_name_its_location_in_raw_bytes() {
    for (location, path) in [
        (&b"/n\xc3\xb6te"[..], "/n%C3%B6te"),
        (b"/n\xf6te", "/n%F6te"),
        (b"/a note", "/a%20note"),
    ] {
        let fixture = Fixture::new();
        let head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ";
        let answer = [&head[..], location, b"\r\n\r\n"].concat();
        fixture.on(1, [Reply::raw_kept(answer)]);
        let report = fixture.ingest(1..=1);
        assert_eq!(report.totals.stored, 1, "{path}: {:?}", report.failures);
        assert_eq!(fixture.server.hits(path), 1, "{path}");
    }
}

#[test]
fn what_is_refused_in_a_head_is_named() {
    let too_many = "X-Trace: hop\r\n".repeat(300);
    for (head, parts) in [
        (
            "Content-Length: 2\r\nContent-Length: 3\r\n",
            &["Content-Length", "differ"][..],
        ),
        ("Content-Length: many\r\n", &["Content-Length", "no number"]),
        (
            "Content-Length: many\r\nTransfer-Encoding: chunked\r\n",
            &["Content-Length: many"],
        ),
        ("X-Ok: a\r\nX-Bad: a\0b\r\n", &["X-Bad", "NUL"]),
        (&too_many, &["256 lines"]),
    ] {
        let mut fixture = Fixture::new();
        fixture.config.attempts = 1;
        fixture.on(
            1,
            [Reply::raw(format!("HTTP/1.1 200 OK\r\n{head}\r\n{{}}"))],
        );
        let report = fixture.ingest(1..=1);
        assert_eq!(failure(&report, 1), ("reset", 1), "{head}");
        for part in parts {
            let message = &report.failures[0].message;
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
