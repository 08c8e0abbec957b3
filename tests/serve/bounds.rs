//! Bounds on what requests cost together.

use std::{
    io::{Read, Write},
    thread,
    time::Duration,
};

use diesel::connection::SimpleConnection;

use crate::{
    fixture::Mirror,
    http::{connect, get},
};

/// A database that can be locked for readers too, so that reads take as long as they may.
fn lockable() -> Mirror {
    let mirror = Mirror::empty();
    mirror.store_items([(1, r#"{"id":1}"#.into())]);
    mirror.execute("PRAGMA journal_mode = DELETE");
    mirror
}

fn locked(mirror: &Mirror) -> diesel::SqliteConnection {
    let mut conn = mirror.connect();
    conn.batch_execute("BEGIN EXCLUSIVE").unwrap();
    conn
}

#[test]
fn a_read_that_takes_too_long_ends_with_503_and_the_next_one_works() {
    let mirror = lockable();
    let served = mirror.serve_with(|config| config.reads.time = Duration::from_millis(200));
    let mut lock = locked(&mirror);
    let answer = get(&served.address, "/v0/item/1.json");
    answer.is_error(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    lock.batch_execute("COMMIT").unwrap();
    while get(&served.address, "/v0/item/1.json").status != 200 {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn more_reads_than_may_wait_are_refused() {
    let mirror = lockable();
    let served = mirror.serve_with(|config| {
        config.reads.at_once = 1;
        config.reads.waiting = 1;
        config.reads.time = Duration::from_millis(500);
    });
    let lock = locked(&mirror);
    let a = &served.address;
    let statuses = thread::scope(|scope| {
        let asking: Vec<_> = (1..=6)
            .map(|id| scope.spawn(move || get(a, &format!("/v0/item/{id}.json")).status))
            .collect();
        let statuses = asking.into_iter().map(|asking| asking.join().unwrap());
        statuses.collect::<Vec<_>>()
    });
    assert_eq!(statuses, [503; 6]);
    drop(lock);
    while get(a, "/v0/item/1.json").status != 200 {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_client_that_is_slow_to_ask_loses_its_connection() {
    let mirror = Mirror::empty();
    let served = mirror.serve_with(|config| {
        config.head_timeout = Duration::from_millis(50);
        config.keep_alive = Duration::from_millis(50);
    });
    for head in ["", "GET /v0/maxitem.json HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = connect(&served.address);
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
}

#[test]
fn a_client_that_is_slow_to_ask_again_loses_its_connection() {
    let mirror = Mirror::empty();
    let served = mirror.serve_with(|config| config.head_timeout = Duration::from_millis(50));
    let mut stream = connect(&served.address);
    let head = format!(
        "GET /v0/maxitem.json HTTP/1.1\r\nHost: {}\r\n",
        served.address
    );
    stream
        .write_all(format!("{head}\r\n{head}").as_bytes())
        .unwrap();
    let mut answers = String::new();
    // Ends long before a connection without a request does.
    let _ = stream.read_to_string(&mut answers);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
}

#[test]
fn a_body_is_no_request_whatever_it_looks_like() {
    let mirror = Mirror::empty();
    let served = mirror.serve();
    let host = &served.address;
    let get = format!("GET /v0/maxitem.json HTTP/1.1\r\nHost: {host}\r\n");
    let hidden = format!("{get}X: {}\r\n\r\n", "y".repeat((get.len() + 1) % 2));
    // If each quote became the three bytes `%22`, the body would end before the hidden request.
    assert!(hidden.len().is_multiple_of(2));
    let quotes = "\"".repeat(hidden.len() / 2);
    let body = format!("?{quotes} \r\n\r\n{hidden}");
    for method in ["GET", "POST"] {
        let requests = format!(
            "{method} /v0/maxitem.json HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}{get}Connection: close\r\n\r\n",
            body.len()
        );
        let mut stream = connect(host);
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answers = String::new();
        let _ = stream.read_to_string(&mut answers);
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    }
}

#[test]
fn a_client_that_never_reads_loses_its_connection() {
    let mirror = Mirror::empty();
    let text = "x".repeat(1 << 20);
    mirror.store_items([(1, format!(r#"{{"id":1,"text":"{text}"}}"#))]);
    let served = mirror.serve_with(|config| config.write_timeout = Duration::from_millis(50));
    let mut stream = connect(&served.address);
    let request = format!(
        "GET /v0/item/1.json HTTP/1.1\r\nHost: {}\r\n\r\n",
        served.address
    );
    stream.write_all(request.repeat(40).as_bytes()).unwrap();
    // A byte that a closed connection is sent makes the next one fail.
    while stream.write_all(b"\r\n").is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
}
