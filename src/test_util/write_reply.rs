//! Writes a reply to a connection.

use std::{
    borrow::Cow,
    io::{self, ErrorKind, Write},
    time::Instant,
};

use super::{
    connection::AcceptedConnection,
    reply::{AfterReply, Drip, Head, PartWait, Reply},
    request::{Request, find_header},
};

/// At most this many bytes are written after the request has been counted as answered. They reach the client in one
/// write. It is large enough that a common reply is a single write.
const LAST_WRITE: usize = 4096;

/// Ends a chunked body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Answers the request. Returns when the connection can take the next request.
///
/// `answered` is called before the reply's last bytes are written. Otherwise a client that has the whole reply, and sends
/// its next request on another connection, would seem to have two requests in flight.
///
/// # Errors
/// The connection has ended, or it must be closed after this reply.
pub(super) fn write_reply(
    reply: &Reply,
    connection: &AcceptedConnection,
    request: &Request,
    answered: impl Fn(),
) -> io::Result<()> {
    if let Some(latch) = &reply.held_by {
        connection.wait_for(latch)?;
    }
    if !reply.latency.is_zero() {
        connection.wait_until(request.at.checked_add(reply.latency))?;
    }
    let is_ever_answered = !matches!(reply.after, AfterReply::Silence | AfterReply::Repeat(_));
    let is_stream = reply.head.as_ref().is_some_and(|head| head.is_stream);
    // The parts that follow any other reply with a head are surplus, so its own bytes answer the request.
    let answering_part = if reply.head.is_some() && !is_stream {
        0
    } else {
        reply.later_parts.len()
    };
    let before_last_bytes_of = |part: usize| {
        if is_ever_answered && part == answering_part {
            answered();
        }
    };
    write_head_and_body(reply, connection, request, || before_last_bytes_of(0))?;
    for (number, part) in (1..).zip(&reply.later_parts) {
        match &part.wait {
            PartWait::Latch(latch) => connection.wait_for(latch)?,
            PartWait::Pause(pause) => connection.wait_until(Instant::now().checked_add(*pause))?,
        }
        let mut bytes = Cow::Borrowed(&*part.bytes);
        if is_stream {
            let mut chunk = Vec::new();
            encode_chunk(&part.bytes, &mut chunk);
            if number == reply.later_parts.len() && reply.after == AfterReply::NextRequest {
                chunk.extend_from_slice(LAST_CHUNK);
            }
            bytes = Cow::Owned(chunk);
        }
        write_bytes(connection, &bytes, reply.drip, || {
            before_last_bytes_of(number);
        })?;
    }
    match reply.after {
        AfterReply::NextRequest if keeps_connection(reply, request) => Ok(()),
        AfterReply::NextRequest | AfterReply::Close | AfterReply::Reset => {
            Err(ErrorKind::ConnectionAborted.into())
        }
        AfterReply::Silence => {
            connection.wait_until_ended();
            Err(ErrorKind::ConnectionAborted.into())
        }
        AfterReply::Repeat(bytes) => {
            let bytes = bytes.repeat(LAST_WRITE / bytes.len());
            loop {
                write_bytes(connection, &bytes, reply.drip, || {})?;
            }
        }
    }
}

/// Whether a second thread must listen for the client's leaving while the first one writes this reply.
///
/// A reply that ends in a RST has no second thread: it needs unread data on the socket (see [`Request::read`]).
pub(super) fn takes_time(reply: &Reply) -> bool {
    let waits = !reply.latency.is_zero()
        || reply.held_by.is_some()
        || reply.drip.is_some()
        || !reply.later_parts.is_empty();
    match reply.after {
        AfterReply::NextRequest | AfterReply::Close => waits,
        AfterReply::Silence | AfterReply::Repeat(_) => true,
        AfterReply::Reset => false,
    }
}

fn write_head_and_body(
    reply: &Reply,
    mut connection: &AcceptedConnection,
    request: &Request,
    before_last: impl Fn(),
) -> io::Result<()> {
    let mut bytes = match &reply.head {
        Some(head) => encode_head(reply, head),
        None => Vec::new(),
    };
    let head_length = bytes.len();
    encode_body(reply, request, &mut bytes);
    let at_once = match reply.drip {
        None => bytes.len().saturating_sub(LAST_WRITE),
        Some(Drip { head_too: true, .. }) => 0,
        // Without a body, the head's last byte completes the reply.
        Some(_) => head_length.min(bytes.len().saturating_sub(1)),
    };
    let (first, rest) = bytes.split_at(at_once);
    connection.write_all(first)?;
    write_bytes(connection, rest, reply.drip, before_last)
}

/// Writes the bytes, and calls `before_last` before the last write.
fn write_bytes(
    mut connection: &AcceptedConnection,
    bytes: &[u8],
    drip: Option<Drip>,
    before_last: impl Fn(),
) -> io::Result<()> {
    let Some(Drip { every, .. }) = drip.filter(|_| !bytes.is_empty()) else {
        before_last();
        return connection.write_all(bytes);
    };
    for (at, byte) in bytes.iter().enumerate() {
        connection.wait_until(Instant::now().checked_add(every))?;
        if at + 1 == bytes.len() {
            before_last();
        }
        connection.write_all(&[*byte])?;
    }
    Ok(())
}

fn encode_head(reply: &Reply, head: &Head) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} Scripted\r\n", head.status);
    for (name, value) in &head.headers {
        text += &format!("{name}: {value}\r\n");
    }
    let announces_body_itself = ["content-length", "transfer-encoding"]
        .iter()
        .any(|name| find_header(&head.headers, name).is_some());
    let never_has_body = matches!(head.status, 100..=199 | 204 | 304);
    if !never_has_body && !announces_body_itself {
        text += &if head.chunked {
            "transfer-encoding: chunked\r\n".to_owned()
        } else {
            // A reply that is cut announces more than it sends.
            let least = reply.cut.map_or(0, |sent| sent.saturating_add(1));
            format!("content-length: {}\r\n", reply.body.len().max(least))
        };
    }
    text += "\r\n";
    text.into_bytes()
}

fn encode_body(reply: &Reply, request: &Request, bytes: &mut Vec<u8>) {
    let body = &reply.body[..reply.cut.unwrap_or(usize::MAX).min(reply.body.len())];
    match &reply.head {
        Some(_) if request.method == "HEAD" => {}
        Some(Head {
            chunked: true,
            is_stream,
            ..
        }) => {
            for chunk in body.chunks(body.len().div_ceil(3).max(1)) {
                encode_chunk(chunk, bytes);
            }
            let goes_on = *is_stream && !reply.later_parts.is_empty();
            if reply.after == AfterReply::NextRequest && !goes_on {
                bytes.extend_from_slice(LAST_CHUNK);
            }
        }
        _ => bytes.extend_from_slice(body),
    }
}

fn encode_chunk(chunk: &[u8], bytes: &mut Vec<u8>) {
    // An empty chunk would end the body.
    if !chunk.is_empty() {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Whether the connection stays open, if the reply itself does not end it. Raw bytes always keep it.
fn keeps_connection(reply: &Reply, request: &Request) -> bool {
    let Some(head) = &reply.head else {
        return true;
    };
    let says_close = find_header(&head.headers, "connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"));
    request.keep_alive && !says_close
}
