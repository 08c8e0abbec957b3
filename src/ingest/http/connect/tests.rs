//! Connects over real sockets, with addresses that a test gives to a host name, dead ones among them.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream as StdStream},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{RootCertStore, ServerConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::ingest::request::Request;

/// An address whose server swallows every attempt to connect: its queue is full.
struct DeadAddress {
    addr: SocketAddr,
    _listener: tokio::net::TcpListener,
    _queue: Vec<StdStream>,
}

impl DeadAddress {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any_port = (Ipv4Addr::LOCALHOST, 0).into();
        socket.bind(any_port).expect("a free port");
        let listener = socket.listen(1).expect("a listener");
        let addr = listener.local_addr().expect("an address");
        let mut queue = Vec::new();
        while let Ok(waiting) = StdStream::connect_timeout(&addr, Duration::from_millis(200)) {
            queue.push(waiting);
            assert!(queue.len() < 100, "the queue of {addr} never fills");
        }
        Self {
            addr,
            _listener: listener,
            _queue: queue,
        }
    }
}

/// An address that refuses connections: its server is gone.
fn refused() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// A server that accepts connections, and answers nothing.
fn live() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

/// A dialer that knows these host names only.
fn dialer(hosts: &[(&'static str, &[SocketAddr])]) -> Dialer {
    let hosts: HashMap<_, _> = hosts
        .iter()
        .map(|(host, addresses)| (*host, addresses.to_vec()))
        .collect();
    Dialer::with_lookup(Box::new(move |host, _| {
        let found = hosts.get(host).cloned();
        let unknown = || io::Error::other("no such name");
        async move { found.ok_or_else(unknown) }.boxed_local()
    }))
}

/// Where a connection leads; or the error.
async fn dial(dialer: &Dialer) -> Result<SocketAddr, String> {
    let tcp = timeout(Duration::from_secs(20), dialer.dial("host", 80)).await;
    let tcp = tcp.expect("it does not wait for a dead address")?;
    Ok(tcp.peer_addr().expect("a connected socket"))
}

#[actix_rt::test]
async fn a_dead_first_address_is_given_up_for_the_next_and_remembered() {
    let dead = DeadAddress::new();
    let (_listener, live) = live();
    let dialer = dialer(&[("host", &[dead.addr, live])]);
    assert_eq!(dial(&dialer).await, Ok(live));
    let remembered = |dialer: &Dialer| dialer.remembered(&("host".to_owned(), 80));
    assert_eq!(remembered(&dialer), Some(live));
    assert_eq!(dial(&dialer).await, Ok(live));
    assert_eq!(remembered(&dialer), Some(live));
}

#[actix_rt::test]
async fn a_refused_address_is_followed_by_the_next_and_the_last_error_names_them_all() {
    let (_listener, live) = live();
    let gone = [refused(), refused()];
    let lucky = dialer(&[("host", &[gone[0], gone[1], live])]);
    assert_eq!(dial(&lucky).await, Ok(live));
    let error = dial(&dialer(&[("host", &gone)])).await.expect_err("none");
    for part in [
        "host:80",
        "127.0.0.1: Connection refused",
        "check that a server runs",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[actix_rt::test]
async fn a_name_without_an_address_is_named_with_the_next_step() {
    for hosts in [&[][..], &[("host", &[][..])]] {
        let error = dial(&dialer(hosts)).await.expect_err("no address");
        for part in ["the host name `host` has no address", "check the name"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[actix_rt::test]
async fn an_attempt_too_short_for_the_second_address_leaves_it_to_the_next_attempt() {
    let dead = DeadAddress::new();
    let (_listener, live) = live();
    let dialer = dialer(&[("host", &[dead.addr, live])]);
    let too_short = timeout(Duration::from_millis(1), dialer.dial("host", 80)).await;
    assert!(too_short.is_err(), "nothing connects to a full queue");
    let first = dialer.remembered(&("host".to_owned(), 80));
    assert_eq!(first, Some(live));
}

#[actix_rt::test]
async fn an_address_that_died_since_it_was_remembered_costs_nothing_but_a_moment() {
    let (listener, first_live) = live();
    let (_listener, second_live) = live();
    let gone = refused();
    let dialer = dialer(&[("host", &[gone, first_live, second_live])]);
    assert_eq!(dial(&dialer).await, Ok(first_live));
    drop(listener);
    assert_eq!(dial(&dialer).await, Ok(second_live));
}

/// Serves one TLS connection as `api.test` after `prologue`, and answers with one byte. Returns what was read before TLS, and
/// what the client needs to trust the server.
struct TlsServer {
    addr: SocketAddr,
    tls: Tls,
    requested: tokio::task::JoinHandle<String>,
}

/// With `connect_answer`, the server is a proxy that answers to CONNECT with these bytes, and is then the server itself.
fn tls_server(connect_answer: Option<&'static str>) -> TlsServer {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["api.test".to_owned()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            signing_key.serialize_der().try_into().expect("a key"),
        )
        .expect("a configuration");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let (listener, addr) = live();
    listener.set_nonblocking(true).expect("non-blocking");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let requested = actix_rt::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a client");
        let mut request = Vec::new();
        if let Some(answer) = connect_answer {
            while !request.ends_with(b"\r\n\r\n") {
                request.push(tcp.read_u8().await.expect("a request"));
            }
            tcp.write_all(answer.as_bytes()).await.expect("written");
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        if let Ok(mut tls) = acceptor.accept(tcp).await {
            tls.write_all(b"!").await.expect("written");
            tls.flush().await.expect("written");
        }
        String::from_utf8(request).expect("text")
    });
    TlsServer {
        addr,
        tls: Tls::with_config(tls::trusting(roots).expect("a configuration")),
        requested,
    }
}

fn target(url: &str) -> Target {
    Target::new(Request::get(url)).expect("a URL")
}

#[actix_rt::test]
async fn tls_reaches_the_living_address_of_a_host() {
    let dead = DeadAddress::new();
    let server = tls_server(None);
    let connecting = Connecting {
        proxy: HttpProxy::none(),
        dialer: dialer(&[("api.test", &[dead.addr, server.addr])]),
        tls: server.tls,
    };
    let connected = connecting.connect(&target("https://api.test/v0")).await;
    let mut io = connected.expect("a connection").io;
    assert_eq!(io.read_u8().await.expect("a byte"), b'!');
}

#[actix_rt::test]
async fn a_tunnel_leads_through_the_living_address_of_a_proxy_to_the_server() {
    let dead = DeadAddress::new();
    let server = tls_server(Some(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n",
    ));
    let connecting = Connecting {
        proxy: HttpProxy::parse("http://al%40ice:s3cret@proxy.test:3128").expect("a proxy"),
        dialer: dialer(&[("proxy.test", &[dead.addr, server.addr])]),
        tls: server.tls,
    };
    let connected = connecting.connect(&target("https://api.test/v0")).await;
    let mut connected = connected.expect("a connection");
    assert!(connected.forwarder.is_none());
    assert_eq!(connected.io.read_u8().await.expect("a byte"), b'!');
    let request = server.requested.await.expect("a request");
    let lines: Vec<_> = request.split("\r\n").collect();
    assert_eq!(lines[0], "CONNECT api.test:443 HTTP/1.1");
    for line in [
        "Host: api.test:443",
        // al@ice:s3cret
        "Proxy-Authorization: Basic YWxAaWNlOnMzY3JldA==",
    ] {
        assert!(lines.contains(&line), "{line}: {request}");
    }
}

#[actix_rt::test]
async fn a_proxy_that_opens_no_tunnel_is_named_with_what_it_said() {
    for (answer, is_tried_again, parts) in [
        (
            "HTTP/1.1 407 No\r\n\r\n",
            false,
            &["HTTP status 407", "user name and password"][..],
        ),
        (
            "HTTP/1.1 403 Filtered\r\n\r\n",
            false,
            &["HTTP status 403", "api.test:443", "NO_PROXY"],
        ),
        (
            "HTTP/1.1 405 No\r\n\r\n",
            false,
            &["HTTP status 405", "NO_PROXY"],
        ),
        (
            "HTTP/1.1 502 Bad\r\n\r\n",
            true,
            &["HTTP status 502", "api.test:443"],
        ),
        ("HTTP/1.1 503 Busy\r\n\r\n", true, &["HTTP status 503"]),
        ("SSH-2.0-x\r\n\r\n", true, &["not HTTP"]),
        (
            "HTTP/1.1 200 OK\r\n\r\nsurplus",
            true,
            &["more than the head"],
        ),
    ] {
        let server = tls_server(Some(answer));
        let connecting = Connecting {
            proxy: HttpProxy::parse("http://alice:s3cret@proxy.test:3128").expect("a proxy"),
            dialer: dialer(&[("proxy.test", &[server.addr])]),
            tls: server.tls,
        };
        let connected = connecting.connect(&target("https://api.test/v0")).await;
        let error = connected.err().expect(answer);
        let is_retried = matches!(error, AttemptError::Connect(_));
        let error = error.to_string();
        assert_eq!(is_retried, is_tried_again, "{error}");
        for part in [
            &["the proxy proxy.test:3128 (from the setting proxy)"],
            parts,
        ]
        .concat()
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[actix_rt::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let connecting = Connecting {
        proxy: HttpProxy::parse("http://proxy.test:3128").expect("a proxy"),
        dialer: dialer(&[("proxy.test", &[refused()])]),
        tls: Tls::default(),
    };
    let connected = connecting.connect(&target("http://api.test/v0")).await;
    let error = connected.err().expect("no connection").to_string();
    assert!(
        error.contains("the proxy proxy.test:3128 (from the setting proxy)"),
        "{error}"
    );
}
