//! Asks a proxy for a tunnel to a server (`CONNECT`; RFC 9110, 9.3.6).

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::ingest::{
    config::ProxyServer,
    http::{error::AttemptError, target::Target},
};

/// The largest head of a proxy's answer.
const HEAD_MAX: usize = 16 * 1024;

/// The most header lines of a proxy's answer.
const HEADERS_MAX: usize = 64;

/// Makes a connection to a proxy a tunnel to the server of a target.
pub(super) async fn open(
    tcp: &mut TcpStream,
    proxy: &ProxyServer,
    target: &Target,
) -> Result<(), AttemptError> {
    let broke = |why: &str| AttemptError::Connect(format!("{proxy} opened no tunnel: {why}"));
    tcp.write_all(&request(proxy, target))
        .await
        .map_err(|error| broke(&error.to_string()))?;
    let mut head = Vec::with_capacity(1024);
    loop {
        let read = tcp.read_buf(&mut head).await;
        let read = read.map_err(|error| broke(&error.to_string()))?;
        if read == 0 {
            return Err(broke("it closed the connection without an answer"));
        }
        while let Some((code, len)) =
            parse(&head).map_err(|error| broke(&format!("its answer is not HTTP: {error}")))?
        {
            match code {
                100..200 => drop(head.drain(..len)),
                200..300 if len == head.len() => return Ok(()),
                // The server speaks only after its client has, so these bytes are not the server's.
                200..300 => return Err(broke("it sent more than the head of its answer")),
                code => return Err(refusal(code, proxy, target)),
            }
        }
        if head.len() > HEAD_MAX {
            return Err(broke("its answer is too large"));
        }
    }
}

fn request(proxy: &ProxyServer, target: &Target) -> Vec<u8> {
    let (host, port) = (target.host(), target.port());
    let mut request = format!(
        "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {}\r\n",
        super::super::USER_AGENT
    )
    .into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// The status and the length of the head, if it is whole.
fn parse(head: &[u8]) -> Result<Option<(u16, usize)>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(head)?;
    Ok(match (parsed, response.code) {
        (httparse::Status::Complete(len), Some(code)) => Some((code, len)),
        _ => None,
    })
}

/// The error for a proxy that answers with another status than success.
fn refusal(code: u16, proxy: &ProxyServer, target: &Target) -> AttemptError {
    // tinyproxy answers 401 to a wrong password.
    if matches!(code, 401 | 407) {
        return AttemptError::wants_other_credentials(proxy, code);
    }
    let server = format!("{}:{}", target.host(), target.port());
    let mut why = format!("{proxy} refuses a tunnel to {server} with HTTP status {code}");
    match code {
        // These may pass. The others mean that the proxy does not want this server, or is no proxy for https.
        408 | 425 | 429 | 500 | 502..=504 | 506..=599 => AttemptError::Connect(why),
        _ => {
            why.push_str(
                "; check that this proxy serves that server, or make it an exception in NO_PROXY",
            );
            AttemptError::Proxy(why)
        }
    }
}
