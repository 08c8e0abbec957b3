//! The language of searches: words, "phrases", -minus, prefix* and OR. Pure.

use thiserror::Error;

pub(super) use super::term::Term;
use super::words::{fold, words};

/// The most bytes of a query. People type fewer.
pub(crate) const QUERY_MAX: usize = 1000;

/// The most words and phrases of a query.
pub(crate) const TERMS_MAX: usize = 32;

/// The most words of a query, those of phrases and of texts such as addresses included.
pub(crate) const WORDS_MAX: usize = 64;

/// A shorter beginning of a word would stand for too many words.
const PREFIX_MIN: usize = 3;

/// The most beginnings of words in a query. Each stands for thousands of words, whose places are in memory at once.
pub(crate) const PREFIXES_MAX: usize = 2;

/// What is searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SearchQuery {
    /// Each of these must be found.
    pub(crate) all: Vec<AnyOf>,
    /// None of these may be found.
    pub(crate) none: Vec<Term>,
}

/// Terms of which one is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnyOf(pub(crate) Vec<Term>);

/// Why a text is no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadQuery {
    /// Too many bytes.
    #[error("the query is too long; allowed are {QUERY_MAX} bytes")]
    TooLong,
    /// Too many terms.
    #[error("the query has too many words; allowed are {TERMS_MAX}")]
    TooManyTerms,
    /// Too many words in its terms.
    #[error("the query has too many words in its phrases; allowed are {WORDS_MAX} in all")]
    TooManyWords,
    /// Too many stars.
    #[error("the query has too many words with a star; allowed are {PREFIXES_MAX}")]
    TooManyPrefixes,
    /// Only words with a minus.
    #[error("the query only says what is not wanted; add a word without a minus")]
    OnlyMinus,
    /// A star behind too few letters.
    #[error("a star needs at least {PREFIX_MIN} letters before it")]
    ShortPrefix,
}

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// With phrases, minus, star and OR.
    Full,
    /// Only words.
    Words,
}

impl SearchQuery {
    /// Reads what a person typed. A text without a letter or digit is an empty query.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, BadQuery> {
        if text.len() > QUERY_MAX {
            return Err(BadQuery::TooLong);
        }
        let mut query = Self::default();
        let mut terms = 0;
        let mut words = 0;
        let mut prefixes = 0;
        let mut joins_last = false;
        for token in tokens(text, syntax) {
            match token {
                Token::Or => joins_last = !query.all.is_empty(),
                Token::Term { term, is_wanted } => {
                    terms += 1;
                    if terms > TERMS_MAX {
                        return Err(BadQuery::TooManyTerms);
                    }
                    words += term.words().len();
                    if words > WORDS_MAX {
                        return Err(BadQuery::TooManyWords);
                    }
                    if term.is_prefix && term.last_word_length() < PREFIX_MIN {
                        return Err(BadQuery::ShortPrefix);
                    }
                    prefixes += usize::from(term.is_prefix);
                    if prefixes > PREFIXES_MAX {
                        return Err(BadQuery::TooManyPrefixes);
                    }
                    match query.all.last_mut() {
                        _ if !is_wanted => query.none.push(term),
                        Some(AnyOf(last)) if joins_last => last.push(term),
                        _ => query.all.push(AnyOf(vec![term])),
                    }
                    joins_last = false;
                }
            }
        }
        if query.all.is_empty() && !query.none.is_empty() {
            return Err(BadQuery::OnlyMinus);
        }
        Ok(query)
    }

    /// A query for words that stand together.
    pub(super) fn phrase(words: &str) -> Self {
        let all = Term::new(words, true, false).map(|term| AnyOf(vec![term]));
        Self {
            all: all.into_iter().collect(),
            none: Vec::new(),
        }
    }

    /// The same query in which these words need not be there. If all of its words are optional, one of them must be.
    pub(crate) fn with_optional(self, words_text: &str) -> Self {
        let optional: Vec<String> = words(words_text).map(|word| fold(word.text)).collect();
        let is_optional = |AnyOf(terms): &AnyOf| {
            let words = terms.iter().flat_map(Term::words);
            words.into_iter().all(|word| optional.contains(&word))
        };
        let (optional, needed): (Vec<_>, Vec<_>) = self.all.into_iter().partition(is_optional);
        let all = if needed.is_empty() && !optional.is_empty() {
            let terms = optional.into_iter().flat_map(|AnyOf(terms)| terms);
            vec![AnyOf(terms.collect())]
        } else {
            needed
        };
        Self { all, ..self }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a term has signs that are in no index, so that texts must be looked at.
    pub(super) fn has_literal(&self) -> bool {
        let mut terms = self.wanted().chain(&self.none);
        terms.any(|term| term.literal().is_some())
    }

    /// The terms that are wanted.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Term> {
        self.all.iter().flat_map(|AnyOf(terms)| terms)
    }

    /// The same query in which single words that `better` replaces are replaced.
    pub(crate) fn with_words(&self, mut better: impl FnMut(&str) -> Option<String>) -> Self {
        let mut query = self.clone();
        for term in query.all.iter_mut().flat_map(|AnyOf(terms)| terms) {
            if let Some(word) = term.single_word().and_then(&mut better) {
                term.text = word;
            }
        }
        query
    }

    /// The same query with its last word as the beginning of a word. `None` if that is no single word, or too short.
    pub(crate) fn completed(&self) -> Option<Self> {
        let mut query = self.clone();
        let AnyOf(terms) = query.all.last_mut()?;
        let last = terms.last_mut()?;
        last.single_word()?;
        last.is_prefix = last.last_word_length() >= PREFIX_MIN;
        last.is_prefix.then_some(query)
    }

    /// The query as one may type it.
    pub(crate) fn typed(&self) -> String {
        let groups = self.all.iter().map(|AnyOf(terms)| {
            let terms = terms.iter().map(Term::typed);
            terms.collect::<Vec<_>>().join(" OR ")
        });
        let unwanted = self.none.iter().map(|term| format!("-{}", term.typed()));
        groups.chain(unwanted).collect::<Vec<_>>().join(" ")
    }
}

enum Token {
    Or,
    Term { term: Term, is_wanted: bool },
}

/// The terms and operators of a text. What has no letter and no digit is left out.
fn tokens(text: &str, syntax: Syntax) -> impl Iterator<Item = Token> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return None;
            }
            let token = if syntax == Syntax::Full {
                next_token(&mut rest)
            } else {
                Term::new(next_word(&mut rest), false, false).map(|term| Token::Term {
                    term,
                    is_wanted: true,
                })
            };
            if token.is_some() {
                return token;
            }
        }
    })
}

fn next_token(rest: &mut &str) -> Option<Token> {
    let mut is_wanted = true;
    if let Some(after) = rest.strip_prefix('-') {
        is_wanted = false;
        *rest = after;
    }
    let term = if let Some(after) = rest.strip_prefix('"') {
        let (phrase, after) = after.split_once('"').unwrap_or((after, ""));
        let star = after.strip_prefix('*');
        *rest = star.unwrap_or(after);
        Term::new(phrase, true, star.is_some())
    } else {
        match next_word(rest) {
            "OR" if is_wanted => return Some(Token::Or),
            "AND" if is_wanted => return None,
            word => {
                let begins = word.strip_suffix('*').filter(|begins| {
                    let last = begins.chars().next_back();
                    last.is_some_and(char::is_alphanumeric)
                });
                Term::new(begins.unwrap_or(word), false, begins.is_some())
            }
        }
    };
    Some(Token::Term {
        term: term?,
        is_wanted,
    })
}

/// Cuts off what stands before the next blank, or before a quote that begins a phrase.
fn next_word<'a>(rest: &mut &'a str) -> &'a str {
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let ends = |c: char| c.is_whitespace() || c == '"';
    let end = rest[first..].find(ends).map_or(rest.len(), |at| first + at);
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> String {
        let shown = |term: &Term| {
            let star = if term.is_prefix { "*" } else { "" };
            format!("{}{star}", term.spellings().join("="))
        };
        match SearchQuery::parse(text, Syntax::Full) {
            Ok(query) => {
                let all = query
                    .all
                    .iter()
                    .map(|AnyOf(terms)| terms.iter().map(shown).collect::<Vec<_>>().join("|"));
                let none = query.none.iter().map(|term| format!("!{}", shown(term)));
                all.chain(none).collect::<Vec<_>>().join(" & ")
            }
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn words_phrases_minus_star_and_or_are_read() {
        for (text, expected) in [
            ("rust actors", "rust & actors"),
            ("  rust\t\nactors ", "rust & actors"),
            ("\"rust actors\" -tokio", "rust actors & !tokio"),
            ("-\"rust actors\" tokio", "tokio & !rust actors"),
            ("\"never closed", "never closed"),
            ("rust OR go OR zig fast", "rust|go|zig & fast"),
            ("OR rust OR", "rust"),
            ("or AND rust and", "or & rust & and"),
            ("a OR -b", "a & !b"),
            ("actor*", "actor*"),
            ("\"rust act\"*", "rust act*"),
            ("ac*", "ShortPrefix"),
            ("act* rus*", "act* & rus*"),
            ("act* OR rus* -los*", "TooManyPrefixes"),
            ("*actor", "*actor"),
            ("c++ * ** - -- \"\" \"-\" ...", "c++"),
            ("well-known x-y", "well-known & x-y"),
            ("foo\"bar baz\"", "foo & bar baz"),
            ("", ""),
            ("?!", ""),
            ("-rust", "OnlyMinus"),
            ("NEAR(a b) title:x {by}", "NEAR(a & b) & title:x & {by}"),
            ("日本語 Übergröße", "日本語 & Übergröße"),
            ("a\0b", "a b"),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
        let many = "x ".repeat(TERMS_MAX + 1);
        assert_eq!(parsed(&many), "TooManyTerms");
        let many = "x-y ".repeat(TERMS_MAX);
        assert_eq!(parsed(&many).matches("x-y").count(), TERMS_MAX);
        for many in [many + "z", format!("\"{}\"", "x ".repeat(WORDS_MAX + 1))] {
            assert!(parsed(&many).starts_with("TooMany"), "{many}");
        }
        assert_eq!(parsed(&"x-".repeat(WORDS_MAX + 1)), "TooManyWords");
        assert_eq!(parsed(&"x".repeat(QUERY_MAX + 1)), "TooLong");
    }

    #[test]
    fn signs_that_html_writes_as_entities_have_both_spellings() {
        for (text, expected) in [
            ("don't", "don't=don&#x27;t"),
            ("AT&T", "AT&T=AT&amp;T"),
            ("'quoted' dogs'", "quoted & dogs"),
            ("and/or", "and/or=and&#x2F;or"),
            ("Vec<u8>", "Vec<u8=Vec&lt;u8"),
            (
                "https://example.com/a?b=c&d",
                "https://example.com/a?b=c&d=https:&#x2F;&#x2F;example.com&#x2F;a?b=c&amp;d",
            ),
            ("\"fish & chips\"", "fish & chips=fish &amp; chips"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn only_words_whose_signs_are_in_no_index_are_looked_up_in_the_text() {
        for (text, literal) in [
            ("C++", Some("c++")),
            ("c#,", Some("c#")),
            (".NET", Some(".net")),
            ("node.js", None),
            ("rust", None),
            ("rust...", None),
            ("...rust", None),
            ("#rust", None),
            ("a+b", None),
            ("don't++", None),
            ("\"c++\"", None),
        ] {
            let query = SearchQuery::parse(text, Syntax::Full).unwrap();
            let term = query.wanted().next().unwrap();
            assert_eq!(term.literal().as_deref(), literal, "{text}");
        }
    }

    #[test]
    fn without_syntax_every_sign_is_a_part_of_a_word() {
        let query = SearchQuery::parse("-a \"b c\" OR", Syntax::Words).unwrap();
        assert_eq!(query.all.len(), 4);
        assert!(query.none.is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_has_words_in_each_term(text in "\\PC{0,40}|[-\"*OR a'&]{0,20}|.{0,30}") {
            for syntax in [Syntax::Full, Syntax::Words] {
                if let Ok(query) = SearchQuery::parse(&text, syntax) {
                    for term in query.wanted().chain(&query.none) {
                        prop_assert!(!term.words().is_empty());
                        prop_assert!(term.spellings().iter().all(|text| !text.contains('\0')));
                    }
                }
            }
        }
    }
}
