//! Ids and ranges of ids, as people read and write them.

use crate::hn::coverage::Range;

/// Reads the id of an item: a whole number from 1.
pub(super) fn parse_id(text: &str) -> Option<i64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| is_digits && *id > 0)
}

/// One id, or the first and the last of several.
pub(super) fn format_range(Range { lo, hi }: Range) -> String {
    if lo == hi {
        lo.to_string()
    } else {
        format!("{lo}-{hi}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_whole_number_from_1() {
        assert_eq!(parse_id("8863"), Some(8863));
        for text in ["", "0", "-1", "+1", "1.0", "x", "99999999999999999999"] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}
