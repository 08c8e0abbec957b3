//! How a host with several addresses is reached, and what a failure to connect says.

use std::{
    net::{Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use hn_ingest::Report;
use tokio::net::{TcpListener, TcpSocket};

use crate::{
    fixture::{Fixture, NotesSink, NotesSource, failure},
    support::in_system,
};

/// A port of `::1` that swallows every attempt to connect: its queue is full.
struct DeadIpv6 {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl DeadIpv6 {
    /// `None` if this machine has no IPv6.
    fn on(port: u16) -> Option<Self> {
        let addr = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let socket = TcpSocket::new_v6().ok()?;
        socket.bind(addr).ok()?;
        let listener = socket.listen(1).ok()?;
        let mut queue = Vec::new();
        while let Ok(waiting) = TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
            queue.push(waiting);
            assert!(queue.len() < 100, "the queue of {addr} never fills");
        }
        Some(Self {
            _listener: listener,
            _queue: queue,
        })
    }
}

/// Ingests from a base URL other than the server's own.
async fn ingest_from(fixture: &Fixture, base: String, ids: Vec<i64>) -> Report<i64> {
    let builder = fixture.builder_of(NotesSource::at(base), NotesSink);
    builder.start().await.unwrap().run(ids).await.unwrap()
}

#[test]
fn a_host_with_a_dead_ipv6_address_is_reached_over_ipv4_in_the_first_attempt() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    // Of the name's two addresses, ::1 and 127.0.0.1, only the second one has the server.
    let port = fixture.server.addr().port();
    let base = format!("http://notes.localhost:{port}");
    let report = in_system(async {
        let dead = DeadIpv6::on(port);
        if dead.is_none() {
            println!("there is no dead address in this test, because this machine has no IPv6");
        }
        ingest_from(&fixture, base, (1..=50).collect()).await
    });
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.attempts), (50, 50));
}

#[test]
fn attempts_too_short_for_a_second_address_begin_with_another_one_each() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 4;
    fixture.config.timeout = Duration::from_millis(200);
    fixture.config.workers = 1;
    let port = fixture.server.addr().port();
    let report = in_system(async {
        let _dead = DeadIpv6::on(port);
        ingest_from(
            &fixture,
            format!("http://notes.localhost:{port}"),
            vec![1, 2],
        )
        .await
    });
    assert_eq!(report.totals.stored, 2, "{:?}", report.failures);
}

#[test]
fn a_host_where_nothing_listens_is_named_with_its_addresses_and_the_next_step() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 2;
    fixture.server.go_down();
    let port = fixture.server.addr().port();
    let base = format!("http://notes.localhost:{port}");
    let report = in_system(ingest_from(&fixture, base, vec![1]));
    assert_eq!(failure(&report, 1), ("connect", 2));
    let message = &report.failures[0].message;
    for part in [
        &format!("cannot connect: notes.localhost:{port}"),
        "127.0.0.1: ",
        "::1: ",
        "check that a server runs there",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn an_attempt_without_a_connection_names_where_it_should_have_led() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    fixture.config.timeout = Duration::from_millis(100);
    fixture.server.go_down();
    let port = fixture.server.addr().port();
    let report = in_system(async {
        let Some(_dead) = DeadIpv6::on(port) else {
            println!("skipped, because this machine has no IPv6");
            return None;
        };
        Some(ingest_from(&fixture, format!("http://[::1]:{port}"), vec![1]).await)
    });
    let Some(report) = report else { return };
    assert_eq!(failure(&report, 1), ("timeout", 1));
    let message = &report.failures[0].message;
    assert_eq!(
        message,
        &format!("no connection to [::1]:{port} within 100ms")
    );
}
