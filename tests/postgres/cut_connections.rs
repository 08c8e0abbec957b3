//! A connection that is cut when a commit was sent and its answer is on the way: the batch is written again, and nothing counts
//! twice.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::{
    common::{Api, Sandbox, counts},
    server::{DATABASE, PASSWORD, Server},
};

/// Passes on what comes in at a port of its own. Cuts some connections right after a commit of several statements.
struct Proxy {
    port: u16,
    cuts: &'static AtomicUsize,
}

impl Proxy {
    /// Cuts every `nth` commit until it has cut `cuts`.
    fn start(server_port: u16, nth: usize, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let commits: &'static AtomicUsize = Box::leak(Box::default());
        let done: &'static AtomicUsize = Box::leak(Box::default());
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else {
                    continue;
                };
                let is_cut = move || {
                    let number = commits.fetch_add(1, Ordering::Relaxed) + 1;
                    number.is_multiple_of(nth) && done.fetch_add(1, Ordering::Relaxed) < cuts
                };
                thread::spawn(move || pass_on(client, server, is_cut));
            }
        });
        Self { port, cuts: done }
    }
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, is_cut: impl Fn() -> bool) {
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    let answers = thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let bytes = &buffer[..length];
        let is_commit = bytes.windows(6).any(|word| word == b"COMMIT");
        if is_commit && is_cut() {
            // The answer no longer reaches the client, and the server commits all the same.
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.write_all(bytes);
            break;
        }
        if server.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
    let _ = answers.join();
}

#[test]
fn a_commit_whose_answer_is_lost_is_made_again_and_counts_once() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    sandbox
        .ingest(&api, &["items", "1", "--database", &server.url(DATABASE)])
        .exits(0);
    for id in (2..=300).step_by(3) {
        api.item(id, [hn_ingest::test_util::Reply::json("null")]);
    }
    let proxy = Proxy::start(server.port(), 3, 5);
    let url = format!(
        "postgres://postgres:{PASSWORD}@127.0.0.1:{}/{DATABASE}",
        proxy.port
    );
    let ids: Vec<_> = (1..=300).map(|id: i64| id.to_string()).collect();
    let args = ["items", "--batch", "10", "--database", &url];
    let args: Vec<&str> = args
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    let finished = sandbox.ingest(&api, &args).exits(0);
    assert_eq!(counts(&finished.report()), [200, 100, 0, 0]);
    assert!(proxy.cuts.load(Ordering::Relaxed) >= 5, "nothing was cut");
    assert_eq!(server.number("SELECT count(*) FROM items"), 200);
    assert_eq!(server.number("SELECT count(*) FROM item_history"), 0);
    assert_eq!(
        server.text("SELECT count(*) || ' ' || max(checks) FROM absent"),
        "100 1"
    );
}
