//! Malformed and hostile answers: each costs only its own id, within its deadline.

use std::time::{Duration, Instant};

use hn_ingest::test_util::Reply;

use crate::fixture::{Fixture, failure};

#[test]
fn a_malformed_or_hostile_answer_costs_only_its_own_id_within_its_deadline() {
    let deep = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let cases = [
        (
            "an endless body",
            Reply::endless_body(),
            &["body", "timeout"][..],
        ),
        (
            "an announced gigabyte",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n{"),
            &["body"],
        ),
        (
            "headers without an end",
            Reply::endless_headers(),
            &["reset", "timeout"],
        ),
        (
            "one byte a second",
            Reply::json("{}").drip(Duration::from_secs(1)),
            &["timeout"],
        ),
        ("a million nested arrays", Reply::json(deep), &["decode"]),
        (
            "invalid UTF-8",
            Reply::body(b"{\"a\": \"\xff\xfe\"}".to_vec()),
            &["decode"],
        ),
        ("no bytes", Reply::raw(""), &["reset"]),
        ("half a status line", Reply::raw("HTTP/1.1 2"), &["reset"]),
        (
            "half a head",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Le"),
            &["reset"],
        ),
        (
            "a head and no body",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
            &["reset"],
        ),
        (
            "a negative length",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}"),
            &["reset"],
        ),
        (
            "two lengths",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}"),
            &["reset"],
        ),
        (
            "a chunk of nonsense",
            Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            &["reset"],
        ),
        (
            "a chunk past usize",
            Reply::raw(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            ),
            &["reset"],
        ),
        (
            "a redirect to a file",
            Reply::redirect(302, "file:///etc/passwd"),
            &["status"],
        ),
        (
            "a redirect to itself",
            Reply::redirect(302, "/16"),
            &["status"],
        ),
        (
            "a redirect to nonsense",
            Reply::redirect(302, "http://[::1"),
            &["status"],
        ),
        (
            "a redirect without a location",
            Reply::status(302),
            &["status"],
        ),
        (
            "only informational answers",
            Reply::raw("HTTP/1.1 100 Continue\r\n\r\n".repeat(100)),
            &["reset"],
        ),
    ];
    let mut fixture = Fixture::new();
    // Long enough for a busy machine: only answers that never end may reach it.
    fixture.config.timeout = Duration::from_secs(2);
    fixture.config.attempts = 2;
    fixture.config.workers = 8;
    for (id, (_, reply, _)) in (1..).zip(&cases) {
        fixture.on(id, [reply.clone()]);
    }
    let last = i64::try_from(cases.len()).unwrap();
    let began = Instant::now();
    let report = fixture.ingest(1..=last + 50);
    fixture.check_report(&report);
    for (id, (name, _, kinds)) in (1..).zip(&cases) {
        let (kind, attempts) = failure(&report, id);
        assert!(
            kinds.contains(&kind) && attempts <= 2,
            "{name}: {kind} after {attempts} attempts"
        );
    }
    assert_eq!(report.totals.stored, 50, "the ids with good answers");
    // Several of these answers never end, so only the deadline of each attempt ends the run.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn surplus_bytes_after_a_body_are_not_taken_for_another_answer() {
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"ok\"\
                    HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\"evil\"";
    // The server closes the connection after the surplus bytes, or keeps it open for the next request.
    for reply in [Reply::raw(smuggled), Reply::raw_kept(smuggled)] {
        let mut fixture = Fixture::new();
        fixture.config.workers = 1;
        fixture.on(1, [reply]);
        let report = fixture.ingest(1..=5);
        fixture.check_report(&report);
        assert_eq!(report.totals.stored, 5);
        assert_eq!(fixture.count_rows("notes WHERE note = '\"evil\"'"), 0);
    }
}
