//! Ids on standard input, separated by blanks or lines, read only as fast as they are fetched.
//!
//! Standard input can only be read by blocking, so a thread of its own reads it and sends ids through a bounded channel.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read},
    thread,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::{exit::CommandError, id_stream_error::IdStreamError, ids::parse_id};

/// How many chunks of ids may wait in the channel. A chunk holds the ids of one read.
const CHUNKS: usize = 4;
/// How many bytes one read takes at most.
const BUFFER: usize = 8 * 1024;
/// A text longer than this is not an id. Without this bound, input without a blank would fill the memory.
const TOKEN_MAX: usize = 32;

/// The ids that `input` holds, up to the first text that is not an id. `error` then says which text that is.
pub(super) fn stream(
    input: impl Read + Send + 'static,
    error: IdStreamError,
) -> Result<impl Stream<Item = i64> + Send, CommandError> {
    let (sender, mut receiver) = mpsc::channel(CHUNKS);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let send = |ids| sender.blocking_send(ids).is_ok();
            if let Err(message) = read(BufReader::with_capacity(BUFFER, input), send) {
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
fn read(mut input: impl BufRead, send: impl Fn(Vec<i64>) -> bool) -> Result<(), String> {
    let mut tokens = Tokens::new();
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
struct Tokens {
    /// The text since the last blank. A read may end in the middle of it.
    token: Vec<u8>,
    /// The number of the line that the token is in, for messages.
    line: usize,
}

impl Tokens {
    fn new() -> Self {
        Self {
            token: Vec::new(),
            line: 1,
        }
    }

    fn add_byte(&mut self, byte: u8, ids: &mut Vec<i64>) -> Result<(), String> {
        if !byte.is_ascii_whitespace() {
            self.token.push(byte);
            return if self.token.len() > TOKEN_MAX {
                Err(self.not_an_id())
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
    fn end_token(&mut self, ids: &mut Vec<i64>) -> Result<(), String> {
        if self.token.is_empty() {
            return Ok(());
        }
        let text = str::from_utf8(&self.token).ok();
        let id = text.and_then(parse_id).ok_or_else(|| self.not_an_id())?;
        self.token.clear();
        ids.push(id);
        Ok(())
    }

    fn not_an_id(&self) -> String {
        format!(
            "standard input, line {}: `{}` is no id; an id is a whole number from 1. The ids before it were read",
            self.line,
            self.token.escape_ascii()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn read_all(text: &str, buffer: usize) -> (Vec<i64>, Result<(), String>) {
        let ids = RefCell::new(Vec::new());
        let send = |chunk: Vec<i64>| {
            ids.borrow_mut().extend(chunk);
            true
        };
        let result = read(BufReader::with_capacity(buffer, text.as_bytes()), send);
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
