//! A term of a query, and the spellings under which an index may hold it. Pure.
//!
//! The index holds the words of the HTML that the API serves. There `don't` is `don&#x27;t`, which is the three words `don`, `x27`
//! and `t`. A title may hold the sign itself. So a term with such a sign stands for both spellings.

use super::words::{fold, words};

/// The signs that HTML writes as entities, as Hacker News does.
const ENTITIES: [(char, &str); 6] = [
    ('\'', "&#x27;"),
    ('"', "&quot;"),
    ('&', "&amp;"),
    ('<', "&lt;"),
    ('>', "&gt;"),
    ('/', "&#x2F;"),
];

/// A word, or words that stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// As it was typed, without quotes, minus and star. It has at least one letter or digit, and no NUL.
    pub(super) text: String,
    /// Whether the last word is only the beginning of one.
    pub(crate) is_prefix: bool,
    is_phrase: bool,
}

impl Term {
    /// `None` for a text without a letter or digit.
    pub(super) fn new(text: &str, is_phrase: bool, is_prefix: bool) -> Option<Self> {
        let text = text.replace('\0', " ");
        let has_word = words(&text).next().is_some();
        has_word.then_some(Self {
            text,
            is_prefix,
            is_phrase,
        })
    }

    /// The spellings under which the index may hold it: the signs themselves, and their entities.
    pub(crate) fn spellings(&self) -> Vec<String> {
        let inner = self
            .text
            .trim_matches(|c: char| ENTITIES.iter().any(|(sign, _)| *sign == c));
        let is_sign = |c: char| ENTITIES.iter().any(|(sign, _)| *sign == c);
        if !inner.contains(is_sign) {
            return vec![inner.to_owned()];
        }
        let mut encoded = String::with_capacity(inner.len() * 2);
        for c in inner.chars() {
            match ENTITIES.iter().find(|(sign, _)| *sign == c) {
                Some((_, entity)) => encoded.push_str(entity),
                None => encoded.push(c),
            }
        }
        vec![inner.to_owned(), encoded]
    }

    /// Its words, folded, as a reader sees them.
    pub(crate) fn words(&self) -> Vec<String> {
        words(&self.text).map(|word| fold(word.text)).collect()
    }

    /// A text in lower case that must stand in the field itself, because the signs of `c++`, `c#` and `.net` are in no index.
    pub(crate) fn literal(&self) -> Option<String> {
        let text = self
            .text
            .trim_end_matches([',', ';', ':', '!', '?', '.'])
            .to_ascii_lowercase();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '.');
        let has_sign = text.ends_with(['+', '#']) || text.starts_with('.');
        let begins = !text.starts_with(['+', '#']) && !text.starts_with("..");
        let is_literal =
            !self.is_phrase && !self.is_prefix && has_sign && begins && text.chars().all(is_plain);
        is_literal.then_some(text)
    }

    /// The literals of some terms, and the terms without one.
    pub(super) fn split_literals(terms: &[Self]) -> (Vec<String>, Vec<Self>) {
        let (with, without): (Vec<_>, Vec<_>) = terms
            .iter()
            .cloned()
            .partition(|term| term.literal().is_some());
        (with.iter().filter_map(Self::literal).collect(), without)
    }

    /// The word, if it is a single one without any sign.
    pub(crate) fn single_word(&self) -> Option<&str> {
        let is_word =
            !self.is_prefix && !self.is_phrase && self.text.chars().all(char::is_alphanumeric);
        is_word.then_some(&self.text)
    }

    pub(super) fn last_word_length(&self) -> usize {
        let last = words(&self.text).last();
        last.map_or(0, |word| word.text.chars().count())
    }

    pub(super) fn typed(&self) -> String {
        let star = if self.is_prefix { "*" } else { "" };
        if self.is_phrase {
            format!("\"{}\"{star}", self.text)
        } else {
            format!("{}{star}", self.text)
        }
    }
}
