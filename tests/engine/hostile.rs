//! Answers meant to do harm: each costs its own id at most, within its deadline.

use std::time::{Duration, Instant};

use hn_ingest::test_util::Reply;

use crate::world::{World, failure};

#[test]
fn a_hostile_answer_costs_its_own_id_within_its_deadline() {
    let deep = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let cases = [
        (
            "an endless body",
            Reply::endless_body(),
            &["body", "timeout"][..],
        ),
        (
            "a gigabyte announced",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n{"),
            &["body"],
        ),
        (
            "headers without end",
            Reply::endless_headers(),
            &["reset", "timeout"],
        ),
        (
            "a byte a second",
            Reply::json("{}").drip(Duration::from_secs(1)),
            &["timeout"],
        ),
        ("nested a million deep", Reply::json(deep), &["decode"]),
        (
            "invalid UTF-8",
            Reply::body(b"{\"a\": \"\xff\xfe\"}".to_vec()),
            &["decode"],
        ),
        ("nothing at all", Reply::raw(""), &["reset"]),
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
            "a redirect without a place",
            Reply::status(302),
            &["status"],
        ),
        (
            "informational for ever",
            Reply::raw("HTTP/1.1 100 Continue\r\n\r\n".repeat(100)),
            &["reset"],
        ),
    ];
    let mut world = World::new();
    (world.config.timeout, world.config.attempts) = (Duration::from_millis(400), 2);
    world.config.workers = 8;
    for (id, (_, reply, _)) in (1..).zip(&cases) {
        world.on(id, [reply.clone()]);
    }
    let last = i64::try_from(cases.len()).unwrap();
    let began = Instant::now();
    let report = world.ingest(1..=last + 50);
    world.check(&report);
    for (id, (what, _, kinds)) in (1..).zip(&cases) {
        let (kind, attempts) = failure(&report, id);
        assert!(
            kinds.contains(&kind) && attempts <= 2,
            "{what}: {kind} after {attempts}"
        );
    }
    assert_eq!(report.totals.stored, 50, "the good ones");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn what_follows_a_body_that_is_longer_than_announced_is_nobodys_answer() {
    let mut world = World::new();
    world.config.workers = 1;
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"ok\"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\"evil\"";
    world.on(1, [Reply::raw(smuggled)]);
    let report = world.ingest(1..=5);
    world.check(&report);
    assert_eq!(report.totals.stored, 5);
    assert_eq!(world.count("notes WHERE note = '\"evil\"'"), 0);
}
