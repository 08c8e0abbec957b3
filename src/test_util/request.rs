//! Requests: how they are read from a connection, and what a test gets to see of them.

use super::connection::Connection;
use std::io::{self, ErrorKind, Read};
use std::time::Instant;

/// A request that the server has read.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, as a rule.
    pub method: String,
    /// The request target as sent: the path, and the query if there is one.
    pub path: String,
    /// Names and values as sent, in order.
    pub headers: Vec<(String, String)>,
    /// When its head had been read.
    pub at: Instant,
    /// The connection it came on, counted from 1 in the order in which they were accepted.
    pub connection: usize,
    pub(super) keep_alive: bool,
}

impl Request {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The next request's head, but for its last byte: that stays in the kernel until [`Request::take_rest`], because
    /// closing a socket with unread data is the one way std has to send a RST.
    ///
    /// # Errors
    /// The connection has ended, or what it carries is not HTTP/1.
    pub(super) fn read(connection: &Connection) -> io::Result<Self> {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let known = head.len();
            let fresh = connection.peek(&mut buffer)?;
            if fresh == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            head.extend_from_slice(&buffer[..fresh]);
            let from = known.saturating_sub(3);
            let end = head[from..]
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            let taken = end.map_or(fresh, |end| from + end + 3 - known);
            { connection }.read_exact(&mut buffer[..taken])?;
            if let Some(end) = end {
                head.truncate(from + end);
                return Self::parse(&head, connection.number)
                    .ok_or_else(|| ErrorKind::InvalidData.into());
            }
        }
    }

    fn parse(head: &[u8], connection: usize) -> Option<Self> {
        let head = String::from_utf8_lossy(head);
        let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
        let mut words = line.split(' ');
        let (method, path, version) = (words.next()?, words.next()?, words.next()?);
        let split = |field: &str| {
            let (name, value) = field.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: fields.split("\r\n").filter_map(split).collect(),
            at: Instant::now(),
            connection,
            keep_alive: version == "HTTP/1.1",
        };
        request.keep_alive &= !request
            .header("connection")
            .is_some_and(|v| v.eq_ignore_ascii_case("close"));
        Some(request)
    }

    /// Reads what [`Request::read`] left: the last byte of the head, and the body.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn take_rest(&self, connection: &Connection) -> io::Result<()> {
        let body = self
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let rest = 1 + body.unwrap_or(0);
        match io::copy(&mut connection.take(rest), &mut io::sink())? {
            taken if taken == rest => Ok(()),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

pub(super) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let header = headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    header.map(|(_, value)| value.as_str())
}
