//! The words of a text, as the index has them: runs of letters and digits, without case and accents.

use std::ops::Range;

/// Letters with an accent, and below them the letters without. PostgreSQL gets the same lists.
pub(crate) const ACCENTED: &str = "àáâãäåçèéêëìíîïñòóôõöùúûüýÿāăąćĉċčďēĕėęěĝğġģĥĩīĭįĵķĺļľńņňōŏőŕŗřśŝşšţťũūŭůűųŵŷźżžơưǎǐǒǔǖǘǚǜǟǡǧǩǫǭǵǹǻȁȃȅȇȉȋȍȏȑȓȕȗșțȟȧȩȫȭȯȱȳḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ";
/// The letters without their accents, in the same order.
pub(crate) const PLAIN: &str = "aaaaaaceeeeiiiinooooouuuuyyaaaccccdeeeeegggghiiiijklllnnnooorrrssssttuuuuuuwyzzzouaiouuuuuaagkoognaaaeeiioorruusthaeooooyabbbcdddddeeeeefghhhhhiikkkllllmmmnnnnoooopprrrrsssssttttuuuuuvvwwwwwxxyzzzaaaaaaaaaaaaeeeeeeeeiioooooooooooouuuuuuuyyyy";

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    /// Its bytes in the text.
    pub(crate) range: Range<usize>,
}

/// The words of a plain text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + position(&text[from..], char::is_alphanumeric)?;
        let length = position(&text[start..], |c| !is_in_word(c));
        let end = length.map_or(text.len(), |length| start + length);
        from = end;
        Some(Word {
            text: &text[start..end],
            range: start..end,
        })
    })
}

/// Where the first such letter is. Nearly all letters are single bytes, so only the others are decoded.
fn position(text: &str, is_it: impl Fn(char) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii() {
            if is_it(char::from(*byte)) {
                return Some(at);
            }
            at += 1;
        } else {
            let letter = text[at..].chars().next()?;
            if is_it(letter) {
                return Some(at);
            }
            at += letter.len_utf8();
        }
    }
    None
}

/// The words of HTML that a reader sees: neither tags nor entities.
pub(crate) fn html_words(html: &str) -> impl Iterator<Item = Word<'_>> {
    let mut rest = 0;
    let texts = std::iter::from_fn(move || {
        if rest >= html.len() {
            return None;
        }
        let start = rest;
        let mut bytes = html[start..].bytes();
        let end = bytes.position(|byte| matches!(byte, b'<' | b'&'));
        let end = end.map_or(html.len(), |at| start + at);
        rest = end + markup_length(&html[end..]);
        Some((start, &html[start..end]))
    });
    texts.flat_map(|(start, text)| {
        words(text).map(move |word| Word {
            range: start + word.range.start..start + word.range.end,
            ..word
        })
    })
}

/// How long the tag or the entity is that a text begins with. One byte if it is a mere sign.
fn markup_length(text: &str) -> usize {
    let Some(first) = text.chars().next() else {
        return 0;
    };
    let inner = &text[1..];
    let length = if first == '<' {
        let begins_tag =
            inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        inner.find('>').filter(|_| begins_tag)
    } else {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '#';
        let end = inner.find(|c| !is_name(c));
        end.filter(|end| *end > 0 && inner[*end..].starts_with(';'))
    };
    1 + length.map_or(0, |length| length + 1)
}

/// Combining accents stand within a word.
fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining(c)
}

fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Whether a word, or only its beginning, is this one, which is folded already.
pub(crate) fn is_word(word: &str, folded: &str, by_beginning: bool) -> bool {
    // Each word of some hundred texts is compared, and most are neither equal nor have accents.
    let compared = if by_beginning {
        word.get(..folded.len()).unwrap_or(word)
    } else {
        word
    };
    if compared.eq_ignore_ascii_case(folded) {
        return true;
    }
    if word.is_ascii() {
        return false;
    }
    let word = fold(word);
    word == folded || by_beginning && word.starts_with(folded)
}

/// A word in lower case, without accents.
pub(crate) fn fold(word: &str) -> String {
    let lower = word.chars().flat_map(char::to_lowercase);
    lower.filter(|c| !is_combining(*c)).map(plain).collect()
}

fn plain(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    let at = ACCENTED.chars().position(|accented| accented == c);
    at.and_then(|at| PLAIN.chars().nth(at)).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_accented_letter_has_a_plain_one() {
        let pairs: Vec<_> = ACCENTED.chars().zip(PLAIN.chars()).collect();
        assert_eq!(ACCENTED.chars().count(), PLAIN.chars().count(), "{pairs:?}");
        assert!(PLAIN.chars().all(|c| c.is_ascii_lowercase()));
    }

    #[test]
    fn case_and_accents_do_not_count() {
        for (word, folded) in [
            ("Rust", "rust"),
            ("Übergröße", "ubergroße"),
            ("e\u{301}te\u{301}", "ete"),
            ("ÉTÉ", "ete"),
            ("東京", "東京"),
            ("İ", "i"),
        ] {
            assert_eq!(fold(word), folded);
        }
    }

    #[test]
    fn a_word_is_compared_as_it_is_folded() {
        for (word, folded, by_beginning, is_it) in [
            ("Rust", "rust", false, true),
            ("Rust", "rus", false, false),
            ("Rust", "rus", true, true),
            ("Rust", "rusty", true, false),
            ("Übergröße", "ubergroße", false, true),
            ("Übergröße", "uber", true, true),
            ("Übergröße", "uber", false, false),
            ("uber", "überg", true, false),
        ] {
            assert_eq!(
                is_word(word, folded, by_beginning),
                is_it,
                "{word} {folded}"
            );
        }
    }

    #[test]
    fn tags_and_entities_of_html_are_no_words() {
        let html =
            "I don&#x27;t<p><a href=\"https:&#x2F;&#x2F;x.y\">1 &lt; b</a> R&D a<b <i>e\u{301}nd";
        let found: Vec<_> = html_words(html).map(|word| word.text).collect();
        let expected = ["I", "don", "t", "1", "b", "R", "D", "a", "e\u{301}nd"];
        assert_eq!(found, expected);
        for word in html_words(html) {
            assert_eq!(&html[word.range.clone()], word.text);
        }
    }

    #[test]
    fn signs_between_words_are_left_out() {
        let found: Vec<_> = words("C++, node.js (it's) 10x—no")
            .map(|w| w.text)
            .collect();
        assert_eq!(found, ["C", "node", "js", "it", "s", "10x", "no"]);
    }
}
