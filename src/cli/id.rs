//! An id as a person writes it.

/// An item's id: a whole number from 1.
pub(super) fn parse_id(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id > 0)
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
