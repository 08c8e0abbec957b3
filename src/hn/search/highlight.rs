//! Which words of a text a query means. Pure.

use std::{collections::BTreeSet, ops::Range};

use super::{
    query::SearchQuery,
    words::{Word, html_words, is_word},
};

/// Private signs of Unicode that mark a found word until the text is shown.
pub(crate) const OPEN: char = '\u{e000}';
pub(crate) const CLOSE: char = '\u{e001}';

/// Finds the words of a query in texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Highlighter {
    terms: Vec<FoldedTerm>,
}

#[derive(Clone, Debug)]
struct FoldedTerm {
    words: Vec<String>,
    is_prefix: bool,
}

/// What of a text a query means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Highlight {
    /// The places of the words, in bytes of the text, in order.
    pub(crate) marks: Vec<Range<usize>>,
    /// The words of the query that were found.
    pub(crate) matched: BTreeSet<String>,
    /// Whether the text has no other word.
    pub(crate) is_whole: bool,
}

impl Highlighter {
    pub(crate) fn of(query: &SearchQuery) -> Self {
        let terms = query.wanted().map(|term| FoldedTerm {
            words: term.words(),
            is_prefix: term.is_prefix,
        });
        Self {
            terms: terms.collect(),
        }
    }

    /// All words that are looked for.
    pub(crate) fn words(&self) -> BTreeSet<&str> {
        let words = self.terms.iter().flat_map(|term| &term.words);
        words.map(String::as_str).collect()
    }

    /// The HTML with [`OPEN`] before and [`CLOSE`] behind each word that was found. Such signs in the HTML itself are dropped.
    pub(crate) fn marked(&self, html: &str) -> String {
        let html = html.replace([OPEN, CLOSE], "");
        let found = self.find(&html);
        found.mark(&html, &OPEN.to_string(), &CLOSE.to_string())
    }

    /// Finds the words in HTML. Tags and entities hold none.
    pub(crate) fn find(&self, html: &str) -> Highlight {
        let all: Vec<Word<'_>> = html_words(html).collect();
        let mut is_marked = vec![false; all.len()];
        let mut matched = BTreeSet::new();
        for term in &self.terms {
            for at in 0..all.len() {
                if term.is_at(&all[at..]) {
                    is_marked[at..at + term.words.len()].fill(true);
                    matched.extend(term.words.iter().cloned());
                }
            }
        }
        let marks = all.iter().zip(&is_marked).filter(|(_, marked)| **marked);
        Highlight {
            marks: marks.map(|(word, _)| word.range.clone()).collect(),
            matched,
            is_whole: !all.is_empty() && is_marked.iter().all(|marked| *marked),
        }
    }
}

impl FoldedTerm {
    /// Whether it stands at the beginning of these words.
    fn is_at(&self, words: &[Word<'_>]) -> bool {
        let last = self.words.len().saturating_sub(1);
        words.len() >= self.words.len()
            && self
                .words
                .iter()
                .enumerate()
                .all(|(at, wanted)| is_word(words[at].text, wanted, self.is_prefix && at == last))
    }
}

impl Highlight {
    /// The text with signs around each word that was found.
    pub(crate) fn mark(&self, text: &str, open: &str, close: &str) -> String {
        let mut marked = String::with_capacity(text.len() + self.marks.len() * 10);
        let mut from = 0;
        for Range { start, end } in &self.marks {
            marked.push_str(&text[from..*start]);
            marked.push_str(open);
            marked.push_str(&text[*start..*end]);
            marked.push_str(close);
            from = *end;
        }
        marked + &text[from..]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hn::search::query::Syntax;

    fn marked(query: &str, html: &str) -> String {
        let query = SearchQuery::parse(query, Syntax::Full).unwrap();
        Highlighter::of(&query).find(html).mark(html, "[", "]")
    }

    #[test]
    fn words_phrases_and_prefixes_are_marked_as_a_reader_sees_them() {
        for (query, html, expected) in [
            ("rust", "Rust trust RUST-y", "[Rust] trust [RUST]-y"),
            (
                "don't",
                "I don&#x27;t, don’t know t",
                "I [don]&#x27;[t], [don]’[t] know t",
            ),
            ("\"a b\"", "a b, b a, a<p>b", "[a] [b], b a, [a]<p>[b]"),
            ("act*", "actor act fact", "[actor] [act] fact"),
            ("zürich", "Zurich ZÜRICH", "[Zurich] [ZÜRICH]"),
            (
                "href p quot",
                "<a href=\"p\">x</a> &quot;p&quot;",
                "<a href=\"p\">x</a> &quot;[p]&quot;",
            ),
            ("x -y", "x y", "[x] y"),
        ] {
            assert_eq!(marked(query, html), expected, "{query}");
        }
    }

    #[test]
    fn a_text_of_nothing_else_is_whole() {
        let query = SearchQuery::parse("rust actors", Syntax::Full).unwrap();
        let highlighter = Highlighter::of(&query);
        assert!(highlighter.find("<b>Actors</b>, Rust!").is_whole);
        let partly = highlighter.find("Rust and more");
        assert!(!partly.is_whole);
        assert_eq!(partly.matched, BTreeSet::from(["rust".to_owned()]));
        assert!(!highlighter.find("").is_whole);
    }

    proptest! {
        #[test]
        fn marks_are_words_in_order_in_any_text(query in "\\PC{0,12}", html in "[<>&;a-e \"'é]{0,40}|\\PC{0,40}") {
            if let Ok(query) = SearchQuery::parse(&query, Syntax::Words) {
                let found = Highlighter::of(&query).find(&html);
                prop_assert!(found.marks.windows(2).all(|pair| pair[0].end <= pair[1].start));
                prop_assert_eq!(found.mark(&html, "", ""), html);
            }
        }
    }
}
