//! Malformed and hostile answers: each costs only its own id, within its deadline.

use std::time::{Duration, Instant};

use hn_ingest::test_util::Reply;

use crate::{
    fixture::{Fixture, NotesSink, NotesSource, failure},
    support::in_system,
};

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

/// `{"note":1}` as gzip makes it.
const COMPRESSED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\x56\xca\xcb\x2f\x49\x55\xb2\x32\xac\x05\x00\xf8\x3d\xc9\x6c\x0a\x00\x00\x00";

#[test]
fn a_compressed_answer_that_was_not_asked_for_fails_and_its_coding_is_named() {
    for (name, coding) in [
        ("Content-Encoding", "gzip"),
        ("content-encoding", "BR"),
        ("Content-Encoding", "identity, deflate"),
        ("Content-Encoding", "zstd"),
        ("Content-Encoding", "x-unknown"),
    ] {
        let fixture = Fixture::new();
        fixture.on(1, [Reply::body(COMPRESSED).header(name, coding)]);
        let report = fixture.ingest(1..=3);
        assert_eq!(report.totals.stored, 2);
        assert_eq!(failure(&report, 1), ("decode", 1), "{coding}");
        let message = &report.failures[0].message;
        for part in ["compressed", coding, "not asked for"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let fixture = Fixture::new();
    let coded =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n\x1f\x0b\r\n0\r\n\r\n";
    fixture.on(1, [Reply::raw(coded)]);
    let report = fixture.ingest(1..=1);
    assert_eq!(failure(&report, 1), ("decode", 1));
    assert!(report.failures[0].message.contains("gzip, chunked"));
}

#[test]
fn an_answer_that_says_that_it_is_not_compressed_is_taken() {
    let fixture = Fixture::new();
    for (id, coding) in (1..).zip(["identity", "Identity", ""]) {
        fixture.on(id, [Reply::json("{}").header("Content-Encoding", coding)]);
    }
    let report = fixture.ingest(1..=3);
    assert_eq!(report.totals.stored, 3, "{:?}", report.failures);
}

#[test]
fn a_source_that_asks_for_a_coding_gets_it() {
    let fixture = Fixture::new();
    let coded = Reply::json("{}").header("Content-Encoding", "x-notes");
    fixture.server.otherwise(move |_| coded.clone());
    let source = NotesSource {
        base: fixture.server.url(),
        headers: vec![("Accept-Encoding".to_owned(), "x-notes".to_owned())],
    };
    let report = in_system(async {
        let builder = fixture.builder_of(source, NotesSink);
        builder
            .start()
            .await
            .unwrap()
            .run(vec![1, 2])
            .await
            .unwrap()
    });
    assert_eq!(report.totals.stored, 2, "{:?}", report.failures);
}
