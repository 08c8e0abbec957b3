//! Text from elsewhere, made fit for a terminal: it must not control it, and a table must stay aligned.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Takes the place of what must not reach a terminal.
const REPLACEMENT: char = '\u{fffd}';

/// The characters of the categories Cf (format), Zl and Zp (separators) of Unicode 16. They show nothing, but can reorder, hide
/// or break what is around them.
const INVISIBLE: [(char, char); 24] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
    // Not of these categories, but as invisible: letters that fill a blank, and a joiner.
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{ffa0}', '\u{ffa0}'),
];

/// The joiners, zero width. Emoji families and scripts such as Persian are written with them.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Replaces control characters, bidirectional overrides, line separators, and whatever else shows nothing.
pub(super) fn printable(text: &str) -> String {
    let mut before = None;
    let mut rest = text.chars();
    let mut shown = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        // Between two characters that it may join, a joiner is a part of how they are written. Elsewhere it only hides.
        let joins = JOINERS.contains(&c) && is_joinable(before) && is_joinable(rest.clone().next());
        shown.push(if joins || is_printable(c) {
            c
        } else {
            REPLACEMENT
        });
        before = Some(c);
    }
    shown
}

/// Whether a joiner may stand beside this.
fn is_joinable(neighbour: Option<char>) -> bool {
    neighbour.is_some_and(|c| !c.is_ascii() && !c.is_whitespace() && is_printable(c))
}

/// Like [`printable`], but keeps line feeds, for text of several lines.
pub(super) fn printable_lines(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => c,
            _ if is_printable(c) => c,
            _ => REPLACEMENT,
        })
        .collect()
}

/// Whether a character may reach a terminal.
pub(super) fn is_printable(c: char) -> bool {
    !c.is_control() && !INVISIBLE.iter().any(|(lo, hi)| (*lo..=*hi).contains(&c))
}

/// A text of the API, which is HTML, as a person reads it in one line of a terminal.
pub(super) fn plain_text(html: &str) -> String {
    // Tags go first: an entity may stand for a `<` that begins no tag.
    let text = without_tags(html);
    // An entity may also stand for a character that must not reach the terminal.
    printable(&html_escape::decode_html_entities(&text))
}

/// Drops tags and comments. A `<` that begins none stays.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        let begins_tag =
            tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        match tag.find('>').filter(|_| begins_tag) {
            Some(end) => rest = &tag[end + 1..],
            None => {
                text.push('<');
                rest = &tag[1..];
            }
        }
    }
    text + rest
}

/// How many columns of a terminal a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The beginning of the text that takes at most `most` columns, with an ellipsis if it is cut.
pub(super) fn cut(text: String, most: usize) -> String {
    if columns(&text) <= most {
        return text;
    }
    let mut width = 1;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= most
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The text with blanks after it, so that it takes at least `width` columns.
pub(super) fn padded(text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(blanks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_control_or_reorder_a_terminal_is_replaced() {
        for c in [
            '\0',
            '\u{7}',
            '\u{1b}',
            '\n',
            '\r',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206a}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        let harmless = "Ünïcödé 日本語 🚀 עברית \u{301} – “…” €";
        assert_eq!(printable(harmless), harmless);
    }

    #[test]
    fn a_joiner_stays_between_two_characters_that_it_may_join_and_nowhere_else() {
        for kept in [
            "👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}\u{200d}🔥",
            "می\u{200c}خواهم",
        ] {
            assert_eq!(printable(kept), kept);
        }
        for joiner in JOINERS {
            for (text, shown) in [
                (format!("a{joiner}b"), "a\u{fffd}b"),
                (format!("é{joiner}b"), "é\u{fffd}b"),
                (format!("a{joiner}é"), "a\u{fffd}é"),
                (format!("{joiner}é"), "\u{fffd}é"),
                (format!("é{joiner}"), "é\u{fffd}"),
                (format!("é{joiner}{joiner}é"), "é\u{fffd}\u{fffd}é"),
                (format!("é{joiner}\u{202e}é"), "é\u{fffd}\u{fffd}é"),
                (format!("é\u{3000}{joiner}é"), "é\u{3000}\u{fffd}é"),
            ] {
                assert_eq!(printable(&text), shown, "{text:?}");
            }
        }
    }

    #[test]
    fn entities_are_decoded_and_tags_dropped() {
        for (html, text) in [
            (
                "AT&amp;T &lt;3 &#x27;R&#39; &quot;C&quot; &eacute;",
                "AT&T <3 'R' \"C\" é",
            ),
            (
                "a <b>bold</b> <i class=\"x\">title</i><br/>",
                "a bold title",
            ),
            (
                "1 < 2 and 3 > 2, I <3 it, a <b",
                "1 < 2 and 3 > 2, I <3 it, a <b",
            ),
            ("Vec&lt;T&gt; <!-- gone -->x", "Vec<T> x"),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
            ("R&D & more &nothing; &#xZZ;", "R&D & more &nothing; &#xZZ;"),
            (
                "x&#x202e;y&#8232;z&#x9b;[2J",
                "x\u{fffd}y\u{fffd}z\u{fffd}[2J",
            ),
        ] {
            assert_eq!(plain_text(html), text, "{html}");
        }
    }

    #[test]
    fn a_text_is_cut_to_the_columns_that_there_are() {
        for (text, most, cut_text) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcd…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}fgh", 3, "e\u{301}f…"),
        ] {
            assert_eq!(cut(text.to_owned(), most), cut_text);
        }
    }

    #[test]
    fn wide_and_combining_characters_are_padded_to_the_same_column() {
        for text in ["abcd", "日本", "e\u{301}fgh", "🚀ab"] {
            assert_eq!(columns(text), 4, "{text}");
            assert_eq!(padded(text, 6), format!("{text}  "));
        }
    }
}
