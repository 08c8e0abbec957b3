//! The part of a text that shows why it was found.

use crate::{
    cli::printable::plain_text,
    hn::search::highlight::{CLOSE, Highlighter, OPEN},
};

/// What is printed before and after a found word.
#[derive(Clone, Copy)]
pub(super) struct Emphasis {
    pub(super) open: &'static str,
    pub(super) close: &'static str,
}

impl Emphasis {
    pub(super) const NONE: Self = Self {
        open: "",
        close: "",
    };
    pub(super) const BOLD: Self = Self {
        open: "\x1b[1m",
        close: "\x1b[22m",
    };
}

/// Makes one line of at most `most` letters from a text of the API: the part with the most found words, each of them marked.
pub(super) fn excerpt(html: &str, highlighter: &Highlighter, most: usize) -> String {
    // The texts of two paragraphs must not run into each other.
    let marked = highlighter.marked(&html.replace("<p>", " <p>"));
    let text = plain_text(&marked.replace(['\n', '\r', '\t'], " "));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters: Vec<char> = text.chars().collect();
    let (start, end) = window(&letters, most);
    let mut part: String = letters[start..end].iter().collect();
    if start > 0 {
        part.insert(0, '…');
    }
    if end < letters.len() {
        part.push('…');
    }
    part
}

/// Replaces the marks by the emphasis.
pub(super) fn emphasize(text: &str, emphasis: Emphasis) -> String {
    text.replace(OPEN, emphasis.open)
        .replace(CLOSE, emphasis.close)
}

/// The part with the most marks, the first of equals. It begins and ends at blanks where it can.
fn window(letters: &[char], most: usize) -> (usize, usize) {
    if letters.len() <= most {
        return (0, letters.len());
    }
    let marks: Vec<usize> = (0..letters.len())
        .filter(|at| letters[*at] == OPEN)
        .collect();
    let within = |first: usize| {
        let end = first + most / 2;
        marks.iter().filter(|at| (first..end).contains(*at)).count()
    };
    let best = marks
        .iter()
        .copied()
        .max_by_key(|first| (within(*first), std::cmp::Reverse(*first)));
    let lead = most / 4;
    let start = best.unwrap_or(0).saturating_sub(lead);
    let start = start.min(letters.len() - most);
    let is_blank = |at: &usize| letters[*at] == ' ';
    let begin = if start == 0 {
        0
    } else {
        let nearest = (start..start + lead / 2).find(is_blank);
        nearest.map_or(start, |blank| blank + 1)
    };
    let last = (begin + most).min(letters.len());
    let end = if last == letters.len() {
        last
    } else {
        let nearest = (last - lead / 2..last).rev().find(is_blank);
        nearest.unwrap_or(last)
    };
    // A mark that is cut in two would go on to the end of the line.
    let cut = letters[begin..end].iter().rposition(|c| *c == OPEN);
    let closed = letters[begin..end].iter().rposition(|c| *c == CLOSE);
    match cut {
        Some(cut) if closed.is_none_or(|closed| closed < cut) => (begin, begin + cut),
        _ => (begin, end),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hn::search::query::{SearchQuery, Syntax};

    fn shown(html: &str, query: &str, most: usize) -> String {
        let query = SearchQuery::parse(query, Syntax::Full).unwrap();
        let brackets = Emphasis {
            open: "[",
            close: "]",
        };
        emphasize(&excerpt(html, &Highlighter::of(&query), most), brackets)
    }

    #[test]
    fn a_short_text_is_shown_whole_and_as_a_reader_sees_it() {
        let html = "I don&#x27;t like<p>C &lt;b&gt; <i>rust</i>\u{1b}[2J\u{e000}";
        assert_eq!(
            shown(html, "rust don't", 100),
            "I [don]'[t] like C <b> [rust]\u{fffd}[2J"
        );
        assert_eq!(shown("", "rust", 100), "");
    }

    #[test]
    fn of_a_long_text_the_part_with_the_words_is_shown() {
        let html = format!(
            "{}rust actors are here {}",
            "one two ".repeat(60),
            "three four ".repeat(60)
        );
        let text = shown(&html, "actors", 80);
        assert!(text.contains("rust [actors] are here"), "{text}");
        assert!(text.starts_with('…') && text.ends_with('…'), "{text}");
        assert!(text.chars().count() <= 84, "{text}");
        let text = shown(&"x".repeat(500), "y", 80);
        assert!(text.chars().count() <= 81, "{text}");
    }
}
