//! Ids on standard input, separated by blanks or lines, read only as fast as they are fetched.
//!
//! Standard input cannot be waited for without blocking, so a thread of its own reads it through a bounded channel.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::{Refusal, id::parse_id};

/// Chunks of ids that may wait; a chunk is what one read brought.
const CHUNKS: usize = 4;
const BUFFER: usize = 8 * 1024;
/// Longer than any id.
const TOKEN_MAX: usize = 32;

/// Why reading stopped before the end.
#[derive(Clone, Default)]
pub(super) struct Stopped(Arc<Mutex<Option<String>>>);

impl Stopped {
    pub(super) fn why(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// The ids that `input` holds, up to the first that is none.
pub(super) fn ids(
    input: impl Read + Send + 'static,
) -> Result<(impl Stream<Item = i64> + Send, Stopped), Refusal> {
    let (sender, mut receiver) = mpsc::channel(CHUNKS);
    let stopped = Stopped::default();
    let told = stopped.clone();
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let send = |ids| sender.blocking_send(ids).is_ok();
            if let Err(why) = read(BufReader::with_capacity(BUFFER, input), send) {
                told.set(why);
            }
        })
        .map_err(|error| Refusal(format!("cannot start a thread for standard input: {error}")))?;
    let chunks = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    Ok((chunks.flat_map(stream::iter), stopped))
}

/// Sends the ids of each read, until there are no more, nobody wants them, or one is none.
fn read(mut input: impl BufRead, send: impl Fn(Vec<i64>) -> bool) -> Result<(), String> {
    let mut token = Vec::new();
    let mut line = 1;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(format!(
                    "cannot read standard input at line {line}: {error}"
                ));
            }
        };
        let (read, at_end) = (buffer.len(), buffer.is_empty());
        let mut ids = Vec::new();
        let bad = if at_end {
            end_token(&mut token, line, &mut ids).err()
        } else {
            buffer.iter().find_map(|&byte| {
                if !byte.is_ascii_whitespace() {
                    token.push(byte);
                    return (token.len() > TOKEN_MAX).then(|| no_id(&token, line));
                }
                let ended = end_token(&mut token, line, &mut ids);
                line += usize::from(byte == b'\n');
                ended.err()
            })
        };
        input.consume(read);
        let wanted = ids.is_empty() || send(ids);
        match bad {
            Some(bad) => return Err(bad),
            None if at_end || !wanted => return Ok(()),
            None => {}
        }
    }
}

fn end_token(token: &mut Vec<u8>, line: usize, ids: &mut Vec<i64>) -> Result<(), String> {
    if token.is_empty() {
        return Ok(());
    }
    let id = std::str::from_utf8(token)
        .ok()
        .and_then(parse_id)
        .ok_or_else(|| no_id(token, line))?;
    token.clear();
    ids.push(id);
    Ok(())
}

fn no_id(token: &[u8], line: usize) -> String {
    let token = token.escape_ascii();
    format!(
        "standard input, line {line}: `{token}` is no id; an id is a whole number from 1. What came before it was read"
    )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn read_all(text: &str, buffer: usize) -> (Vec<i64>, Result<(), String>) {
        let ids = RefCell::new(Vec::new());
        let send = |more: Vec<i64>| {
            ids.borrow_mut().extend(more);
            true
        };
        let done = read(BufReader::with_capacity(buffer, text.as_bytes()), send);
        (ids.into_inner(), done)
    }

    #[test]
    fn ids_are_separated_by_blanks_or_lines_wherever_a_read_ends() {
        for buffer in 1..20 {
            let (ids, done) = read_all("1 22\n\n333\t4\r\n 55", buffer);
            assert_eq!(
                (ids, done),
                (vec![1, 22, 333, 4, 55], Ok(())),
                "reads of {buffer}"
            );
        }
    }

    #[test]
    fn what_stands_before_a_bad_id_is_read_and_the_message_names_its_line() {
        for bad in ["x7", "0", "-3", "1.5", "99999999999999999999"] {
            let (ids, done) = read_all(&format!("1\n2\n3 {bad} 4\n5"), 4);
            assert_eq!(ids, [1, 2, 3]);
            let why = done.expect_err(bad);
            assert!(
                why.starts_with(&format!("standard input, line 3: `{bad}` is no id")),
                "{why}"
            );
        }
    }

    #[test]
    fn a_token_without_end_is_not_held() {
        let (ids, done) = read_all(&"7".repeat(1 << 20), 8192);
        assert!(ids.is_empty() && done.is_err());
    }
}
