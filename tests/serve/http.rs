//! A plain HTTP client that sends what it is given, however odd.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// A read that takes longer hangs.
const HANG_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self {
            status: status.and_then(|status| status.parse().ok()).unwrap_or(0),
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(key, _)| key == name);
        header.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it is an error in Firebase's form.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert!(json["error"].is_string(), "{self:?}");
        assert_eq!(json.as_object().unwrap().len(), 1, "{self:?}");
    }
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG_LIMIT)).unwrap();
    stream
}

/// Sends a request as it is given, and reads until the server closes the connection.
pub(crate) fn send(address: &str, request: &str) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // The server may close a connection whose request it does not read to the end.
    let _ = stream.read_to_end(&mut bytes);
    Answer::parse(bytes)
}

/// A request of this method with these header lines.
pub(crate) fn request(address: &str, method: &str, path: &str, headers: &[&str]) -> Answer {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    send(
        address,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
        ),
    )
}

pub(crate) fn get(address: &str, path: &str) -> Answer {
    request(address, "GET", path, &[])
}

/// The JSON at a path below `/v0/`, without `.json`.
#[track_caller]
pub(crate) fn json(address: &str, path: &str) -> Value {
    let answer = get(address, &format!("/v0/{path}.json"));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// An open event stream.
pub(crate) struct Events {
    lines: BufReader<TcpStream>,
    /// The text of the chunks that are not read as events yet.
    text: String,
}

impl Events {
    /// Asks for a stream, and follows a redirect as clients of Firebase do.
    pub(crate) fn open(address: &str, path: &str) -> Self {
        Self::try_open(address, path).expect("a stream")
    }

    /// `None` if the server has no room for another one.
    pub(crate) fn try_open(address: &str, path: &str) -> Option<Self> {
        let mut stream = connect(address);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n"
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        if let Some((_, place)) = head.split_once("location: http://") {
            assert!(head.starts_with("HTTP/1.1 307"), "{head}");
            let place = place.split_once("\r\n").unwrap().0;
            let (address, path) = place.split_once('/').unwrap();
            return Self::try_open(address, &format!("/{path}"));
        }
        if head.starts_with("HTTP/1.1 503") {
            return None;
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(
            head.contains("content-type: text/event-stream\r\n"),
            "{head}"
        );
        Some(Self {
            lines,
            text: String::new(),
        })
    }

    /// The name and the data of the next event. `None` if the stream has ended.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let text = self.text.replace("\r\n", "\n");
            if let Some((event, rest)) = text.split_once("\n\n") {
                let mut lines = event.lines();
                let name = lines.next().unwrap().strip_prefix("event: ").unwrap();
                let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
                let event = (name.to_owned(), serde_json::from_str(data).unwrap());
                self.text = rest.to_owned();
                return Some(event);
            }
            let mut size = String::new();
            self.lines.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim_end(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            self.lines.read_exact(&mut chunk).ok()?;
            if size == 0 {
                return None;
            }
            self.text += std::str::from_utf8(&chunk[..size]).unwrap();
        }
    }
}
