//! Ids on standard input, separated by blanks or lines, read only as fast as they are fetched.
//!
//! Standard input can only be read by blocking, so a thread of its own reads it and sends ids through a bounded channel.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read},
    thread,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::{exit::CommandError, id_stream_error::IdStreamError, ids::ParseId};

/// How many chunks of ids may wait in the channel. A chunk holds the ids of one read.
const CHUNKS: usize = 4;
/// How many bytes one read takes at most.
const BUFFER: usize = 8 * 1024;
/// A text longer than this is not an id, nor the address of one. Without this bound, input without a blank would fill the memory.
const TOKEN_MAX: usize = 1024;
/// What some programs write at the beginning of a text: the byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The ids that `input` holds, up to the first text that is not an id. `error` then says which text that is.
pub(super) fn stream<I: Send + 'static>(
    input: impl Read + Send + 'static,
    parse: ParseId<I>,
    error: IdStreamError,
) -> Result<impl Stream<Item = I> + Send + 'static, CommandError> {
    let (sender, mut receiver) = mpsc::channel(CHUNKS);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let send = |ids| sender.blocking_send(ids).is_ok();
            if let Err(message) = read(BufReader::with_capacity(BUFFER, input), parse, send) {
                error.set(message);
            }
        })
        .map_err(|error| {
            CommandError(format!(
                "no thread can be started to read standard input: {error}"
            ))
        })?;
    let chunks = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    Ok(chunks.flat_map(stream::iter))
}

/// Sends the ids of each read, until the input ends, the receiver is gone, or a text is not an id.
fn read<I>(
    mut input: impl BufRead,
    parse: ParseId<I>,
    send: impl Fn(Vec<I>) -> bool,
) -> Result<(), String> {
    let mut tokens = Tokens::new(parse);
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(format!(
                    "standard input cannot be read at line {}: {error}",
                    tokens.line
                ));
            }
        };
        let length = buffer.len();
        let is_at_end = buffer.is_empty();
        let mut ids = Vec::new();
        let parsed = if is_at_end {
            tokens.end_token(&mut ids)
        } else {
            buffer
                .iter()
                .try_for_each(|&byte| tokens.add_byte(byte, &mut ids))
        };
        input.consume(length);
        // The ids before a bad text are sent too.
        let is_received = ids.is_empty() || send(ids);
        parsed?;
        if is_at_end || !is_received {
            return Ok(());
        }
    }
}

/// Splits bytes into ids.
struct Tokens<I> {
    parse: ParseId<I>,
    /// The text since the last blank. A read may end in the middle of it.
    token: Vec<u8>,
    /// The number of the line that the token is in, for messages.
    line: usize,
    /// Whether no text has ended yet. Only the first one can begin with a byte order mark.
    is_first: bool,
}

impl<I> Tokens<I> {
    fn new(parse: ParseId<I>) -> Self {
        Self {
            parse,
            token: Vec::new(),
            line: 1,
            is_first: true,
        }
    }

    fn add_byte(&mut self, byte: u8, ids: &mut Vec<I>) -> Result<(), String> {
        if !byte.is_ascii_whitespace() {
            self.token.push(byte);
            return if self.token.len() > TOKEN_MAX {
                self.end_token(ids)
            } else {
                Ok(())
            };
        }
        self.end_token(ids)?;
        if byte == b'\n' {
            self.line += 1;
        }
        Ok(())
    }

    /// Adds the id that ends here to `ids`, if a blank does not follow another one.
    fn end_token(&mut self, ids: &mut Vec<I>) -> Result<(), String> {
        let mut token = self.token.as_slice();
        if self.is_first {
            token = token.strip_prefix(BYTE_ORDER_MARK).unwrap_or(token);
            self.is_first = false;
        }
        if token.is_empty() {
            self.token.clear();
            return Ok(());
        }
        let text = match str::from_utf8(token) {
            Ok(text) => text.to_owned(),
            Err(_) => token.escape_ascii().to_string(),
        };
        let id = (self.parse)(&text).map_err(|error| {
            let line = self.line;
            format!("standard input, line {line}: {error}. What came before it was read")
        })?;
        self.token.clear();
        ids.push(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::cli::ids::parse_item;

    fn read_all(text: &str, buffer: usize) -> (Vec<i64>, Result<(), String>) {
        let ids = RefCell::new(Vec::new());
        let send = |chunk: Vec<i64>| {
            ids.borrow_mut().extend(chunk);
            true
        };
        let result = read(
            BufReader::with_capacity(buffer, text.as_bytes()),
            parse_item,
            send,
        );
        (ids.into_inner(), result)
    }

    #[test]
    fn ids_are_separated_by_blanks_or_lines_wherever_a_read_ends() {
        for buffer in 1..20 {
            let (ids, result) = read_all("1 22\n\n333\t4\r\n 55", buffer);
            assert_eq!(
                (ids, result),
                (vec![1, 22, 333, 4, 55], Ok(())),
                "reads of {buffer}"
            );
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_id() {
        for buffer in 1..9 {
            for text in ["\u{feff}1\r\n22\r\n", "\u{feff}\r\n1 22"] {
                let (ids, result) = read_all(text, buffer);
                assert_eq!((ids, result), (vec![1, 22], Ok(())), "reads of {buffer}");
            }
        }
        let (ids, result) = read_all("1 \u{feff}2", 8);
        assert!(ids == [1] && result.is_err(), "only at the beginning");
    }

    #[test]
    fn addresses_of_items_are_ids() {
        let text =
            "https://news.ycombinator.com/item?id=8863\n7 http://news.ycombinator.com/item?id=9#x";
        assert_eq!(read_all(text, 8), (vec![8863, 7, 9], Ok(())));
    }

    #[test]
    fn the_ids_before_a_bad_one_are_read_and_the_message_names_its_line() {
        for bad in ["x7", "0", "-3", "1.5", "99999999999999999999"] {
            let (ids, result) = read_all(&format!("1\n2\n3 {bad} 4\n5"), 4);
            assert_eq!(ids, [1, 2, 3]);
            let message = result.expect_err(bad);
            assert!(
                message.starts_with(&format!("standard input, line 3: `{bad}` is no id")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_text_without_a_blank_is_not_kept_in_memory() {
        let (ids, result) = read_all(&"7".repeat(1 << 20), 8192);
        assert!(ids.is_empty() && result.is_err());
    }
}
