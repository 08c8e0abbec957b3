//! `serve`: the mirror as a server of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::ChildStderr,
};

use crate::{
    common::{Api, Running, Sandbox, wait_until},
    watched_services::fast_clock,
};

/// A running server, the rest of its stderr, and its address.
pub(crate) struct Served {
    pub(crate) running: Running,
    stderr: BufReader<ChildStderr>,
    /// What it said until it served.
    pub(crate) said: String,
    address: String,
}

impl Served {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let args = [&["serve", "--bind", "127.0.0.1:0"], args].concat();
        Self::of(sandbox.call(&args).start())
    }

    pub(crate) fn of(mut running: Running) -> Self {
        let mut stderr = BufReader::new(running.child().stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("http://") {
            assert!(
                stderr.read_line(&mut said).unwrap() > 0,
                "it says no address"
            );
        }
        let (_, url) = said.split_once("http://").unwrap();
        let address = url.trim_end().trim_end_matches('/').to_owned();
        Self {
            running,
            stderr,
            said,
            address,
        }
    }

    /// Reads its stderr until a line has this text.
    pub(crate) fn read_until(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ends");
        }
    }

    pub(crate) fn get(&self, path: &str) -> String {
        get(&self.address, &self.address, path)
    }
}

fn get(address: &str, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn it_serves_what_was_fetched_until_a_signal_and_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox
        .ingest(&Api::of_stories(), &["items", "1", "2"])
        .exits(0);
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut served = Served::start(&sandbox, &[]);
        assert!(body(&served.get("/v0/item/2.json")).contains("\"id\":2"));
        assert_eq!(body(&served.get("/v0/maxitem.json")), "2");
        assert!(served.get("/health").starts_with("HTTP/1.1 200"));
        let metrics = served.get("/metrics");
        assert!(
            metrics.contains("serve_responses_total{status=\"2xx\"} 3"),
            "{metrics}"
        );
        // A connection that is kept and a stream do not hold it up.
        let _kept = TcpStream::connect(&served.address).unwrap();
        let mut stream = TcpStream::connect(&served.address).unwrap();
        let head =
            "GET /v0/maxitem.json HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        served.running.signal(name);
        let finished = served.running.wait();
        let mut rest = String::new();
        served.stderr.read_to_string(&mut rest).unwrap();
        finished.exits(code);
        assert_eq!(rest, "");
    }
    assert_eq!(sandbox.files(), ["hn.db"]);
}

#[test]
fn it_refuses_a_missing_database_a_taken_port_and_bad_values() {
    let sandbox = Sandbox::new();
    let bind = ["serve", "--bind"];
    let refuses = |args: &[&str], parts: &[&str]| {
        sandbox.run(&[&bind, args].concat()).refuses(parts);
    };
    refuses(&["127.0.0.1:0"], &["there is no database hn.db"]);
    assert!(sandbox.files().is_empty());
    refuses(
        &["localhost"],
        &["--bind", "`localhost`", "an address and a port"],
    );
    refuses(
        &["127.0.0.1:0", "--allow-host", "a b"],
        &["--allow-host", "`a b`"],
    );
    let variable = sandbox.call(&["serve"]).env("INGEST_BIND", "x");
    variable.run().refuses(&["INGEST_BIND", "`x`"]);
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    refuses(&[&taken], &["cannot serve at", &taken, "--bind"]);
}

#[test]
fn it_answers_to_the_hosts_that_are_named_and_warns_when_others_can_reach_it() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let named = ["--allow-host", "a.example", "--allow-host", "b.example"];
    let served = Served::start(&sandbox, &named);
    for (host, status) in [
        ("a.example", "200"),
        ("b.example:80", "200"),
        ("localhost", "200"),
        ("c.example", "403"),
    ] {
        let answer = get(&served.address, host, "/v0/maxitem.json");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{host}: {answer}"
        );
    }
    let mut exposed = sandbox.call(&["serve", "--bind", "0.0.0.0:0"]).start();
    let mut stderr = BufReader::new(exposed.child().stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("WARN") && line.contains("0.0.0.0:"), "{line}");
    assert!(line.contains("can read all of the database"), "{line}");
}

#[test]
fn a_demo_fills_its_own_database_while_it_serves() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &["--demo"]);
    wait_until("the first items are there", || {
        let ids = served.get("/v0/topstories.json");
        let mut first = body(&ids).trim_matches(['[', ']']).split(',').take(10);
        // The demo goes on, so the list may have changed since its first items were stored.
        first.any(|id| {
            let item = served.get(&format!("/v0/item/{id}.json"));
            body(&item).contains("\"type\":\"story\"")
        })
    });
    served.running.signal("TERM");
    served.running.wait().exits(143);
    assert_eq!(sandbox.files(), ["hn-demo.db"]);
}

#[test]
fn an_api_that_cannot_be_followed_does_not_end_the_server() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let nothing = [
        "--follow",
        "--api-url",
        "http://127.0.0.1:1/v0",
        "--attempts",
        "1",
    ];
    let args = [&["serve", "--bind", "127.0.0.1:0"][..], &nothing].concat();
    let call = sandbox.call(&args).env("INGEST_TEST_CLOCK", fast_clock());
    let mut served = Served::of(call.start());
    served.read_until("following begins again in a minute");
    wait_until("it is unhealthy", || {
        served.get("/health").starts_with("HTTP/1.1 503 ")
    });
    assert!(body(&served.get("/v0/item/1.json")).contains("\"id\":1"));
    served.running.signal("TERM");
    served.running.wait().exits(143);
}
