//! `mock-api`: the embedded API as a server of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use crate::common::{Call, Running, Sandbox, counts, words};

/// A graceful shutdown waits for open requests for 30 s. An end within this time is not one, however busy the machine is.
const NO_GRACEFUL_SHUTDOWN: Duration = Duration::from_secs(15);

/// A running mock API, and its base URL.
fn mock_api(sandbox: &Sandbox, args: &[&str]) -> (Running, String) {
    let args = [&["mock-api", "--port", "0"], args].concat();
    started(sandbox.call(&args))
}

fn started(call: Call) -> (Running, String) {
    let mut running = call.start();
    let stdout = running.child().stdout.take().unwrap();
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let url = line.strip_suffix('\n').expect("one line").to_owned();
    let port = url
        .strip_prefix("http://127.0.0.1:")
        .and_then(|rest| rest.strip_suffix("/v0"));
    assert!(
        port.is_some_and(|port| port.parse::<u16>().is_ok()),
        "{line}"
    );
    (running, url)
}

/// Sends a request for a document below the base URL.
fn send_request(base: &str, path: &str) -> TcpStream {
    let host = base
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix("/v0"))
        .unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET /v0/{path}.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream
}

fn get(base: &str, path: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    send_request(base, path).read_to_end(&mut answer).unwrap();
    let head = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    answer.split_off(head + 4)
}

#[test]
fn the_mock_api_prints_its_url_and_a_signal_ends_it_without_waiting_for_a_hung_request() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sandbox = Sandbox::new();
        let (running, url) = mock_api(&sandbox, &["--hang-rate", "1"]);
        let _hung = send_request(&url, "item/1");
        running.signal(name);
        running.wait_within(NO_GRACEFUL_SHUTDOWN).exits(code);
        assert!(sandbox.files().is_empty(), "it needs no database");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_signal_ends_a_mock_api_whose_address_is_not_read() {
    let sandbox = Sandbox::new();
    let (_unread, full) = std::io::pipe().unwrap();
    // Less than the address is left of what a pipe holds (64 KiB).
    (&full).write_all(&[b'x'; 65_536]).unwrap();
    let running = sandbox.call(&["mock-api"]).stdout(full).start();
    running.wait_until_a_pipe_blocks_it();
    running.signal("TERM");
    running.wait().exits(143);
}

#[cfg(target_os = "linux")]
#[test]
fn a_mock_api_that_cannot_print_its_address_ends_and_says_why() {
    let sandbox = Sandbox::new();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let finished = sandbox.call(&["mock-api"]).stdout(full).run().exits(1);
    let why = "cannot write to standard output: No space left";
    assert!(finished.stderr.contains(why), "{finished:?}");
}

#[test]
fn the_same_seed_serves_the_same_bytes_and_another_seed_others() {
    let sandbox = Sandbox::new();
    let serve = |seed| mock_api(&sandbox, &["--seed", seed, "--max-item", "50000000"]);
    let [one, again, other] = ["7", "7", "8"].map(serve);
    let all = |base: &str| {
        let items = (49_999_900..49_999_930).map(|id| format!("item/{id}"));
        let names = ["maxitem", "topstories", "jobstories", "updates"].map(str::to_owned);
        items
            .chain(names)
            .map(|path| get(base, &path))
            .collect::<Vec<_>>()
    };
    let bytes = all(&one.1);
    assert_eq!(bytes, all(&again.1));
    assert_ne!(bytes, all(&other.1));
    let max: Value = serde_json::from_slice(&get(&one.1, "maxitem")).unwrap();
    assert_eq!(max, 50_000_000);
}

#[test]
fn a_live_mock_api_goes_on_and_ends_its_event_streams_at_a_signal() {
    let sandbox = Sandbox::new();
    let flags = words("--live 60/s --speed 60 --live-start 2026-01-31T12:00:00Z --seed 7");
    let (running, url) = mock_api(&sandbox, &flags);
    let newest = || -> i64 { serde_json::from_slice(&get(&url, "maxitem")).unwrap() };
    let first = newest();
    while newest() < first + 100 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let item: Value = serde_json::from_slice(&get(&url, "item/1000060")).unwrap();
    assert_eq!(item["time"], 1_769_860_801, "one second after the start");

    let mut stream = BufReader::new(max_item_stream(&url));
    let mut line = String::new();
    while !line.starts_with("event: put") {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    running.signal("TERM");
    running.wait_within(NO_GRACEFUL_SHUTDOWN).exits(143);
}

/// The stream of the largest id, behind its redirect.
fn max_item_stream(url: &str) -> TcpStream {
    let head = b"GET /v0/maxitem.json HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    let address = |url: &str| url.split('/').nth(2).unwrap().to_owned();
    let mut asked = BufReader::new(TcpStream::connect(address(url)).unwrap());
    asked.get_mut().write_all(head).unwrap();
    let mut lines = asked.lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("307"));
    let place = lines.find_map(|line| line.strip_prefix("location: ").map(str::to_owned));
    let mut stream = TcpStream::connect(address(&place.unwrap())).unwrap();
    stream.write_all(head).unwrap();
    stream
}

#[test]
fn a_stream_that_is_cut_on_demand_is_no_error_on_stderr_unless_logs_are_asked_for() {
    for (filter, is_logged) in [("", false), ("error", true)] {
        let sandbox = Sandbox::new();
        let flags = words("mock-api --port 0 --live 60/s --speed 60 --stream-cut-rate 1");
        let call = sandbox.call(&flags).env("RUST_LOG", filter);
        let (running, url) = started(call);
        let mut all = Vec::new();
        // A cut breaks the connection.
        let _ = max_item_stream(&url).read_to_end(&mut all);
        running.signal("TERM");
        let finished = running.wait_within(NO_GRACEFUL_SHUTDOWN).exits(143);
        assert_eq!(!finished.stderr.is_empty(), is_logged, "{finished:?}");
    }
}

#[test]
fn items_that_the_mock_api_breaks_are_fetched_in_the_end() {
    let sandbox = Sandbox::new();
    let faults = words("--fail-rate 0.2 --reset-rate 0.1 --truncate-rate 0.1 --latency 0ms..2ms");
    let (_running, url) = mock_api(&sandbox, &faults);
    let args = [
        "best",
        "--limit",
        "60",
        "--attempts",
        "40",
        "--backoff",
        "1ms",
        "--api-url",
        &url,
        "--format",
        "json",
    ];
    let report = sandbox.run(&args).exits(0).report();
    assert_eq!(counts(&report), [60, 0, 0, 0]);
    assert!(report["retries"].as_u64().unwrap() > 0, "{report}");
}
