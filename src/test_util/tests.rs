//! The scripted server and the proxy, seen by a client that is a plain socket.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::*;

const NO_PAUSE: Duration = Duration::ZERO;

/// A client that knows enough HTTP to find the end of a reply.
struct Client(BufReader<TcpStream>);

#[derive(Debug)]
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Client {
    fn to(server: &ScriptedServer) -> Self {
        Self::connect(server.addr()).expect("the server listens")
    }

    fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn send(&mut self, text: &str) {
        self.0
            .get_mut()
            .write_all(text.as_bytes())
            .expect("the server reads");
    }

    fn ask(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }

    fn head(&mut self) -> io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(head)
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |n| n.parse().expect("a length is a number"))];
        self.0.read_exact(&mut body)?;
        Ok(Answer { head, body })
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask(path);
        self.answer().expect("a whole reply")
    }

    /// Everything up to the close.
    fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Whether the connection is open and nothing has come.
    fn is_kept_waiting(&mut self) -> bool {
        let stream = self.0.get_mut();
        stream.set_nonblocking(true).expect("a socket has modes");
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).expect("a socket has modes");
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

fn serving(reply: Reply) -> ScriptedServer {
    let server = ScriptedServer::start();
    server.otherwise(move |_| reply.clone());
    server
}

/// What a client reads of a reply until the connection ends, and how it ends.
fn read_all(reply: Reply) -> (String, io::Result<usize>) {
    let server = serving(reply);
    let mut client = Client::to(&server);
    client.ask("/");
    let mut got = Vec::new();
    let end = client.0.read_to_end(&mut got);
    (String::from_utf8(got).expect("the tests send text"), end)
}

#[test]
fn a_script_answers_in_order_and_its_last_reply_repeats() {
    let server = ScriptedServer::start();
    server.on(
        "/a",
        [Reply::status(503), Reply::status(429), Reply::json("1")],
    );
    server.on("/b", [Reply::json("2")]);
    let mut client = Client::to(&server);
    let statuses =
        ["/a", "/b", "/a", "/a", "/a"].map(|path| client.get(path).head[9..12].to_owned());
    assert_eq!(statuses, ["503", "200", "429", "200", "200"]);
    assert_eq!(
        (server.hits("/a"), server.hits("/b"), server.hits("/c")),
        (4, 1, 0)
    );
}

#[test]
fn a_path_without_a_script_is_404_unless_the_test_says_otherwise() {
    let server = ScriptedServer::start();
    let mut client = Client::to(&server);
    assert!(client.get("/x").head.starts_with("HTTP/1.1 404 "));
    server.otherwise(|path| Reply::body(path));
    assert_eq!(client.get("/x?y=1").body, b"/x?y=1");
}

#[test]
fn requests_are_recorded_with_headers_and_connection() {
    let server = ScriptedServer::start();
    let (mut one, mut two) = (Client::to(&server), Client::to(&server));
    one.send("GET /1 HTTP/1.1\r\nX-Key:  secret \r\n\r\n");
    one.answer().expect("a reply");
    two.get("/2");
    let requests = server.requests();
    assert_eq!(requests[0].header("x-key"), Some("secret"));
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_str()),
        ("GET", "/1")
    );
    assert_ne!(requests[0].connection, requests[1].connection);
    assert!(requests[0].at <= requests[1].at);
}

#[test]
fn one_connection_carries_many_requests() {
    let server = serving(Reply::json("1"));
    let mut client = Client::to(&server);
    (0..50).for_each(|_| drop(client.get("/")));
    let stats = server.stats();
    assert_eq!(
        (stats.requests, stats.connections, stats.open_connections),
        (50, 1, 1)
    );
    drop(client);
    server.wait_for(|stats| stats.open_connections == 0);
}

#[test]
fn requests_in_one_packet_or_in_many_are_answered_in_turn() {
    let server = ScriptedServer::start();
    server.otherwise(|path| Reply::body(path).drip(NO_PAUSE));
    let mut client = Client::to(&server);
    client.send("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
    for byte in "GET /3 HTTP/1.1\r\n\r\n".chars() {
        client.send(&byte.to_string());
    }
    let bodies = [1, 2, 3].map(|_| client.answer().expect("a whole reply").body);
    assert_eq!(bodies, [b"/1", b"/2", b"/3"]);
    assert_eq!(server.stats().peak_in_flight, 1);
}

#[test]
fn a_request_body_is_skipped() {
    let server = ScriptedServer::start();
    let mut client = Client::to(&server);
    client.send("POST /1 HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET /no HTTP/1.1\r\n\r\n");
    client.answer().expect("a reply");
    client.get("/2");
    let paths: Vec<_> = server
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths, ["/1", "/2"]);
}

#[test]
fn head_gets_the_length_and_no_body() {
    let server = serving(Reply::json("12345"));
    let mut client = Client::to(&server);
    client.send("HEAD / HTTP/1.1\r\n\r\n");
    assert!(
        client
            .head()
            .expect("a head")
            .contains("content-length: 5\r\n")
    );
    assert_eq!(client.get("/").body, b"12345");
}

#[test]
fn statuses_that_have_no_body_announce_none() {
    let server = serving(Reply::status(204));
    assert!(!Client::to(&server).get("/").head.contains("content-length"));
}

#[test]
fn json_and_redirects_carry_their_headers() {
    let (json, _) = read_all(Reply::json("{}").header("Connection", "close"));
    assert!(json.contains("content-type: application/json\r\n") && json.ends_with("\r\n\r\n{}"));
    let (redirect, _) = read_all(Reply::redirect(302, "/y").header("Connection", "close"));
    assert!(redirect.starts_with("HTTP/1.1 302 ") && redirect.contains("location: /y\r\n"));
}

#[test]
fn a_client_that_asks_for_a_close_gets_one() {
    let server = serving(Reply::json("1"));
    for request in [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = Client::to(&server);
        client.send(request);
        assert!(client.rest().expect("a close").ends_with(b"\r\n1"));
    }
}

#[test]
fn a_connection_that_does_not_carry_http_is_closed() {
    let server = ScriptedServer::start();
    let mut client = Client::to(&server);
    client.send("hello\r\n\r\n");
    // One byte stays unread, so the close may be a RST.
    assert!(client.rest().map_or(true, |rest| rest.is_empty()));
    assert_eq!(server.stats().requests, 0);
}

#[test]
fn latency_is_waited_for() {
    let server = serving(Reply::json("1").latency(Duration::from_millis(30)));
    let asked = Instant::now();
    Client::to(&server).get("/");
    assert!(asked.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_held_reply_waits_for_its_latch_and_is_in_flight_until_then() {
    let latch = Latch::new();
    let server = serving(Reply::json("1").held_by(&latch));
    let mut clients: Vec<_> = (0..3).map(|_| Client::to(&server)).collect();
    clients.iter_mut().for_each(|client| client.ask("/"));
    server.wait_in_flight(3);
    assert!(clients.iter_mut().all(Client::is_kept_waiting));
    latch.open();
    for client in &mut clients {
        assert_eq!(client.answer().expect("a reply").body, b"1");
    }
    let stats = server.stats();
    assert_eq!((stats.in_flight, stats.peak_in_flight), (0, 3));
    clients[0].get("/");
}

#[test]
fn a_cut_reply_announces_all_and_sends_part() {
    let (got, end) = read_all(Reply::body("123456").cut_at(2));
    assert!(got.contains("content-length: 6\r\n") && got.ends_with("\r\n\r\n12"));
    assert!(end.is_ok());
    let (empty, _) = read_all(Reply::status(503).cut_at(0));
    assert!(empty.contains("content-length: 1\r\n"));
    let (chunked, _) = read_all(Reply::body("123456").chunked().cut_at(6));
    assert!(chunked.ends_with("\r\n56\r\n"));
}

#[test]
fn a_stalled_reply_sends_no_more_and_ends_when_the_client_leaves() {
    let server = serving(Reply::body("123456").stall_at(2));
    let mut client = Client::to(&server);
    client.ask("/");
    client.head().expect("a head");
    client.0.read_exact(&mut [0; 2]).expect("two bytes");
    assert!(client.is_kept_waiting());
    assert_eq!(server.stats().in_flight, 1);
    drop(client);
    server.wait_for(|stats| stats.in_flight == 0 && stats.open_connections == 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_reset_is_a_rst() {
    let reset =
        |end: io::Result<usize>| end.expect_err("a reset").kind() == ErrorKind::ConnectionReset;
    let (got, end) = read_all(Reply::reset());
    assert!(got.is_empty() && reset(end));
    let latch = Latch::new();
    latch.open();
    let (got, end) = read_all(
        Reply::reset()
            .held_by(&latch)
            .latency(Duration::from_millis(1)),
    );
    assert!(got.is_empty() && reset(end));
    let (got, end) = read_all(Reply::body("123456").reset_at(3));
    assert!(got.ends_with("\r\n\r\n123") && reset(end));
}

#[test]
fn a_dripped_reply_comes_byte_by_byte() {
    let every = Duration::from_millis(2);
    let dripped = [
        (Reply::body("123456").drip_body(every), 6),
        (Reply::status(200).drip(every), 40),
    ];
    for (reply, bytes) in dripped {
        let server = serving(reply);
        let asked = Instant::now();
        Client::to(&server).get("/");
        assert!(asked.elapsed() >= every * bytes);
    }
    let server = serving(Reply::status(200).drip_body(NO_PAUSE));
    assert!(Client::to(&server).get("/").body.is_empty());
}

#[test]
fn a_chunked_reply_comes_in_pieces() {
    let (got, _) = read_all(
        Reply::body("1234567")
            .chunked()
            .header("connection", "close"),
    );
    assert!(got.contains("transfer-encoding: chunked\r\n") && !got.contains("content-length"));
    assert!(got.ends_with("\r\n\r\n3\r\n123\r\n3\r\n456\r\n1\r\n7\r\n0\r\n\r\n"));
}

#[test]
fn a_content_length_of_the_test_replaces_the_right_one() {
    let (got, _) = read_all(Reply::body("123").header("Content-Length", "99").cut_at(3));
    assert!(got.contains("Content-Length: 99\r\n") && !got.contains("content-length"));
}

#[test]
fn raw_bytes_are_sent_as_they_are_and_then_the_connection_closes() {
    assert_eq!(read_all(Reply::raw("SSH-2.0\r\n")).0, "SSH-2.0\r\n");
    assert_eq!(read_all(Reply::raw("")).0, "");
}

const RAW_ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1";

#[test]
fn raw_kept_bytes_leave_the_connection_open_for_the_next_request() {
    let server = ScriptedServer::start();
    let two_lengths = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    server.on("/", [Reply::raw_kept(two_lengths), Reply::json("next")]);
    let mut client = Client::to(&server);
    client.ask("/");
    assert_eq!(client.head().expect("a head"), two_lengths);
    assert!(client.is_kept_waiting());
    assert_eq!(client.get("/").body, b"next");
    let stats = server.stats();
    assert_eq!((stats.connections, stats.peak_in_flight), (1, 1));
}

#[test]
fn raw_kept_bytes_leave_the_connection_open_even_if_both_sides_say_close() {
    let server = serving(Reply::raw_kept(
        "HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 1\r\n\r\n1",
    ));
    let mut client = Client::to(&server);
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer().expect("a reply").body, b"1");
    }
    assert!(client.is_kept_waiting());
}

#[test]
fn a_part_waits_for_its_latch_and_a_raw_reply_is_in_flight_until_its_last_part() {
    let latch = Latch::new();
    let (start, end) = RAW_ANSWER.split_at(20);
    let server = serving(Reply::raw_kept(start).then_when(&latch, end));
    let mut client = Client::to(&server);
    client.ask("/");
    client.0.read_exact(&mut [0; 20]).expect("the first part");
    assert!(client.is_kept_waiting());
    assert_eq!(server.stats().in_flight, 1);
    latch.open();
    assert_eq!(
        client.head().expect("the rest"),
        &RAW_ANSWER[20..RAW_ANSWER.len() - 1]
    );
    client.0.read_exact(&mut [0]).expect("the body");
    assert_eq!(server.stats().in_flight, 0);
    assert_eq!(client.get("/").body, b"1");
}

#[test]
fn parts_are_sent_in_order_after_their_pauses_and_then_the_connection_closes_or_stays() {
    let pause = Duration::from_millis(10);
    let in_parts = |first: Reply| first.then_after(pause, "2").then_after(pause, "3");
    let asked = Instant::now();
    let (got, end) = read_all(in_parts(Reply::raw("1")));
    assert_eq!(got, "123");
    assert!(end.is_ok());
    assert!(asked.elapsed() >= 2 * pause);

    let server = serving(in_parts(Reply::raw_kept("1")));
    let mut client = Client::to(&server);
    for _ in 0..2 {
        client.ask("/");
        let mut got = [0; 3];
        client.0.read_exact(&mut got).expect("three parts");
        assert_eq!(&got, b"123");
    }
    assert_eq!(server.stats().connections, 1);
}

/// More bytes than the answer to `/surplus` come when the latch is open.
fn with_surplus(latch: &Latch) -> ScriptedServer {
    let server = ScriptedServer::start();
    let reply = Reply::json("1").then_when(latch, RAW_ANSWER.to_owned());
    server.on("/surplus", [reply]);
    server.on("/next", [Reply::json("2")]);
    server
}

#[test]
fn surplus_bytes_come_after_a_complete_reply_on_an_idle_connection() {
    let latch = Latch::new();
    let server = with_surplus(&latch);
    let mut client = Client::to(&server);
    assert_eq!(client.get("/surplus").body, b"1");
    // The request has its answer, whatever follows it.
    assert_eq!(server.stats().in_flight, 0);
    assert_eq!(Client::to(&server).get("/next").body, b"2");
    assert!(client.is_kept_waiting());
    latch.open();
    assert_eq!(client.answer().expect("the surplus").body, b"1");
    assert_eq!(client.get("/next").body, b"2");
    assert_eq!(server.stats().peak_in_flight, 1);
}

#[test]
fn surplus_bytes_come_before_the_answer_to_the_request_that_they_hold_up() {
    let latch = Latch::new();
    let server = with_surplus(&latch);
    let mut client = Client::to(&server);
    client.get("/surplus");
    client.ask("/next");
    assert!(client.is_kept_waiting());
    latch.open();
    let bodies = [1, 2].map(|_| client.answer().expect("a reply").body);
    assert_eq!(bodies, [b"1", b"2"]);
}

#[test]
fn the_later_parts_of_an_event_stream_are_chunks_of_its_body() {
    const HEAD: &str = "HTTP/1.1 200 Scripted\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let latch = Latch::new();
    let server = serving(Reply::event_stream("a").then_when(&latch, "later"));
    let mut client = Client::to(&server);
    client.ask("/");
    assert_eq!(client.head().expect("a head"), HEAD);
    let mut first = [0; 6];
    client.0.read_exact(&mut first).expect("a chunk");
    assert_eq!(&first, b"1\r\na\r\n");
    assert!(client.is_kept_waiting());
    assert_eq!(server.stats().in_flight, 1);
    latch.open();
    let mut rest = [0; 15];
    client.0.read_exact(&mut rest).expect("the end");
    assert_eq!(&rest, b"5\r\nlater\r\n0\r\n\r\n");
    assert_eq!(server.stats().in_flight, 0);
    // The connection takes the next request.
    client.ask("/");
    assert_eq!(client.head().expect("a head"), HEAD);

    let in_parts = || Reply::event_stream("").then_after(NO_PAUSE, "b");
    let (got, end) = read_all(in_parts().then_close());
    assert_eq!((got, end.is_ok()), (format!("{HEAD}1\r\nb\r\n"), true));
    let (got, end) = read_all(in_parts().then_reset());
    assert_eq!(got, format!("{HEAD}1\r\nb\r\n"));
    assert!(end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));

    let server = serving(in_parts().then_silence());
    let mut client = Client::to(&server);
    client.ask("/");
    client.head().expect("a head");
    client.0.read_exact(&mut first).expect("a chunk");
    assert!(client.is_kept_waiting());
}

#[test]
fn a_dripped_reply_drips_its_later_parts_too() {
    let every = Duration::from_millis(2);
    let asked = Instant::now();
    let (got, _) = read_all(
        Reply::raw("12345")
            .drip(every)
            .then_after(NO_PAUSE, "67890"),
    );
    assert_eq!(got, "1234567890");
    assert!(asked.elapsed() >= every * 10);
}

#[test]
fn large_bodies_arrive_complete() {
    let body: Vec<u8> = (0..9 << 20).map(|n: u32| (n >> 8) as u8).collect();
    let server = serving(Reply::body(body.clone()));
    let mut client = Client::to(&server);
    assert!(client.get("/").body == body && client.get("/").body == body);
}

#[test]
fn a_hanging_request_is_in_flight_until_its_client_leaves() {
    let server = serving(Reply::hang());
    let mut client = Client::to(&server);
    client.ask("/");
    server.wait_in_flight(1);
    assert!(client.is_kept_waiting());
    drop(client);
    server.wait_for(|stats| stats.in_flight == 0 && stats.open_connections == 0);
}

#[test]
fn endless_replies_end_when_the_client_leaves() {
    let blanks = (Reply::endless_body(), "\r\n\r\n400\r\n    ");
    let headers = (Reply::endless_headers(), "Scripted\r\nx-endless: and");
    for (reply, start) in [blanks, headers] {
        let server = serving(reply);
        let mut client = Client::to(&server);
        client.ask("/");
        let mut got = vec![0; 1 << 20];
        client
            .0
            .read_exact(&mut got)
            .expect("a reply without an end");
        assert!(String::from_utf8_lossy(&got[..200]).contains(start));
        assert_eq!(server.stats().in_flight, 1);
        drop(client);
        server.wait_for(|stats| stats.in_flight == 0 && stats.open_connections == 0);
    }
}

#[test]
fn a_client_with_a_whole_reply_has_no_request_in_flight() {
    let server = ScriptedServer::start();
    server.on("/plain", [Reply::json("1")]);
    server.on("/large", [Reply::body(vec![0; 20_000])]);
    server.on("/drip", [Reply::body("123").drip_body(NO_PAUSE)]);
    server.on("/empty", [Reply::status(200).drip_body(NO_PAUSE)]);
    let mut clients = [Client::to(&server), Client::to(&server)];
    for path in ["/plain", "/large", "/drip", "/empty"] {
        for round in 0..500 {
            clients[round % 2].get(path);
        }
    }
    server.on(
        "/parts",
        [Reply::raw_kept("HTTP/1.1 200 OK\r\n")
            .then_after(NO_PAUSE, "content-length: 1\r\n\r\n")
            .then_after(NO_PAUSE, "1")],
    );
    for round in 0..200 {
        clients[round % 2].get("/parts");
    }
    server.on("/cut", [Reply::body("123456").cut_at(3)]);
    server.on(
        "/chunks",
        [Reply::body("123").chunked().header("connection", "close")],
    );
    server.on("/reset", [Reply::reset()]);
    for path in ["/cut", "/chunks", "/reset"] {
        for _ in 0..100 {
            let mut client = Client::to(&server);
            client.ask(path);
            let _ = client.rest();
        }
    }
    assert_eq!(server.stats().peak_in_flight, 1);
}

#[test]
fn a_client_that_gave_up_a_request_has_none_in_flight() {
    let server = ScriptedServer::start();
    server.on("/hang", [Reply::hang()]);
    server.on("/stall", [Reply::body("123456").stall_at(2)]);
    server.on("/endless", [Reply::endless_body()]);
    for path in ["/hang", "/stall", "/endless"] {
        for _ in 0..100 {
            let (mut impatient, mut next) = (Client::to(&server), Client::to(&server));
            impatient.ask(path);
            server.wait_in_flight(1);
            drop(impatient);
            next.get("/");
        }
    }
    assert_eq!(server.stats().peak_in_flight, 1);
    server.wait_for(|stats| stats.in_flight == 0 && stats.open_connections == 0);
}

#[test]
fn many_clients_at_once_are_all_counted() {
    let server = serving(Reply::json("1"));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..25).for_each(|_| drop(Client::to(&server).get("/"))));
        }
    });
    let stats = server.stats();
    assert_eq!(
        (stats.requests, stats.connections, stats.in_flight),
        (200, 200, 0)
    );
    assert!((1..=8).contains(&stats.peak_in_flight));
}

#[test]
fn a_server_that_is_down_refuses_and_comes_back_where_it_was() {
    let server = serving(Reply::json("1"));
    let mut before = Client::to(&server);
    before.get("/");
    server.go_down();
    server.go_down();
    assert!(before.rest().is_ok_and(|rest| rest.is_empty()));
    let refused = Client::connect(server.addr())
        .map(drop)
        .expect_err("the server is down");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(server.stats().open_connections, 0);
    server.come_back();
    server.come_back();
    assert_eq!(Client::to(&server).get("/").body, b"1");
    assert_eq!(server.hits("/"), 2);
}

#[test]
fn a_server_can_be_dropped_whatever_its_replies_wait_for() {
    let server = ScriptedServer::start();
    let latch = Latch::new();
    let replies = [
        Reply::hang(),
        Reply::raw_kept("1").then_when(&latch, "2"),
        Reply::json("1").then_after(Duration::from_secs(60), "2"),
        Reply::reset().held_by(&latch),
        Reply::json("1").held_by(&latch),
        Reply::json("1").latency(Duration::from_secs(60)),
        Reply::json("1").drip(Duration::from_secs(60)),
        Reply::json("1").stall_at(0),
        Reply::endless_body(),
        Reply::endless_headers(),
        // More than the buffers of a socket hold, and the client does not read.
        Reply::body(vec![0; 64 << 20]),
    ];
    let count = replies.len();
    server.on("/", replies);
    let mut clients: Vec<_> = (0..count).map(|_| Client::to(&server)).collect();
    clients.iter_mut().for_each(|client| client.ask("/"));
    server.wait_for(|stats| stats.requests == count);
    let dropping = Instant::now();
    drop(server);
    assert!(dropping.elapsed() < Duration::from_secs(5));
}

#[test]
#[should_panic(expected = "in_flight: 0")]
fn a_wait_that_times_out_panics_with_the_counters() {
    ScriptedServer::start().wait_at_most(Duration::ZERO, |stats| stats.in_flight > 0);
}

#[test]
fn a_callback_that_panics_costs_its_connection_only() {
    let server = ScriptedServer::start();
    server.otherwise(|path| {
        if path == "/bad" {
            panic!("on purpose")
        } else {
            Reply::json("1")
        }
    });
    let mut client = Client::to(&server);
    client.ask("/bad");
    assert!(client.answer().is_err());
    server.wait_for(|stats| stats.in_flight == 0 && stats.open_connections == 0);
    assert_eq!(Client::to(&server).get("/").body, b"1");
}

#[test]
fn a_proxy_passes_breaks_and_restores() {
    let server = serving(Reply::json("1"));
    let proxy = Proxy::to(server.addr());
    let mut before = Client::connect(proxy.addr()).expect("the proxy listens");
    assert_eq!(before.get("/").body, b"1");
    server.otherwise(|_| Reply::hang());
    before.ask("/");
    server.wait_in_flight(1);
    proxy.break_connections();
    assert!(before.answer().is_err());
    server.wait_for(|stats| stats.open_connections == 0);
    assert!(Client::connect(proxy.addr()).is_err());
    proxy.restore();
    server.otherwise(|_| Reply::json("2"));
    let mut after = Client::connect(proxy.addr()).expect("the proxy listens");
    assert_eq!(after.get("/").body, b"2");
    server.go_down();
    assert!(after.rest().is_ok_and(|rest| rest.is_empty()));
}

#[test]
fn urls_name_the_address_that_it_listens_on() {
    let server = ScriptedServer::start();
    assert_eq!(
        server.url(),
        format!("http://127.0.0.1:{}", server.addr().port())
    );
    let proxy = Proxy::to(server.addr());
    assert_eq!(
        proxy.url(),
        format!("http://127.0.0.1:{}", proxy.addr().port())
    );
}
