//! What the event streams of a live mock API promise, seen by a plain client over real sockets.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use super::{
    tests::{body, connect, exchange, on_a_system, parsed, served},
    ways_to_tell::tests::{apply, plain},
    *,
};

const START: Duration = Duration::from_secs(1_800_000_000);
const TEN_SECONDS: Duration = Duration::from_secs(10);

fn live(streams: Streams) -> (MockApi, Clock) {
    let clock = Clock::manual(SystemTime::UNIX_EPOCH + START);
    let live = Live::new("5/s".parse().unwrap())
        .clock(clock.clone())
        .streams(streams);
    let api = MockApi {
        max_item: 100,
        ..MockApi::default()
    };
    (api.live(live), clock)
}

/// The next event, or what came before a connection that broke. An orderly end is `None`.
type Next = std::result::Result<Option<(String, Value)>, String>;

/// A client of an event stream that reads chunk by chunk.
struct Client {
    stream: BufReader<TcpStream>,
    /// Bytes that are not a whole event yet.
    rest: String,
    chunks: usize,
}

impl Client {
    /// Follows the redirect and reads the head.
    fn open(address: &str, path: &str) -> Self {
        let answer = ask(address, &format!("/v0/{path}.json"));
        assert!(answer.starts_with("HTTP/1.1 307"), "{answer}");
        let place = location(&answer);
        assert!(
            place.ends_with(&format!("/v0/{path}.json?ns=hacker-news&sse=true")),
            "{place}"
        );
        let (shard, path) = place
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap();
        assert_ne!(shard, address);
        let mut stream = connect(shard);
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        )
        .unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(
            head.starts_with("HTTP/1.1 200")
                && head.contains("content-type: text/event-stream\r\n"),
            "{head}"
        );
        Client {
            stream,
            rest: String::new(),
            chunks: 0,
        }
    }

    /// The name and the data of the next event.
    fn next(&mut self) -> Next {
        loop {
            for end in ["\n\n", "\r\n\r\n"] {
                if let Some((event, rest)) = self.rest.split_once(end) {
                    let line = |key: &str| {
                        event
                            .lines()
                            .find_map(|line| line.strip_prefix(key))
                            .unwrap()
                            .to_owned()
                    };
                    let event = (
                        line("event: "),
                        serde_json::from_str(&line("data: ")).unwrap(),
                    );
                    self.rest = rest.to_owned();
                    return Ok(Some(event));
                }
            }
            let mut size = String::new();
            if !matches!(self.stream.read_line(&mut size), Ok(1..)) {
                return Err(std::mem::take(&mut self.rest));
            }
            let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).unwrap();
            if size == 0 {
                return Ok(None);
            }
            self.chunks += 1;
            self.rest += std::str::from_utf8(&chunk[..size]).unwrap();
        }
    }

    fn event(&mut self) -> (String, Value) {
        self.next().unwrap().unwrap()
    }

    /// Reads events until the copy of the value is as the API serves it.
    fn read_until_equal(&mut self, copy: &mut Value, expected: &Value) {
        while plain(copy) != plain(expected) {
            let (name, data) = self.event();
            apply(copy, &name, &data);
        }
    }
}

/// Asks for an event stream.
fn ask(address: &str, path: &str) -> String {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nAccept: text/event-stream"),
    )
}

fn location(answer: &str) -> &str {
    let rest = answer.split_once("location: ").unwrap().1;
    rest.split_once("\r\n").unwrap().0
}

#[test]
fn a_stream_begins_with_the_whole_value_and_its_events_lead_to_every_later_one() {
    let (api, clock) = live(Streams::default());
    served(api, move |a| {
        let paths = [
            "maxitem",
            "updates",
            "topstories",
            "newstories",
            "item/90",
            "item/110",
            "user/amberfox",
        ];
        let open = |path: &str| {
            let mut client = Client::open(a, path);
            let (name, data) = client.event();
            assert_eq!(
                (name.as_str(), &data["path"]),
                ("put", &Value::from("/")),
                "{path}"
            );
            assert_eq!(data["data"], parsed(a, &format!("{path}.json")), "{path}");
            (path.to_owned(), client, data["data"].clone())
        };
        let mut clients = paths.map(open);
        for _ in 0..7 {
            clock.advance(TEN_SECONDS);
            for (path, client, copy) in &mut clients {
                let expected = parsed(a, &format!("{path}.json"));
                client.read_until_equal(copy, &expected);
            }
        }
        assert_eq!(clients[0].2, 450);
        let (_, updates, _) = &clients[1];
        assert!(updates.chunks > 7, "{}", updates.chunks);
    });
}

#[test]
fn each_redirect_may_name_another_shard_and_keeps_the_query() {
    let (api, _) = live(Streams::default());
    served(api, |a| {
        let answers = [(); 2].map(|()| ask(a, "/v0/updates.json?print=pretty"));
        let [one, other] = answers.each_ref().map(|answer| location(answer));
        assert_ne!(one, other);
        assert!(
            one.ends_with("/v0/updates.json?print=pretty&ns=hacker-news&sse=true"),
            "{one}"
        );
        let shard = one
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap()
            .0;
        assert_eq!(
            parsed(shard, "maxitem.json"),
            100,
            "a shard serves documents too"
        );
        let answer = exchange(
            a,
            "HEAD /v0/updates.json HTTP/1.1\r\nAccept: text/event-stream",
        );
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(ask(a, "/v0/updates").starts_with("HTTP/1.1 404"));
    });
}

#[test]
fn updates_leave_nothing_out_when_the_clock_is_moved_far() {
    let (api, clock) = live(Streams::default());
    let until = SystemTime::UNIX_EPOCH + START + Duration::from_secs(120);
    let last: Value = serde_json::from_str(&api.json_at("updates", until)).unwrap();
    let api_again = api.clone();
    served(api, move |a| {
        let mut client = Client::open(a, "updates");
        let mut copy = client.event().1["data"].clone();
        clock.advance(Duration::from_secs(120));
        let mut named = std::collections::BTreeSet::new();
        while plain(&copy) != plain(&last) {
            let (name, data) = client.event();
            apply(&mut copy, &name, &data);
            named.extend(
                plain(&copy)["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(Value::as_i64),
            );
        }
        let documents = api_again.documents();
        for id in 101..=700 {
            let item = documents.json(&format!("item/{id}"), micros(until));
            assert!(item == "null" || named.contains(&id), "{id}");
        }
    });
}

#[test]
fn a_running_clock_is_followed_without_being_moved() {
    let live = Live::new("5/s".parse().unwrap()).speed(60.0);
    served(MockApi::default().live(live), |a| {
        let mut client = Client::open(a, "maxitem");
        let values: Vec<i64> = (0..4)
            .map(|_| client.event().1["data"].as_i64().unwrap())
            .collect();
        assert!(
            values[0] >= 1_000_000 && values.is_sorted_by(|a, b| a < b),
            "{values:?}"
        );
        let answer = exchange(a, "GET /v0/maxitem.json HTTP/1.1");
        assert!(body(&answer).parse::<i64>().unwrap() >= values[3]);
    });
}

#[test]
fn a_quiet_stream_sends_keep_alive_events() {
    let (api, _) = live(Streams {
        keep_alive: Duration::from_millis(10),
        ..Streams::default()
    });
    served(api, |a| {
        let mut client = Client::open(a, "maxitem");
        client.event();
        for _ in 0..3 {
            assert_eq!(client.event(), ("keep-alive".to_owned(), Value::Null));
        }
    });
}

/// What a client of `maxitem` sees after the first event, with a fault at every change.
fn after_a_change(streams: Streams) -> Next {
    let (api, clock) = live(streams);
    served(api, move |a| {
        let mut client = Client::open(a, "maxitem");
        client.event();
        clock.advance(TEN_SECONDS);
        let seen = client.next();
        if matches!(&seen, Ok(Some((name, _))) if name != "keep-alive") {
            assert_eq!(client.next(), Ok(None), "the stream ends in order");
        }
        seen
    })
}

#[test]
fn a_stream_can_be_cut_and_cancelled_and_lose_events() {
    let cut = after_a_change(Streams {
        cut_rate: 1.0,
        ..Streams::default()
    });
    assert!(
        matches!(&cut, Err(half) if half.starts_with("event: ")),
        "{cut:?}"
    );

    let cancelled = after_a_change(Streams {
        cancel_rate: 1.0,
        ..Streams::default()
    });
    let (name, _) = cancelled.unwrap().unwrap();
    assert!(
        ["cancel", "auth_revoked"].contains(&name.as_str()),
        "{name}"
    );

    let lost = after_a_change(Streams {
        loss_rate: 1.0,
        keep_alive: Duration::from_millis(50),
        ..Streams::default()
    });
    assert_eq!(lost.unwrap().unwrap().0, "keep-alive");
}

#[test]
fn a_stalled_stream_says_nothing_and_stays_open() {
    let streams = Streams {
        keep_alive: Duration::from_millis(20),
        stall_after: Some(Duration::from_millis(1)),
        ..Streams::default()
    };
    let (api, clock) = live(streams);
    served(api, move |a| {
        let mut client = Client::open(a, "maxitem");
        client.event();
        // The stall is in the machine's time.
        std::thread::sleep(Duration::from_millis(100));
        clock.advance(TEN_SECONDS);
        let stream = client.stream.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let read = client.stream.read(&mut [0]).map_err(|error| error.kind());
        assert!(
            matches!(read, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            "{read:?}"
        );
    });
}

#[test]
fn open_streams_end_on_order_and_later_ones_do_not() {
    let (api, clock) = live(Streams::default());
    on_a_system(async move {
        let api = api.start().await.unwrap();
        let address = api.address.to_string();
        let open = async |path: &'static str| {
            let address = address.clone();
            let opened = actix_rt::task::spawn_blocking(move || {
                let mut client = Client::open(&address, path);
                client.event();
                client
            });
            opened.await.unwrap()
        };
        let next = async |mut client: Client| {
            let read = actix_rt::task::spawn_blocking(move || (client.next(), client.next()));
            read.await.unwrap()
        };
        for (how, name) in [
            (StreamEnd::Cancel, "cancel"),
            (StreamEnd::AuthRevoked, "auth_revoked"),
        ] {
            let client = open("updates").await;
            assert_eq!(api.open_streams(), 1);
            api.end_streams(how);
            let (event, end) = next(client).await;
            assert_eq!((event.unwrap().unwrap().0.as_str(), end), (name, Ok(None)));
            while api.open_streams() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let client = open("updates").await;
        api.end_streams(StreamEnd::Cut);
        assert!(next(client).await.0.is_err());
        let client = open("maxitem").await;
        clock.advance(TEN_SECONDS);
        clock.advance(TEN_SECONDS);
        let (event, _) = {
            let mut client = client;
            actix_rt::task::spawn_blocking(move || (client.event(), client))
                .await
                .unwrap()
        };
        assert_eq!(event.0, "put");
        api.stop().await;
    });
}

#[test]
fn without_streams_and_without_life_a_request_for_a_stream_gets_plain_json() {
    let (none, _) = live(Streams {
        offered: false,
        ..Streams::default()
    });
    let still = MockApi {
        max_item: 100,
        ..MockApi::default()
    };
    for api in [none, still] {
        served(api, |a| {
            let answer = ask(a, "/v0/maxitem.json");
            assert!(
                answer.starts_with("HTTP/1.1 200") && body(&answer) == "100",
                "{answer}"
            );
        });
    }
}

#[test]
fn a_live_answer_is_dated_by_the_clock_of_the_api() {
    let (api, clock) = live(Streams::default());
    clock.advance(TEN_SECONDS);
    served(api, |a| {
        let answer = exchange(a, "GET /v0/maxitem.json HTTP/1.1");
        assert!(
            answer.contains("date: Fri, 15 Jan 2027 08:00:10 GMT\r\n"),
            "{answer}"
        );
    });
}
