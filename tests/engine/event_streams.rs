//! Event streams: what a reader gets, how a broken stream goes on, and what an open one leaves to other requests.

use std::time::{Duration, Instant};

use hn_ingest::{
    Client, Config, EventStream, EventStreamError, EventStreamItem, FailureKind, HttpProxy,
    test_util::{Latch, Reply, ScriptedServer},
};
use tokio::time::timeout;

use crate::support::{eventually, in_system};

/// A test that waits for longer than this has failed.
const LONG: Duration = Duration::from_secs(10);

/// The unit of the tests' waits.
const SHORT: Duration = Duration::from_millis(1);

fn config() -> Config {
    Config {
        workers: 1,
        timeout: Duration::from_secs(5),
        backoff: Duration::from_millis(1),
        max_body: 1000,
        ..Config::default()
    }
}

fn serving(replies: impl IntoIterator<Item = Reply>) -> ScriptedServer {
    let server = ScriptedServer::start();
    server.on("/stream", replies);
    server
}

fn events(server: &ScriptedServer) -> EventStream {
    let url = format!("{}/stream", server.url());
    Client::new(&config()).events(&url, &[])
}

/// One event, and then silence.
fn one_event() -> Reply {
    Reply::event_stream("data: here\n\n").then_silence()
}

async fn next(events: &mut EventStream) -> Result<EventStreamItem, EventStreamError> {
    let next = timeout(LONG, events.next()).await;
    next.expect("the next item comes")
}

async fn opened(events: &mut EventStream) {
    assert_eq!(next(events).await.unwrap(), EventStreamItem::Opened);
}

/// The name and the data of the next event.
async fn event(events: &mut EventStream) -> String {
    match next(events).await.unwrap() {
        EventStreamItem::Event(event) => format!("{} {}", event.name, event.data),
        other => panic!("no event: {other:?}"),
    }
}

/// Why the stream was interrupted, and how long it waits.
async fn interrupted(events: &mut EventStream) -> (String, Duration) {
    match next(events).await.unwrap() {
        EventStreamItem::Interrupted { failure, wait, .. } => (failure.to_string(), wait),
        other => panic!("not interrupted: {other:?}"),
    }
}

#[test]
fn events_come_as_they_are_sent_however_they_are_cut() {
    let latches = [Latch::new(), Latch::new(), Latch::new()];
    let server = serving([
        Reply::event_stream("event: put\ndata: {\"path\":\"/\",\"da")
            .then_when(&latches[0], "ta\":[1]}\n\n: keep-alive\nevent: pa")
            .then_when(&latches[1], "tch\r\ndata: two\r")
            .then_when(&latches[2], "\n\r\ndata: three\n\n")
            .then_silence(),
    ]);
    in_system(async {
        let mut events = events(&server);
        opened(&mut events).await;
        assert!(timeout(20 * SHORT, events.next()).await.is_err());
        latches[0].open();
        let first = event(&mut events).await;
        assert_eq!(first, "put {\"path\":\"/\",\"data\":[1]}");
        latches[1].open();
        assert!(timeout(20 * SHORT, events.next()).await.is_err());
        latches[2].open();
        assert_eq!(event(&mut events).await, "patch two");
        assert_eq!(event(&mut events).await, "message three");
    });
    let request = &server.requests()[0];
    assert_eq!(request.header("accept"), Some("text/event-stream"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("cache-control"), Some("no-store"));
}

#[test]
fn a_stream_that_breaks_says_why_and_connects_again() {
    let text = "data: 1\n\ndata: 2";
    let silent = "nothing came for 300ms, so the event stream counts as dead";
    for (broken, why) in [
        (
            Reply::event_stream(text),
            "reset: the server ended the event stream",
        ),
        (
            Reply::raw(format!(
                "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{text}"
            )),
            "reset: the server ended the event stream",
        ),
        (
            Reply::event_stream(text).then_close(),
            "reset: the connection broke",
        ),
        (
            Reply::event_stream(text).then_reset(),
            "reset: the connection broke",
        ),
        (
            Reply::event_stream(text).then_silence(),
            &*format!("timeout: {silent}"),
        ),
        (
            Reply::event_stream(format!("data: 1\n\ndata: {}", "x".repeat(1000))).then_silence(),
            "body: a line of the event stream is longer than 1000 bytes",
        ),
        (
            Reply::event_stream(format!("data: 1\n\n{}", "data: xxxxxxxxx\n".repeat(101)))
                .then_silence(),
            "body: an event is larger than 1000 bytes",
        ),
    ] {
        let server = serving([broken, one_event()]);
        in_system(async {
            let idle_timeout = if why.contains("300ms") {
                300 * SHORT
            } else {
                LONG
            };
            let mut events = events(&server).idle_timeout(idle_timeout);
            opened(&mut events).await;
            assert_eq!(event(&mut events).await, "message 1", "{why}");
            let (failure, wait) = interrupted(&mut events).await;
            assert!(failure.starts_with(why), "{failure}, not {why}");
            assert!(wait <= SHORT, "{wait:?}");
            opened(&mut events).await;
            assert_eq!(event(&mut events).await, "message here", "{why}");
        });
        assert_eq!(server.hits("/stream"), 2, "{why}");
    }
}

#[test]
fn a_stream_without_line_ends_is_given_up() {
    let endless = Reply::endless_body().header("content-type", "text/event-stream");
    let server = serving([endless, one_event()]);
    in_system(async {
        let mut events = events(&server);
        opened(&mut events).await;
        let (failure, _) = interrupted(&mut events).await;
        assert!(
            failure.starts_with("body: a line of the event stream is longer"),
            "{failure}"
        );
        opened(&mut events).await;
        assert_eq!(event(&mut events).await, "message here");
    });
}

#[test]
fn an_event_may_be_no_longer_than_its_reader_wants() {
    let long = format!("data: {}\n\n", "x".repeat(500));
    let server = serving([
        Reply::event_stream(long.as_str()).then_silence(),
        one_event(),
    ]);
    in_system(async {
        let mut events = events(&server).max_event(100);
        opened(&mut events).await;
        let (failure, _) = interrupted(&mut events).await;
        assert!(failure.contains("100 bytes"), "{failure}");
        opened(&mut events).await;
        assert_eq!(event(&mut events).await, "message here");
    });
}

#[test]
fn a_reader_may_close_the_stream_and_connect_again_later() {
    let server = serving([one_event(), one_event()]);
    in_system(async {
        let mut events = events(&server);
        opened(&mut events).await;
        assert_eq!(event(&mut events).await, "message here");
        let closed_at = Instant::now();
        let wait = Duration::from_millis(50);
        events.close_for(wait);
        opened(&mut events).await;
        assert!(closed_at.elapsed() >= wait);
        assert_eq!(event(&mut events).await, "message here");
        assert_eq!(server.requests().len(), 2);
    });
}

#[test]
fn a_server_that_cannot_answer_is_asked_again() {
    for (broken, why) in [
        (Reply::status(500), "status: HTTP status 500"),
        (Reply::status(503), "status: HTTP status 503"),
        (Reply::status(429), "status: HTTP status 429"),
        (Reply::status(408), "status: HTTP status 408"),
        (Reply::reset(), "reset: "),
        (Reply::raw("nonsense\r\n\r\n"), "reset: "),
        (Reply::endless_headers(), "reset: "),
        (Reply::hang(), "timeout: no whole answer within 300ms"),
    ] {
        let server = serving([broken, one_event()]);
        in_system(async {
            let timeout = if why.contains("300ms") {
                300 * SHORT
            } else {
                LONG
            };
            let config = Config {
                timeout,
                ..config()
            };
            let url = format!("{}/stream", server.url());
            let mut events = Client::new(&config).events(&url, &[]);
            let (failure, _) = interrupted(&mut events).await;
            assert!(failure.starts_with(why), "{failure}, not {why}");
            opened(&mut events).await;
            assert_eq!(event(&mut events).await, "message here", "{why}");
        });
    }
}

#[test]
fn a_server_that_is_down_is_found_again() {
    let server = serving([one_event()]);
    in_system(async {
        let mut events = events(&server);
        opened(&mut events).await;
        assert_eq!(event(&mut events).await, "message here");
        server.go_down();
        let (failure, _) = interrupted(&mut events).await;
        assert!(failure.starts_with("reset: "), "{failure}");
        let (failure, _) = interrupted(&mut events).await;
        assert!(failure.starts_with("connect: cannot connect"), "{failure}");
        server.come_back();
        while next(&mut events).await.unwrap() != EventStreamItem::Opened {}
        assert_eq!(event(&mut events).await, "message here");
    });
}

#[test]
fn the_wait_grows_until_there_is_an_event() {
    let mut replies = vec![Reply::status(500); 4];
    replies.extend([Reply::event_stream(""), Reply::event_stream("data: 1\n\n")]);
    let server = serving(replies);
    in_system(async {
        let config = Config {
            backoff: 4 * SHORT,
            ..config()
        };
        let url = format!("{}/stream", server.url());
        let mut events = Client::new(&config).events(&url, &[]);
        for doubled in [4, 8, 16, 32] {
            let (_, wait) = interrupted(&mut events).await;
            let bounds = doubled * SHORT / 2..=doubled * SHORT;
            assert!(bounds.contains(&wait), "{wait:?}, not {bounds:?}");
        }
        // A connection alone is no event.
        opened(&mut events).await;
        let (_, wait) = interrupted(&mut events).await;
        assert!(wait >= 32 * SHORT, "{wait:?}");
        opened(&mut events).await;
        event(&mut events).await;
        let (_, wait) = interrupted(&mut events).await;
        assert!(wait <= 4 * SHORT, "{wait:?}");
    });
}

#[test]
fn a_redirect_is_resolved_anew_at_each_connect_and_takes_no_secret_to_another_host() {
    let shards = [1, 2].map(|number| {
        serving([Reply::event_stream(format!(
            "id: {number}\ndata: {number}\n\n"
        ))])
    });
    let to_shard = |shard: &ScriptedServer| {
        let location = format!("{}/stream", shard.url());
        Reply::redirect(307, location)
    };
    let server = serving([to_shard(&shards[0]), to_shard(&shards[1])]);
    in_system(async {
        let secret = ("authorization".to_owned(), "s3cret".to_owned());
        let url = format!("{}/stream", server.url());
        let mut events = Client::new(&config()).events(&url, &[secret]);
        for expected in ["message 1", "message 2"] {
            opened(&mut events).await;
            assert_eq!(event(&mut events).await, expected);
            interrupted(&mut events).await;
        }
    });
    let requests = server.requests();
    assert_eq!(requests[0].header("authorization"), Some("s3cret"));
    assert_eq!(requests[1].header("last-event-id"), Some("1"));
    for (shard, last_id) in shards.iter().zip([None, Some("1")]) {
        let requests = shard.requests();
        assert_eq!(requests[0].header("accept"), Some("text/event-stream"));
        assert_eq!(requests[0].header("authorization"), None);
        assert_eq!(requests[0].header("last-event-id"), last_id);
    }
}

#[test]
fn what_is_no_event_stream_is_told_from_what_is_refused() {
    let compressed = Reply::event_stream("x").header("content-encoding", "gzip");
    for (reply, expected) in [
        (
            Reply::json("[1]"),
            "no stream: an answer of the content type `application/json`",
        ),
        (
            Reply::body("x"),
            "no stream: an answer without a content type",
        ),
        (Reply::status(204), "no stream: HTTP status 204"),
        (Reply::status(404), "no stream: HTTP status 404"),
        (Reply::status(406), "no stream: HTTP status 406"),
        (Reply::status(401), "refused: HTTP status 401"),
        (Reply::status(403), "refused: HTTP status 403"),
        (Reply::redirect(307, "/stream"), "refused: HTTP status 307"),
        (
            Reply::redirect(302, "ftp://host/"),
            "refused: HTTP status 302",
        ),
        (compressed, "refused: the body is compressed"),
    ] {
        let server = serving([reply, one_event()]);
        if expected.contains("307") {
            server.on("/stream", [Reply::redirect(307, "/stream")]);
        }
        in_system(async {
            let mut events = events(&server);
            let error = next(&mut events).await.unwrap_err();
            let (kind, failure) = match &error {
                EventStreamError::NoStreams(failure) => ("no stream", failure),
                EventStreamError::Refused(failure) => ("refused", failure),
                _ => unreachable!("there are two kinds"),
            };
            let text = format!("{kind}: {}", failure.message);
            assert!(text.starts_with(expected), "{text}, not {expected}");
            assert_eq!(failure.attempts, 1);
            if !expected.contains("307") {
                // A caller may try again.
                opened(&mut events).await;
            }
        });
    }
}

#[test]
fn a_request_that_cannot_be_sent_is_refused() {
    in_system(async {
        let client = Client::new(&config());
        for (url, headers) in [
            ("no url", &[][..]),
            ("http://host/", &[("bad name".to_owned(), String::new())]),
        ] {
            let error = next(&mut client.events(url, headers)).await.unwrap_err();
            assert_eq!(error.failure().kind, FailureKind::Request, "{error}");
        }
    });
}

#[test]
fn open_streams_leave_permits_and_connections_to_other_requests() {
    let server = serving([one_event()]);
    server.on("/document", [Reply::json("[1]")]);
    in_system(async {
        // One request in flight at most, over one connection at most.
        let config = Config {
            adaptive: true,
            ..config()
        };
        let client = Client::new(&config);
        let url = format!("{}/stream", server.url());
        let mut streams = [0, 1, 2].map(|_| client.events(&url, &[]));
        for events in &mut streams {
            opened(events).await;
        }
        for _ in 0..3 {
            let url = format!("{}/document", server.url());
            let document = client.get(&url, &[]);
            let document = timeout(LONG, document).await.expect("in time");
            assert_eq!(document.unwrap(), "[1]");
        }
        assert_eq!(server.stats().connections, 4);
    });
}

#[test]
fn a_stream_that_nobody_reads_holds_up_no_other_request() {
    let latch = Latch::new();
    let server = serving([one_event()]);
    server.on("/held", [Reply::json("1").held_by(&latch)]);
    server.on("/document", [Reply::json("2")]);
    in_system(async {
        let config = Config {
            adaptive: true,
            ..config()
        };
        let client = Client::new(&config);
        let get = |path| {
            let (client, url) = (client.clone(), format!("{}/{path}", server.url()));
            actix_rt::spawn(async move { client.get(&url, &[]).await })
        };
        let held = get("held");
        let mut events = client.events(&format!("{}/stream", server.url()), &[]);
        // It waits for the permit of the first request, and the last request waits behind it.
        assert!(timeout(20 * SHORT, events.next()).await.is_err());
        let document = get("document");
        latch.open();
        assert_eq!(held.await.unwrap().unwrap(), "1");
        let document = timeout(LONG, document).await.expect("in time");
        assert_eq!(document.unwrap().unwrap(), "2");
        opened(&mut events).await;
    });
}

#[test]
fn each_connect_keeps_to_the_rate_and_to_a_wait_that_the_api_asked_for() {
    let server = serving([
        Reply::status(503).header("retry-after", "1"),
        Reply::redirect(307, "/stream"),
        one_event(),
    ]);
    server.on("/document", [Reply::json("[1]")]);
    in_system(async {
        let client = Client::new(&Config {
            rate: 10,
            ..config()
        });
        let mut events = client.events(&format!("{}/stream", server.url()), &[]);
        let (failure, wait) = interrupted(&mut events).await;
        assert!(failure.contains("503"), "{failure}");
        assert_eq!(wait, Duration::from_secs(1));
        // Other requests wait as well. Of the three requests that follow, each takes a permit: 0.1 seconds lie between them.
        let began = Instant::now();
        let url = format!("{}/document", server.url());
        let document = client.get(&url, &[]);
        let (document, ()) = tokio::join!(document, opened(&mut events));
        assert_eq!(document.unwrap(), "[1]");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1100), "{took:?}");
    });
    let times: Vec<_> = server.requests().iter().map(|one| one.at).collect();
    assert_eq!(times.len(), 4);
    let cooled = times[1] - times[0];
    assert!(cooled >= Duration::from_millis(950), "{cooled:?}");
}

#[test]
fn the_server_is_told_the_last_id_and_may_say_when_to_connect_again() {
    let server = serving([
        Reply::event_stream("retry: 20\nid: a7\ndata: 1\n\nid: half"),
        Reply::event_stream(""),
        one_event(),
    ]);
    in_system(async {
        let mut events = events(&server);
        opened(&mut events).await;
        event(&mut events).await;
        let (_, wait) = interrupted(&mut events).await;
        assert!((20 * SHORT..=21 * SHORT).contains(&wait), "{wait:?}");
        opened(&mut events).await;
        interrupted(&mut events).await;
        opened(&mut events).await;
    });
    let ids: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("last-event-id").map(str::to_owned))
        .collect();
    let last = Some("a7".to_owned());
    assert_eq!(ids, [None, last.clone(), last]);
}

#[test]
fn a_stream_that_is_dropped_closes_its_connection_at_any_time() {
    for (reply, opens) in [(one_event(), true), (Reply::hang(), false)] {
        let server = serving([reply]);
        in_system(async {
            let mut events = events(&server);
            if opens {
                opened(&mut events).await;
            } else {
                while server.stats().requests == 0 {
                    assert!(timeout(SHORT, events.next()).await.is_err());
                }
            }
            assert_eq!(server.stats().open_connections, 1);
            drop(events);
            eventually("the connection is closed", || {
                server.stats().open_connections == 0
            })
            .await;
        });
    }
}

#[test]
fn a_reader_that_gives_up_all_the_time_misses_nothing() {
    let server = serving([
        Reply::status(500),
        Reply::event_stream("data: 1\n\n").then_after(5 * SHORT, "data: 2\n\n"),
        one_event().latency(5 * SHORT),
    ]);
    in_system(async {
        let mut events = events(&server);
        let mut data = Vec::new();
        let reading = async {
            while data.len() < 3 {
                if let Ok(item) = timeout(SHORT, events.next()).await
                    && let EventStreamItem::Event(event) = item.unwrap()
                {
                    data.push(event.data);
                }
            }
        };
        timeout(LONG, reading).await.expect("three events");
        assert_eq!(data, ["1", "2", "here"]);
    });
    assert_eq!(server.hits("/stream"), 3);
}

#[test]
fn a_stream_goes_through_the_proxy() {
    let proxy = ScriptedServer::start();
    proxy.on("http://notes.test/stream", [one_event()]);
    in_system(async {
        let config = Config {
            proxy: HttpProxy::parse(&proxy.url()).unwrap(),
            ..config()
        };
        let mut events = Client::new(&config).events("http://notes.test/stream", &[]);
        opened(&mut events).await;
        assert_eq!(event(&mut events).await, "message here");
    });
}
