//! What a source can say about its requests and see of their answers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use hn_ingest::{
    Config, DecodeError, FailureKind, Report, Request, Response, Source, test_util::Reply,
};

use crate::{
    fixture::{Fixture, NotesSink, failure},
    support::in_system,
};

const BODY: &str = "{\"query\":\"{ note }\"}";

/// A source of notes whose requests and answers are as a test says.
struct OtherSource {
    base: String,
    /// Makes the request for an URL.
    request: fn(String) -> Request,
    /// What `decode_response` saw, as text.
    seen: Arc<Mutex<Vec<String>>>,
    wants_headers: bool,
}

impl Source for OtherSource {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        format!("{}/{id}", self.base)
    }

    fn request(&self, id: &i64) -> Request {
        (self.request)(self.url(id))
    }

    fn is_answer(&self, status: u16) -> bool {
        matches!(status, 200..300 | 304)
    }

    fn wants_headers(&self) -> bool {
        self.wants_headers
    }

    fn decode(&self, _: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
        Ok(Some(String::from_utf8_lossy(body).into_owned()))
    }

    fn decode_response(
        &self,
        id: &i64,
        response: &Response<'_>,
    ) -> Result<Option<String>, DecodeError> {
        let etag = response.header("ETag").unwrap_or("-");
        let link = response.header("Link").unwrap_or("-");
        let text = format!("{} {etag} {link}", response.status());
        self.seen.lock().unwrap().push(text);
        if response.status() == 304 {
            return Ok(Some("unchanged".to_owned()));
        }
        self.decode(id, response.body())
    }

    fn records_in(&self, record: &String) -> u64 {
        assert_ne!(record, "uncountable");
        record.split(',').count() as u64
    }
}

/// Ingests the ids one after the other. Returns the report, and what the source saw.
fn ingest(
    fixture: &Fixture,
    ids: Vec<i64>,
    request: fn(String) -> Request,
    wants_headers: bool,
) -> (Report<i64>, Vec<String>) {
    let seen = Arc::default();
    let source = OtherSource {
        base: fixture.server.url(),
        request,
        seen: Arc::clone(&seen),
        wants_headers,
    };
    let config = Config {
        workers: 1,
        ..fixture.config.clone()
    };
    let builder = fixture.builder_of(source, NotesSink).config(config);
    let report = in_system(async { builder.start().await.unwrap().run(ids).await.unwrap() });
    fixture.check_report(&report);
    let seen = seen.lock().unwrap().clone();
    (report, seen)
}

fn query(url: String) -> Request {
    Request::post(url, BODY)
        .header("content-type", "application/json")
        .header("x-key", "secret")
}

/// Method, content type, key and body of the requests for a path.
fn sent(fixture: &Fixture, path: &str) -> Vec<String> {
    let requests = fixture.server.requests();
    let requests = requests.iter().filter(|request| request.path == path);
    requests
        .map(|request| {
            let header = |name| request.header(name).unwrap_or("-").to_owned();
            let body = String::from_utf8_lossy(&request.body);
            let words = [
                request.method.clone(),
                header("content-type"),
                header("x-key"),
                body.into_owned(),
            ];
            words.join(" ").trim_end().to_owned()
        })
        .collect()
}

#[test]
fn headers_are_made_anew_for_each_attempt() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let fixture = Fixture::new();
    fixture.on(
        1,
        [
            Reply::status(503),
            Reply::status(429).header("retry-after", "1"),
            Reply::json("1"),
        ],
    );
    let numbered = |url| Request::get(url).header("x-key", MADE.fetch_add(1, SeqCst).to_string());
    let (report, _) = ingest(&fixture, vec![1], numbered, false);
    assert_eq!(report.totals.stored, 1);
    assert_eq!(sent(&fixture, "/1"), ["GET - 0", "GET - 1", "GET - 2"]);
}

#[test]
fn a_post_arrives_with_its_whole_body_at_each_attempt() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::status(503), Reply::json("1")]);
    let (report, _) = ingest(&fixture, vec![1], query, false);
    assert_eq!((report.totals.stored, report.totals.attempts), (1, 2));
    let expected = format!("POST application/json secret {BODY}");
    assert_eq!(sent(&fixture, "/1"), [&*expected, &expected]);

    let fixture = Fixture::new();
    let large = |url| Request::post(url, vec![b'x'; 3_000_000]);
    let (report, _) = ingest(&fixture, vec![1], large, false);
    assert_eq!(report.totals.stored, 1);
    assert!(fixture.server.requests()[0].body == vec![b'x'; 3_000_000]);
}

#[test]
fn a_post_without_a_body_says_so() {
    let fixture = Fixture::new();
    let empty = |url| Request::post(url, "");
    let (report, _) = ingest(&fixture, vec![1], empty, false);
    assert_eq!(report.totals.stored, 1);
    let request = &fixture.server.requests()[0];
    assert_eq!(request.header("content-length"), Some("0"));

    let fixture = Fixture::new();
    ingest(&fixture, vec![2], Request::get, false);
    let request = &fixture.server.requests()[0];
    assert_eq!(request.header("content-length"), None);
    assert_eq!(request.header("accept-encoding"), Some("identity"));
}

#[test]
fn a_redirect_keeps_method_and_body_or_becomes_a_get_as_the_rfc_says() {
    for (status, expected) in [
        (301, "GET - secret".to_owned()),
        (302, "GET - secret".to_owned()),
        (303, "GET - secret".to_owned()),
        (307, format!("POST application/json secret {BODY}")),
        (308, format!("POST application/json secret {BODY}")),
    ] {
        let fixture = Fixture::new();
        fixture.on(1, [Reply::redirect(status, "/elsewhere")]);
        let (report, _) = ingest(&fixture, vec![1], query, false);
        assert_eq!(report.totals.stored, 1, "{status}");
        assert_eq!(sent(&fixture, "/elsewhere"), [expected], "{status}");
    }
}

#[test]
fn after_a_redirect_to_another_origin_no_key_is_sent_and_the_body_is() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let location = format!("{}/elsewhere", other.server.url());
    fixture.on(1, [Reply::redirect(307, location)]);
    let (report, _) = ingest(&fixture, vec![1], query, false);
    assert_eq!(report.totals.stored, 1);
    let expected = format!("POST application/json - {BODY}");
    assert_eq!(sent(&other, "/elsewhere"), [expected]);
}

#[test]
fn a_post_over_a_stale_connection_is_sent_again_whole() {
    let fixture = Fixture::new();
    // The reset closes the kept connection as soon as the second request comes over it.
    fixture.on(2, [Reply::reset(), Reply::json("2")]);
    let (report, _) = ingest(&fixture, vec![1, 2], query, false);
    let totals = &report.totals;
    // The resend is no attempt of the id's own, and needs no backoff.
    assert_eq!((totals.stored, totals.attempts), (2, 3));
    assert_eq!(totals.attempts_failed(FailureKind::Reset), 0);
    let expected = format!("POST application/json secret {BODY}");
    assert_eq!(sent(&fixture, "/2").last(), Some(&expected));
}

#[test]
fn a_request_that_must_not_be_sent_twice_is_not() {
    let once = |url| query(url).once();
    for (reply, kind) in [
        (Reply::reset(), "reset"),
        (Reply::json("{}").cut_at(1), "reset"),
        (Reply::hang(), "timeout"),
        (Reply::status(500), "status"),
    ] {
        let mut fixture = Fixture::new();
        fixture.config.timeout = Duration::from_millis(300);
        fixture.on(2, [reply]);
        let (report, _) = ingest(&fixture, vec![1, 2, 3], once, false);
        assert_eq!(failure(&report, 2), (kind, 1));
        assert_eq!((report.totals.stored, fixture.hits(2)), (2, 1), "{kind}");
        // A kept connection might turn out to be closed.
        assert_eq!(fixture.server.stats().connections, 3);
        let message = &report.failures[0].message;
        assert!(message.contains("must not be sent twice"), "{message}");
    }
}

#[test]
fn what_the_server_did_not_carry_out_is_sent_again_even_once() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::status(503), Reply::json("1")]);
    let once = |url| query(url).once();
    let (report, _) = ingest(&fixture, vec![1], once, false);
    assert_eq!((report.totals.stored, fixture.hits(1)), (1, 2));
}

#[test]
fn after_a_post_that_led_on_to_its_result_it_is_not_sent_again() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::redirect(303, "/result")]);
    fixture.server.on("/result", [Reply::status(503)]);
    let once = |url| query(url).once();
    let (report, _) = ingest(&fixture, vec![1], once, false);
    assert_eq!((report.totals.failed, fixture.hits(1)), (1, 1));
}

#[test]
fn status_and_headers_are_seen_and_304_can_mean_unchanged() {
    let fixture = Fixture::new();
    let linked = Reply::json("1").header("etag", "\"v1\"");
    fixture.on(1, [linked.header("LINK", "</2>; rel=next")]);
    fixture.on(
        2,
        [Reply::status(304)
            .header("ETag", "\"v2\"")
            .header("Content-Encoding", "gzip")],
    );
    fixture.on(3, [Reply::status(404)]);
    let get = |url| Request::get(url).header("if-none-match", "\"v2\"");
    let (report, seen) = ingest(&fixture, vec![1, 2, 3], get, true);
    assert_eq!(seen, ["200 \"v1\" </2>; rel=next", "304 \"v2\" -"]);
    assert_eq!((report.totals.stored, report.totals.failed), (2, 1));
    assert_eq!(fixture.count_rows("notes WHERE note = 'unchanged'"), 1);
}

#[test]
fn headers_are_not_kept_unless_the_source_wants_them() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::json("1").header("etag", "\"v1\"")]);
    let (_, seen) = ingest(&fixture, vec![1], Request::get, false);
    assert_eq!(seen, ["200 - -"]);
}

#[test]
fn the_records_of_pages_are_counted_one_by_one() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::body("a,b,c")]);
    fixture.on(2, [Reply::body("d,e")]);
    fixture.on(3, [Reply::status(404)]);
    fixture.on(4, [Reply::body("uncountable")]);
    let (report, _) = ingest(&fixture, vec![1, 2, 3, 4], Request::get, false);
    assert_eq!((report.totals.stored, report.totals.records), (2, 5));
    assert_eq!(failure(&report, 4), ("panic", 1));
}

#[test]
fn a_request_that_cannot_be_sent_costs_no_attempt_and_none_of_the_rate() {
    let mut fixture = Fixture::new();
    fixture.config.rate = 1;
    let bad = |url| Request::get(url).header("bad name", "");
    let (report, _) = ingest(&fixture, (1..=100).collect(), bad, false);
    assert_eq!((report.totals.failed, report.totals.attempts), (100, 0));
    assert!(report.elapsed < Duration::from_secs(30));
}

/// A source whose methods panic: each for one id or one status.
struct PanickingSource {
    base: String,
}

impl Source for PanickingSource {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        format!("{}/{id}", self.base)
    }

    fn request(&self, id: &i64) -> Request {
        assert_ne!(*id, 1, "a panic");
        Request::get(self.url(id))
    }

    fn is_answer(&self, status: u16) -> bool {
        assert_ne!(status, 452, "a panic");
        status == 200
    }

    fn is_absent(&self, status: u16) -> bool {
        assert_ne!(status, 453, "a panic");
        false
    }

    fn refreshes_after(&self, status: u16) -> bool {
        assert_ne!(status, 454, "a panic");
        false
    }

    fn decode(&self, _: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
        Ok(Some(String::from_utf8_lossy(body).into_owned()))
    }

    fn decode_response(
        &self,
        id: &i64,
        response: &Response<'_>,
    ) -> Result<Option<String>, DecodeError> {
        assert_ne!(*id, 5, "a panic");
        self.decode(id, response.body())
    }
}

#[test]
fn a_panic_in_any_method_of_a_source_costs_only_its_id() {
    let fixture = Fixture::new();
    for id in [2, 3, 4] {
        let status = 450 + u16::try_from(id).unwrap();
        fixture.on(id, [Reply::status(status)]);
    }
    let base = fixture.server.url();
    let builder = fixture.builder_of(PanickingSource { base }, NotesSink);
    let report = in_system(async { builder.start().await.unwrap().run(1..=50).await.unwrap() });
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (45, 5));
    for id in 1..=5 {
        assert_eq!(failure(&report, id), ("panic", 1), "{id}");
    }
    assert_eq!(report.totals.fetchers_replaced, 0);
}
