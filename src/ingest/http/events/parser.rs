//! The parser of server-sent events (WHATWG HTML, 9.2.6). Pure: bytes in, events out.
//!
//! No input is malformed by these rules: what is unknown is ignored. Only what is too long is an error.

use std::{mem, time::Duration};

use bytes::{Buf, Bytes};
use thiserror::Error;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A longer id is ignored. It is kept with each event and sent at each connect.
const ID_MAX: usize = 1024;

/// A server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerEvent {
    /// The name of the event. It is `message` if the server gives none.
    pub name: String,
    /// The data. Several lines are joined by `\n`.
    pub data: String,
    /// The id that the server sent with this event, or else the one of the event before. Empty if there was none.
    pub id: String,
}

/// What a stream sent is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum TooLong {
    #[error("a line of the event stream is longer than {limit} bytes")]
    Line { limit: usize },
    #[error("an event is larger than {limit} bytes")]
    Event { limit: usize },
}

/// Parses the body of an event stream, which may be cut anywhere. It keeps a few times `limit` bytes at most.
#[derive(Debug)]
pub(super) struct EventParser {
    /// The most bytes of a line, and of an event: its name and data.
    limit: usize,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Whether no line has ended yet. The first one may begin with a byte order mark.
    is_first_line: bool,
    /// Whether the last line ended with `\r`. If `\n` follows, it belongs to the same line end.
    is_after_cr: bool,
    /// The name of the event that is being read.
    name: String,
    /// Its data. Each line ends with `\n`.
    data: String,
    /// The last id that was read. It counts from the end of its event.
    id: String,
    /// The id of the last event.
    last_id: String,
    /// How long a client shall wait before it connects again, if the server has said so.
    retry: Option<Duration>,
}

impl EventParser {
    /// `last_id` is that of the connection before.
    pub(super) fn new(limit: usize, last_id: String) -> Self {
        Self {
            limit,
            line: Vec::new(),
            is_first_line: true,
            is_after_cr: false,
            name: String::new(),
            data: String::new(),
            id: last_id.clone(),
            last_id,
            retry: None,
        }
    }

    /// The next event. It takes from `bytes` what it reads. `None` once it has taken all: then more bytes are needed.
    ///
    /// # Errors
    /// A line or an event is too long. The rest of the stream makes no sense then.
    pub(super) fn next_event(&mut self, bytes: &mut Bytes) -> Result<Option<ServerEvent>, TooLong> {
        while let Some(&first) = bytes.first() {
            if mem::take(&mut self.is_after_cr) && first == b'\n' {
                bytes.advance(1);
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = bytes.split_to(end.unwrap_or(bytes.len()));
            if self.line.len() + part.len() > self.limit {
                return Err(TooLong::Line { limit: self.limit });
            }
            if end.is_none() {
                self.line.extend_from_slice(&part);
                break;
            }
            self.is_after_cr = bytes.get_u8() == b'\r';
            let event = if self.line.is_empty() {
                self.read_line(&part)?
            } else {
                self.line.extend_from_slice(&part);
                let line = mem::take(&mut self.line);
                self.read_line(&line)?
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The id of the last event, to be sent when connecting again. Empty if there was none.
    pub(super) fn last_id(&self) -> &str {
        &self.last_id
    }

    /// How long the server wants clients to wait before they connect again (the field `retry`).
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn read_line(&mut self, mut line: &[u8]) -> Result<Option<ServerEvent>, TooLong> {
        if mem::take(&mut self.is_first_line) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        // Each line is decoded alone. No character of UTF-8 has a line end within.
        let text = || String::from_utf8_lossy(value);
        match field {
            b"event" => self.name = text().into_owned(),
            b"data" => {
                self.data.push_str(&text());
                self.data.push('\n');
            }
            b"id" if value.len() <= ID_MAX && !value.contains(&0) => self.id = text().into_owned(),
            b"retry" => self.retry = milliseconds(value).or(self.retry),
            // A comment has an empty name.
            _ => {}
        }
        if self.name.len() + self.data.len() > self.limit {
            return Err(TooLong::Event { limit: self.limit });
        }
        Ok(None)
    }

    /// Ends an event at an empty line. There is none without a line of data.
    fn end_event(&mut self) -> Option<ServerEvent> {
        self.last_id.clone_from(&self.id);
        let mut name = mem::take(&mut self.name);
        let mut data = mem::take(&mut self.data);
        data.pop()?;
        if name.is_empty() {
            name.push_str("message");
        }
        Some(ServerEvent {
            name,
            data,
            id: self.id.clone(),
        })
    }
}

/// Reads a number of milliseconds. Anything but digits is ignored.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // The number may be too large for `u64`.
    let number = str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
    Some(Duration::from_millis(number))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// All events of a stream that comes in these parts, and why it ended early.
    fn parse_parts<'a>(
        parts: impl IntoIterator<Item = &'a [u8]>,
        limit: usize,
    ) -> (Vec<ServerEvent>, Option<TooLong>) {
        let mut parser = EventParser::new(limit, String::new());
        let mut events = Vec::new();
        for part in parts {
            let mut bytes = Bytes::copy_from_slice(part);
            loop {
                match parser.next_event(&mut bytes) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(error) => return (events, Some(error)),
                }
                assert!(parser.name.len() + parser.data.len() <= limit);
                assert!(parser.id.len() <= 3 * ID_MAX);
            }
            assert!(bytes.is_empty(), "all was taken");
            assert!(parser.line.len() <= limit && parser.line.capacity() <= 2 * limit.max(8));
        }
        (events, None)
    }

    /// Each event as `name|data|id`.
    fn parse(text: impl AsRef<[u8]>) -> Vec<String> {
        let (events, error) = parse_parts([text.as_ref()], 1000);
        assert_eq!(error, None);
        let short = |event: ServerEvent| format!("{}|{}|{}", event.name, event.data, event.id);
        events.into_iter().map(short).collect()
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        for (stream, expected) in [
            ("data: x\n\n", &["message|x|"][..]),
            ("event: put\ndata: {\"a\": 1}\n\n", &["put|{\"a\": 1}|"]),
            // The examples of the standard.
            (
                "data: YHOO\ndata: +2\ndata: 10\n\n",
                &["message|YHOO\n+2\n10|"],
            ),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
                &[
                    "message|first event|1",
                    "message|second event|",
                    "message| third event|",
                ],
            ),
            ("data\n\ndata\ndata\n\ndata:", &["message||", "message|\n|"]),
            ("data:test\n\ndata: test\n\n", &["message|test|"; 2]),
            // Every line end, also mixed.
            (
                "data: a\r\n\r\ndata: b\r\rdata: c\n\n",
                &["message|a|", "message|b|", "message|c|"],
            ),
            ("data: a\r\n\ndata: b\n\r\n", &["message|a|", "message|b|"]),
            // An id counts until the next one, and also without data.
            (
                "id: 7\n\ndata: a\n\ndata: b\nid: 8\n\n",
                &["message|a|7", "message|b|8"],
            ),
            (
                "id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n",
                &["message|a|7", "message|b|7"],
            ),
            // A byte order mark counts at the beginning only, and once.
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["message|a|"]),
            ("\u{feff}\u{feff}data: a\n\n", &[]),
            ("\u{feff}\ndata: a\n\n", &["message|a|"]),
        ] {
            assert_eq!(parse(stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn an_id_that_is_too_long_is_ignored() {
        let stream = |length| format!("id: 1\n\nid: {}\ndata: x\n\n", "7".repeat(length));
        let (events, _) = parse_parts([stream(ID_MAX).as_bytes()], 2 * ID_MAX);
        assert_eq!(events[0].id.len(), ID_MAX);
        let (events, _) = parse_parts([stream(ID_MAX + 1).as_bytes()], 2 * ID_MAX);
        assert_eq!(events[0].id, "1");
    }

    #[test]
    fn what_is_odd_is_ignored() {
        for (stream, expected) in [
            ("", &[][..]),
            ("\n\r\n\r\r\n", &[]),
            ("event: put\n\n", &[]),
            ("event: put\n\ndata: x\n\n", &["message|x|"]),
            // The last event is not complete.
            ("data: a\n\ndata: b\n", &["message|a|"]),
            ("data: a\n\ndata: b", &["message|a|"]),
            // Names of fields are exact.
            ("Data: x\n data: x\ndata : x\nDATA\n\n", &[]),
            ("<html><body>503</body></html>\n\n", &[]),
            (
                "unknown: x\nevent: a\nevent: b\ndata: :x: y\n\n",
                &["b|:x: y|"],
            ),
            (":\n:data: x\n::\ndata: x\n\n", &["message|x|"]),
            ("data:\u{a0}x\n\n", &["message|\u{a0}x|"]),
            ("data:\tx\n\n", &["message|\tx|"]),
        ] {
            assert_eq!(parse(stream), expected, "{stream:?}");
        }
        let no_utf8 = parse(b"event: \xff\ndata: \xc3\ndata: \xa9\xf0\x9f\n\n");
        assert_eq!(no_utf8, ["\u{fffd}|\u{fffd}\n\u{fffd}\u{fffd}|"]);
    }

    #[test]
    fn what_is_too_long_is_an_error_that_names_the_limit() {
        let line = "a line of the event stream is longer than 10 bytes";
        let event = "an event is larger than 10 bytes";
        for (stream, expected) in [
            ("data: 1234\n\n", Ok(1)),
            ("data: 12345\n\n", Err(line)),
            ("12345678901", Err(line)),
            (":234567890\r:234567890\r\rdata:1\r\r", Ok(1)),
            (":2345678901", Err(line)),
            // Each line of data counts with its end.
            ("data:1234\ndata:1234\n\n", Ok(1)),
            ("data:1234\ndata:12345\n\n", Err(event)),
            (
                "data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n",
                Ok(1),
            ),
            (
                "data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n",
                Err(event),
            ),
            ("event:1234\ndata:12345\n\n", Ok(1)),
            ("event:1234\ndata:12345\ndata\n\n", Err(event)),
            // A later event begins at nothing.
            ("data:12345\n\ndata:12345\n\ndata:12345\n\n", Ok(3)),
        ] {
            let (events, error) = parse_parts([stream.as_bytes()], 10);
            let result = error.map_or(Ok(events.len()), |error| Err(error.to_string()));
            assert_eq!(result, expected.map_err(str::to_owned), "{stream:?}");
        }
    }

    #[test]
    fn a_wish_when_to_connect_again_is_noted_if_it_is_a_number() {
        for (stream, expected) in [
            ("retry: 1500\n", Some(1500)),
            ("retry:0\n", Some(0)),
            (
                "retry: 5\nretry: soon\nretry:\nretry: -1\nretry: 1.5\nretry:  7\n",
                Some(5),
            ),
            ("retry: 99999999999999999999999\n", Some(u64::MAX)),
            ("data: 5\n\n", None),
        ] {
            let mut parser = EventParser::new(1000, String::new());
            let _ = parser.next_event(&mut Bytes::from_static(stream.as_bytes()));
            assert_eq!(
                parser.retry(),
                expected.map(Duration::from_millis),
                "{stream:?}"
            );
        }
    }

    /// Bytes of which many mean something.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let meaningful = prop::sample::select(vec![
            "data",
            "event: put",
            "id: 7",
            "retry: 5",
            ":",
            " ",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\u{feff}",
            "\u{e9}",
        ]);
        let part = prop_oneof![
            9 => meaningful.prop_map(|text| text.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..20),
        ];
        vec(part, 0..60).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn a_stream_may_be_cut_anywhere(stream in streams(), cuts in vec(any::<prop::sample::Index>(), 0..20), limit in 1_usize..200) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
            let whole = parse_parts([&stream[..]], limit);
            prop_assert_eq!(&parse_parts(parts, limit), &whole);
            prop_assert_eq!(parse_parts(stream.chunks(1), limit), whole);
        }

        #[test]
        fn no_bytes_panic_and_memory_is_bounded(stream in vec(any::<u8>(), 0..2000), limit in 1_usize..100) {
            // The assertions are those of `parse_parts`.
            parse_parts(stream.chunks(7), limit);
        }
    }
}
