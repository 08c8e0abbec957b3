//! Tests how hyper and this connection interpret the bytes of a server.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{sleep, timeout},
};

use super::*;
use crate::ingest::request::Request;

fn target() -> Target {
    Target::new(Request::get("http://host/path?query")).expect("a URL")
}

/// A connection, and the server's end of it.
async fn connect() -> (HttpConnection, DuplexStream) {
    let (ours, theirs) = duplex(1024 * 1024);
    let connected = Connected {
        io: Box::new(ours),
        forwarder: None,
    };
    let connection = HttpConnection::new(connected, &target()).await;
    (connection.expect("a connection"), theirs)
}

async fn read_request(server: &mut DuplexStream) -> String {
    let mut request = vec![0; 1024];
    let length = server.read(&mut request).await.expect("a request");
    request.truncate(length);
    String::from_utf8(request).expect("text")
}

/// Makes a request. Returns the status and the body, or the error.
async fn get(connection: &mut HttpConnection) -> String {
    let answer = async {
        let status = connection.send(&target()).await?;
        let mut text = status.as_u16().to_string();
        while let Some(part) = connection.next_part().await? {
            text.push(' ');
            text.push_str(&String::from_utf8_lossy(&part));
        }
        Ok::<_, ConnectionError>(text)
    };
    match timeout(Duration::from_secs(5), answer).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => AttemptError::from(error)
            .to_string()
            .replace("the connection broke", "broke"),
        Err(_) => "nothing came".to_owned(),
    }
}

/// Answers a request with `bytes`. Returns the answer as it was received, and whether the connection can be used again.
async fn answer_to(bytes: &[u8], then_closes: bool) -> (String, bool) {
    let (mut connection, mut server) = connect().await;
    let serve = async {
        read_request(&mut server).await;
        server.write_all(bytes).await.expect("written");
        if then_closes {
            server.shutdown().await.expect("closed");
        }
    };
    let (answer, ()) = tokio::join!(get(&mut connection), serve);
    let is_reusable = !connection.is_closed() && connection.is_reusable();
    (answer, is_reusable)
}

#[actix_rt::test]
async fn a_request_names_path_host_and_program() {
    let (mut connection, mut server) = connect().await;
    let serve = async {
        let request = read_request(&mut server).await;
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        server.write_all(answer).await.expect("written");
        request
    };
    let (answer, request) = tokio::join!(get(&mut connection), serve);
    assert_eq!(answer, "204");
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /path?query HTTP/1.1\r\nhost: host\r\nuser-agent: hn-ingest/{version}\r\naccept-encoding: identity\r\n\r\n"
    );
    assert_eq!(request, expected);
}

#[actix_rt::test]
async fn a_connection_that_was_not_used_yet_is_kept() {
    let (connection, _server) = connect().await;
    assert!(connection.is_reusable());
}

#[actix_rt::test]
async fn an_answer_is_framed_as_rfc_9112_requires() {
    const OPEN: bool = false;
    const CLOSES: bool = true;
    let many = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nhi",
        "A: b\r\n".repeat(255)
    );
    let too_many = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nhi",
        "A: b\r\n".repeat(256)
    );
    let large = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: {}\r\n\r\nhi",
        "b".repeat(40_000)
    );
    let too_large = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: {}\r\n\r\nhi",
        "b".repeat(200_000)
    );
    #[rustfmt::skip]
    let table: &[(&str, bool, &str, bool)] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OPEN, "200", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OPEN, "200", true),
        ("HTTP/1.1 200 OK\r\n\r\nhi", CLOSES, "200 hi", false),
        ("HTTP/1.1 200 OK\r\n\r\n", CLOSES, "broke: the body was cut short", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", OPEN, "200 hi", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", OPEN, "200 hi", true),
        // 6.1: HTTP/1.0 has no transfer codings.
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", OPEN, "broke: unexpected transfer-encoding parsed (the header Transfer-Encoding in an answer that cannot have it)", false),
        // 6.1: Transfer-Encoding counts, and the connection is closed.
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", OPEN, "200 hi", false),
        // 6.3, 5: lengths that differ are an error; the same one twice is not.
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", OPEN, "broke: invalid content-length parsed (the header Content-Length is no number, or two of them differ)", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi", OPEN, "broke: invalid content-length parsed (the header Content-Length is no number, or two of them differ)", false),
        // 6.3, 1: these have no body, whatever their head says.
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", OPEN, "204", true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", OPEN, "304", true),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", OPEN, "304", true),
        ("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\nxyz", OPEN, "101", false),
        ("HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        // Surplus bytes.
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!", OPEN, "200 hi", false),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", OPEN, "204", false),
        // A length that is no number is an error even if Transfer-Encoding counts.
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", OPEN, "broke: invalid content-length parsed: `Content-Length: x`", false),
        // 5.2: folded lines.
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        (&many, OPEN, "200 hi", true),
        (&too_many, OPEN, "broke: message head is too large (more than 256 lines or 64 KiB)", false),
        (&large, OPEN, "200 hi", true),
        (&too_large, OPEN, "broke: message head is too large (more than 256 lines or 64 KiB)", false),
        ("HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n  d\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nA:\r\n b\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        // 5.1: a space before the colon is removed.
        ("HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi", OPEN, "200 hi", true),
        // Lines that are no headers are skipped.
        ("HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nA B: c\r\n: d\r\nX[]: 1\r\nE\u{e9}: f\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nA: b\u{e9}\u{1}c\r\nContent-Length: 2\r\n\r\nhi", OPEN, "200 hi", true),
        ("HTTP/1.1 200 OK\r\nA: b\r\nX-Bad: c\rd\r\nContent-Length: 2\r\n\r\nhi", OPEN, "broke: invalid HTTP header parsed (the header X-Bad holds a NUL, or a CR that ends no line)", false),
        ("HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 2\r\n\r\nhi", OPEN, "broke: invalid HTTP header parsed (the header A holds a NUL, or a CR that ends no line)", false),
        ("HTTP/1.1 2x0 OK\r\n\r\n", OPEN, "broke: invalid HTTP status-code parsed", false),
        ("HTTP/2 200\r\n\r\n", OPEN, "broke: invalid HTTP version parsed", false),
        ("SSH-2.0-x\r\n", OPEN, "broke: invalid HTTP version parsed", false),
        ("HTTP/1.1 20", CLOSES, "broke: connection closed before message completed", false),
        ("", CLOSES, "broke: connection closed before message completed", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", CLOSES, "broke: error reading a body from connection: end of file before message length reached", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", CLOSES, "broke: error reading a body from connection: unexpected EOF during chunk size line", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", OPEN, "broke: error reading a body from connection: Invalid chunk size line: missing size digit", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi", CLOSES, "200 hi", false),
    ];
    let mut wrong = String::new();
    for &(bytes, closes, answer, is_reusable) in table {
        let received = answer_to(bytes.as_bytes(), closes).await;
        if received != (answer.to_owned(), is_reusable) {
            let head: String = bytes.chars().take(120).collect();
            wrong.push_str(&format!("{head:?} closes {closes}: {received:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Makes two requests. After the first, the server sends `before` while the connection is idle, sends `after` as the second
/// answer, and closes the connection. Returns the second answer, and whether the connection is known to be closed afterwards.
async fn second_answer(before: &str, after: &str) -> (String, bool) {
    let (mut connection, mut server) = connect().await;
    let serve = async {
        read_request(&mut server).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        server.write_all(answer).await.expect("written");
    };
    let (first, ()) = tokio::join!(get(&mut connection), serve);
    assert_eq!(first, "200 hi");
    assert!(connection.is_reusable());
    server.write_all(before.as_bytes()).await.expect("written");
    let serve = async {
        if before.is_empty() {
            read_request(&mut server).await;
        }
        // This fails if the connection was closed because of the bytes before.
        let _ = server.write_all(after.as_bytes()).await;
        drop(server);
    };
    let (second, ()) = tokio::join!(get(&mut connection), serve);
    sleep(Duration::from_millis(1)).await;
    (second, connection.is_closed())
}

#[actix_rt::test]
async fn only_a_kept_connection_without_a_byte_of_an_answer_is_stale() {
    const STALE: &str = "the server closed the connection after an earlier answer";
    const TIMED_OUT: &str =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    #[rustfmt::skip]
    let table = [
        ("", "", STALE),
        ("", TIMED_OUT, STALE),
        ("", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "408"),
        // Bytes that come while the connection is idle close it before the request is sent.
        (TIMED_OUT, "", STALE),
        ("!", "", STALE),
        ("", "HTTP/1.1 2", "broke: connection closed before message completed"),
        ("", "garbage\r\n\r\n", "broke: invalid HTTP version parsed"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", "broke: connection closed before message completed"),
    ];
    let mut wrong = String::new();
    for (before, after, answer) in table {
        let received = second_answer(before, after).await;
        if received != (answer.to_owned(), true) {
            wrong.push_str(&format!("{before:?} {after:?}: {received:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
