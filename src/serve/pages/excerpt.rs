//! The part of a text that shows why it was found.

use super::text::plain_text;
use crate::hn::search::highlight::{CLOSE, Highlighter, OPEN};

/// The most letters of an excerpt.
const LETTERS: usize = 240;

/// At most this many of them come before the first word that was found.
const BEFORE: usize = 60;

/// A part of an excerpt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Other(String),
    /// A word that was found.
    Found(String),
}

/// The part of an HTML text around the first word that was found, as plain text.
pub(super) fn excerpt(html: &str, highlighter: &Highlighter) -> Vec<Part> {
    let text = plain_text(&highlighter.marked(html));
    let letters: Vec<char> = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    let first = letters.iter().position(|c| *c == OPEN).unwrap_or(0);
    let start = match first.saturating_sub(BEFORE) {
        0 => 0,
        start => letters[start..first]
            .iter()
            .position(|c| *c == ' ')
            .map_or(start, |at| start + at + 1),
    };
    let end = letters.len().min(start + LETTERS);
    let mut parts = Vec::new();
    let mut text = String::from(if start > 0 { "…" } else { "" });
    for letter in &letters[start..end] {
        match *letter {
            OPEN => parts.push(Part::Other(std::mem::take(&mut text))),
            CLOSE => parts.push(Part::Found(std::mem::take(&mut text))),
            letter => text.push(letter),
        }
    }
    if end < letters.len() {
        text.push('…');
    }
    parts.push(Part::Other(text));
    parts.retain(|part| !matches!(part, Part::Other(text) if text.is_empty()));
    parts
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hn::search::query::{SearchQuery, Syntax};

    #[test]
    fn an_excerpt_is_plain_text_around_the_words() {
        let query = SearchQuery::parse("rust", Syntax::Full).unwrap();
        let highlighter = Highlighter::of(&query);
        let html = format!(
            "{}<i>I &lt;3 rust</i><p>{}",
            "word ".repeat(50),
            "more ".repeat(80)
        );
        let parts = excerpt(&html, &highlighter);
        assert_eq!(parts[1], Part::Found("rust".to_owned()));
        let (Part::Other(before), Part::Other(after)) = (&parts[0], &parts[2]) else {
            panic!("{parts:?}");
        };
        assert!(
            before.starts_with("…word") && before.ends_with("I <3 "),
            "{before}"
        );
        assert!(after.ends_with('…') && after.len() < 300, "{after}");
        assert_eq!(excerpt("", &highlighter), []);
    }
}
