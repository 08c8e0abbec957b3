//! Whether two JSON texts have the same value. Whitespace, the order of an object's fields, and the spelling of texts and numbers do not
//! count.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Values that are nested deeper are the same only if they are spelt the same.
const DEPTH: u32 = 64;

/// Whether two texts are the same JSON value. Texts that are no JSON are the same only if they are spelt the same.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    are_same_to(DEPTH, one.trim(), other.trim())
}

fn are_same_to(depth: u32, one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    if depth == 0 {
        return false;
    }
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            type Fields<'a> = BTreeMap<String, &'a RawValue>;
            let both = both(one, other, |text| {
                serde_json::from_str::<Fields<'_>>(text).ok()
            });
            both.is_some_and(|(one, other)| {
                let is_same = |((name, value), (other_name, other)): (
                    (&String, &&RawValue),
                    (&String, &&RawValue),
                )| {
                    name == other_name && are_same_to(depth - 1, value.get(), other.get())
                };
                one.len() == other.len() && one.iter().zip(&other).all(is_same)
            })
        }
        (Some(b'['), Some(b'[')) => {
            let both = both(one, other, |text| {
                serde_json::from_str::<Vec<&RawValue>>(text).ok()
            });
            both.is_some_and(|(one, other)| {
                let mut pairs = one.iter().zip(&other);
                one.len() == other.len()
                    && pairs.all(|(one, other)| are_same_to(depth - 1, one.get(), other.get()))
            })
        }
        (Some(b'"'), Some(b'"')) => {
            let both = both(one, other, |text| serde_json::from_str::<String>(text).ok());
            both.is_some_and(|(one, other)| one == other)
        }
        _ => both(one, other, Decimal::read).is_some_and(|(one, other)| one == other),
    }
}

fn both<'a, T>(
    one: &'a str,
    other: &'a str,
    read: impl Fn(&'a str) -> Option<T>,
) -> Option<(T, T)> {
    Some((read(one)?, read(other)?))
}

/// A JSON number, to its last digit: `digits` times ten to the power of `exponent`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    /// Without zeros at its beginning and end. Empty for 0.
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok()?;
        let (is_negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text),
        };
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let trimmed = digits.trim_end_matches('0');
        let shift = (digits.len() - trimmed.len()) as i64 - fraction.len() as i64;
        let digits = trimmed.trim_start_matches('0').to_owned();
        let exponent = exponent.parse::<i64>().ok()?.checked_add(shift)?;
        Some(Self {
            is_negative: is_negative && !digits.is_empty(),
            exponent: if digits.is_empty() { 0 } else { exponent },
            digits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_count_and_values_do() {
        for (one, other) in [
            ("1", "1.0"),
            ("-0", "0"),
            ("100", "1e2"),
            ("0.10", "1E-1"),
            (r#""é/""#, r#""\u00e9\/""#),
            ("[1, 2]", "[1,2]"),
            (r#"{"a":1,"b":[{}]}"#, r#"{ "b" : [ {} ], "a" : 1 }"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("[", "["),
            (r#""\ud800""#, r#""\ud800""#),
        ] {
            assert!(
                are_same(one, other) && are_same(other, one),
                "{one} {other}"
            );
        }
        for (one, other) in [
            ("1", "2"),
            ("1", "-1"),
            ("1", "10"),
            ("1", "\"1\""),
            ("0", "false"),
            ("null", "false"),
            ("true", "false"),
            ("[1,2]", "[2,1]"),
            ("[]", "[1]"),
            ("[]", "{}"),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            ("12345678901234567890123", "12345678901234567890124"),
            ("1e400", "2e400"),
            ("[", "[1"),
            ("", "0"),
            (r#""\ud800""#, r#""\ud801""#),
        ] {
            assert!(
                !are_same(one, other) && !are_same(other, one),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn a_value_of_any_depth_is_compared_in_time() {
        let nested =
            |inside: &str| format!("{}{inside}{}", "[".repeat(1 << 14), "]".repeat(1 << 14));
        assert!(!are_same(&nested("1"), &nested("2")));
        assert!(are_same(&nested("1"), &nested("1")));
    }
}
