//! Asking a running binary for its metrics and its health.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use super::binary::Running;

pub(crate) fn get(address: &str, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x"))
}

/// Sends a request with this head.
pub(crate) fn ask(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The address that a process with `RUST_LOG=hn_ingest=info` says it serves at.
pub(crate) fn address_of(running: &mut Running) -> String {
    let stderr = running.child().stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let address = lines.find_map(|line| {
        let (_, url) = line.split_once("metrics are at http://")?;
        Some(url.split_once('/')?.0.to_owned())
    });
    address.unwrap()
}
