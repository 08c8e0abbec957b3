//! Requests: how the server reads them, and what a test sees of them.

use std::{
    io::{self, ErrorKind, Read},
    time::Instant,
};

use super::connection::AcceptedConnection;

/// A request that the server has read.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The request target as sent: the path, and the query if there is one.
    pub path: String,
    /// Names and values as sent, in their order.
    pub headers: Vec<(String, String)>,
    /// The body. Empty if there is none, and if the reply is a [reset](super::Reply::reset).
    pub body: Vec<u8>,
    /// When the server had read its head.
    pub at: Instant,
    /// The number of its connection. Connections are counted from 1 in the order in which they were accepted.
    pub connection: usize,
    /// Whether the client wants to keep the connection.
    pub(super) keep_alive: bool,
}

impl Request {
    /// The first header of that name. Upper and lower case are the same.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// Reads the next request's head, but for its last byte. [`Request::read_rest`] reads that one.
    ///
    /// The byte stays in the kernel because a socket that is closed with unread data sends a RST, and the standard library
    /// has no other way to send one.
    ///
    /// # Errors
    /// The connection has ended, or what it carries is not HTTP/1.
    pub(super) fn read(connection: &AcceptedConnection) -> io::Result<Self> {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read_before = head.len();
            let peeked = connection.peek(&mut buffer)?;
            if peeked == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            head.extend_from_slice(&buffer[..peeked]);
            // The blank line may have begun in the bytes before.
            let from = read_before.saturating_sub(3);
            let end = head[from..]
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            let to_read = end.map_or(peeked, |end| from + end + 3 - read_before);
            { connection }.read_exact(&mut buffer[..to_read])?;
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
        let method = words.next()?;
        let path = words.next()?;
        let version = words.next()?;
        let split_field = |field: &str| {
            let (name, value) = field.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: fields.split("\r\n").filter_map(split_field).collect(),
            body: Vec::new(),
            at: Instant::now(),
            connection,
            keep_alive: version == "HTTP/1.1",
        };
        request.keep_alive &= !request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Some(request)
    }

    /// Reads what [`Request::read`] left: the last byte of the head, and the body.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn read_rest(&mut self, connection: &AcceptedConnection) -> io::Result<()> {
        let length = self
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        { connection }.read_exact(&mut [0])?;
        let read = { connection }.take(length).read_to_end(&mut self.body)?;
        if read as u64 == length {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }
}

/// The value of the first header of that name. Upper and lower case are the same.
pub(super) fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let header = headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    header.map(|(_, value)| value.as_str())
}
